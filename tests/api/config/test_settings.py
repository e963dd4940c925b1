"""Settings: parsing, defaults, error messages and the rules of production."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.config.settings import DEFINITIONS, RENAMED, Settings, SettingsError
from api.config.signing_keys import FILE_NAME, load_signing_keys, weakness_of
from realtime.rate_limiter import RateLimit

GOOD_KEY = "V3x7Qm0aLw9TzR2kJc5HbN8uYfPd4GsE1oXi6AtMqW0"
PRODUCTION = {"HUB_ENV": "production", "HUB_SECRET_KEYS": GOOD_KEY, "HUB_PUBLIC_URL": "https://hub.example.org"}


def problems(**environ: str) -> list[str]:
    try:
        Settings.read(environ)
    except SettingsError as error:
        return error.problems
    return []


def test_settings_have_defaults_for_an_empty_environment() -> None:
    settings = Settings.read({})
    assert (settings.host, settings.port, settings.origin) == ("127.0.0.1", 8000, "http://127.0.0.1:8000")
    assert settings.database_file == Path("data/hub.db")
    assert settings.rate_limit == RateLimit(100, 60)
    assert settings.service_rate_limit is None
    assert settings.allowed_origins == ("http://localhost:3000", "http://localhost:5173", "http://localhost:8081")
    assert not settings.secure_cookies


def test_settings_treat_empty_variables_as_unset() -> None:
    assert Settings.read(dict.fromkeys(DEFINITIONS, " ")) == Settings.read({})


def test_settings_are_read_from_the_environment() -> None:
    settings = Settings.read(
        {
            "HUB_PORT": "0",
            "HUB_SECRET_KEYS": "old, new",
            "HUB_ALLOWED_ORIGINS": "HTTPS://App.Example.org:443/,capacitor://localhost",
            "HUB_TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8, ::1",
            "HUB_RATE_LIMIT": "5/second",
            "HUB_HEARTBEAT_SECONDS": "0.25",
            "HUB_DATABASE_URL": "sqlite:////var/lib/hub/other.db",
            "UNRELATED": "x",
        }
    )
    assert settings.port == 0
    assert settings.secret_keys == ("old", "new")
    assert settings.allowed_origins == ("https://app.example.org", "capacitor://localhost")
    assert [str(network) for network in settings.trusted_proxies] == ["127.0.0.1/32", "10.0.0.0/8", "::1/128"]
    assert settings.rate_limit == RateLimit(5, 1)
    assert settings.heartbeat_seconds == 0.25
    assert settings.database_file == Path("/var/lib/hub/other.db")


def test_settings_error_has_one_sentence_for_each_problem() -> None:
    found = problems(HUB_PORT="many", HUB_RATE_LIMIT="100 a minute", HUB_ENV="prod", HUB_PROT="1")
    assert len(found) == 4
    assert "HUB_PORT must be a whole number from 0 to 65535, but is 'many'." in found
    assert all(sentence.endswith((".", "?")) for sentence in found)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HUB_PORT", "65536"),
        ("HUB_PORT", "-1"),
        ("HUB_PORT", "٨٠"),
        ("HUB_HOST", "two words"),
        ("HUB_BACKLOG", "1e3"),
        ("HUB_IDLE_SECONDS", "nan"),
        ("HUB_IDLE_SECONDS", "inf"),
        ("HUB_HEARTBEAT_SECONDS", "0"),
        ("HUB_CURRENCY", "usd"),
        ("HUB_CURRENCY", "JPY"),
        ("HUB_CURRENCY", "KWD"),
        ("HUB_LOG_LEVEL", "loud"),
        ("HUB_ALLOWED_ORIGINS", "*"),
        ("HUB_ALLOWED_ORIGINS", "null"),
        ("HUB_ALLOWED_ORIGINS", "https://a.example/path"),
        ("HUB_ALLOWED_ORIGINS", "https://u@a.example"),
        ("HUB_ALLOWED_ORIGINS", "http://a:99999"),
        ("HUB_PUBLIC_URL", "hub.example.org"),
        ("HUB_PUBLIC_URL", "ftp://hub.example.org"),
        ("HUB_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("HUB_DATA_DIR", "a\0b"),
        ("HUB_DATABASE_URL", "sqlite://"),
        ("HUB_DATABASE_URL", "sqlite:///:memory:"),
    ],
)
def test_settings_reject_an_invalid_value_by_its_name(name: str, value: str) -> None:
    (problem,) = problems(**{name: value})
    assert problem.startswith(f"{name} must ")


def test_settings_reject_another_database_and_a_broker_without_passwords() -> None:
    found = problems(HUB_DATABASE_URL="postgresql+asyncpg://u:hunter2@db/x", HUB_BROKER_URL="nats://u:hunter2@n:4222")
    assert len(found) == 2
    assert all("later release" in sentence and "hunter2" not in sentence for sentence in found)


def test_settings_suggest_a_name_for_an_unknown_variable() -> None:
    assert problems(HUB_PROT="9000") == ["HUB_PROT is not a setting of the hub. Did you mean HUB_PORT?"]


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_settings_reject_a_renamed_setting_with_its_new_name(old: str, new: str) -> None:
    assert new in DEFINITIONS
    assert problems(**{old: "1"}) == [f"{old} is now called {new}."]


def test_production_accepts_safe_settings() -> None:
    settings = Settings.read(PRODUCTION)
    assert settings.secure_cookies
    assert settings.allowed_origins == ()


def test_production_needs_no_https_on_localhost() -> None:
    settings = Settings.read({"HUB_ENV": "production", "HUB_SECRET_KEYS": GOOD_KEY})
    assert not settings.secure_cookies


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HUB_SECRET_KEYS", ""),
        ("HUB_SECRET_KEYS", "tooshort1"),
        ("HUB_SECRET_KEYS", GOOD_KEY[:31]),
        ("HUB_SECRET_KEYS", "changeme-changeme-changeme-changeme-1"),
        ("HUB_SECRET_KEYS", "my-S-e-c-r-e-t-0123-4xk9-7qwz-91ab-cd3f"),
        ("HUB_SECRET_KEYS", "a" * 40),
        ("HUB_SECRET_KEYS", "12345678901234567890123456789012"),
        ("HUB_SECRET_KEYS", "abcdefghijklmnopqrstuvwxyzabcdefghij"),
        ("HUB_SECRET_KEYS", f"{GOOD_KEY},changeme"),
        ("HUB_PUBLIC_URL", "http://hub.example.org"),
        ("HUB_PASSWORD_MEMORY_MB", "18"),
        ("HUB_TRUSTED_PROXIES", "0.0.0.0/0"),
    ],
)
def test_production_rejects_an_unsafe_setting(name: str, value: str) -> None:
    (problem,) = problems(**PRODUCTION | {name: value})
    assert problem.startswith(name)
    assert not value or name != "HUB_SECRET_KEYS" or f" {value}" not in problem


def test_production_requires_a_public_url_when_host_is_not_local() -> None:
    (problem,) = problems(HUB_ENV="production", HUB_SECRET_KEYS=GOOD_KEY, HUB_HOST="0.0.0.0")
    assert problem.startswith("HUB_PUBLIC_URL must be set")


def test_settings_repr_contains_no_secret() -> None:
    settings = Settings.read({"HUB_SECRET_KEYS": "secret-key-text", "HUB_METRICS_TOKEN": "metrics-token-text"})
    assert "secret-key-text" not in repr(settings)
    assert "metrics-token-text" not in repr(settings)


def test_random_keys_are_not_weak() -> None:
    generated = subprocess.run(
        [
            sys.executable,
            "-c",
            "import secrets\nfor _ in range(300): print(secrets.token_hex(16), secrets.token_urlsafe(24))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [key for key in generated.stdout.split() if weakness_of(key)] == []


def test_concurrent_starts_agree_on_the_generated_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: load_signing_keys((), tmp_path / "new"), range(64)))
    assert len(keys) == 1
    assert [path.name for path in (tmp_path / "new").iterdir()] == [FILE_NAME]
    assert (tmp_path / "new" / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert load_signing_keys((), tmp_path / "new") in keys


def test_configured_keys_create_no_key_file(tmp_path: Path) -> None:
    assert load_signing_keys(("old", "new"), tmp_path) == ("old", "new")
    assert list(tmp_path.iterdir()) == []


def test_empty_key_file_is_reported_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("")
    with pytest.raises(OSError, match="holds no key"):
        load_signing_keys((), tmp_path)


def test_every_setting_has_a_description() -> None:
    assert [name for name, definition in DEFINITIONS.items() if not definition.description] == []
