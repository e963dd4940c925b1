"""Settings: read once from the environment, validated, immutable."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from api.config import parsers, validation
from api.config.parsers import Network, SettingDefinition, choice, comma_separated, decimal, integer, setting
from realtime.rate_limiter import RateLimit
from services import limits
from services.jobs.lifecycle import Deadlines
from services.store.backup_files import folder_of
from services.times import DAY_MS

# Variables that `hub send` and `hub tail` read; they may be in the environment of the hub, too.
COMMAND_VARIABLES: Final = frozenset({"HUB_API_KEY", "HUB_TOKEN"})
# Earlier names of settings; each is refused with its new name.
RENAMED: Final[Mapping[str, str]] = {
    "HUB_PAIR_RATE_LIMIT": "HUB_DIRECT_MESSAGE_RATE_LIMIT",
    "HUB_PASSWORD_COST": "HUB_PASSWORD_MEMORY_MB",
    "HUB_ROTATE_SECONDS": "HUB_STREAM_MAX_SECONDS",
    "HUB_STREAM_PATH": "HUB_STREAM_TRANSPORT",
    "HUB_WAL_MB": "HUB_SQLITE_WAL_MB",
}


class SettingsError(Exception):
    """The settings are invalid; `problems` has one sentence for each setting to change."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(" ".join(problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a hub. The field `port` is read from `HUB_PORT`, and so on."""

    env: str = setting(
        choice("development", "production"), "development", "`production` refuses settings that are unsafe there"
    )
    host: str = setting(parsers.host_name, "127.0.0.1", "host name or address to listen on")
    port: int = setting(integer(0, 65535), "8000", "port to listen on; 0 selects a free port")
    data_dir: Path = setting(
        parsers.directory, "./data", "folder of the store, keys and attachments; created if it does not exist"
    )
    database_url: str = setting(
        parsers.text, "", "SQLite file as `sqlite:////path/hub.db`; default: `hub.db` in HUB_DATA_DIR", secret=True
    )
    broker_url: str = setting(parsers.text, "", "reserved for a later release; must not be set", secret=True)
    secret_keys: tuple[str, ...] = setting(
        comma_separated(parsers.text),
        "",
        "comma-separated signing keys: the last one signs, all verify; default in development: a generated key",
        secret=True,
    )
    allowed_origins: tuple[str, ...] = setting(
        comma_separated(parsers.origin),
        "http://localhost:3000,http://localhost:5173,http://localhost:8081",
        "comma-separated other origins whose pages may call the API with a bearer token (CORS)",
        production="",
    )
    public_url: str | None = setting(
        parsers.web_origin, "", "origin that users open in the browser; default: the address the hub listens on"
    )
    trusted_proxies: tuple[Network, ...] = setting(
        comma_separated(parsers.network),
        "",
        "comma-separated addresses and networks of proxies whose `Forwarded` headers are trusted",
    )
    rate_limit: RateLimit | None = setting(
        parsers.rate_limit, "100/minute", "sends per user (messages, comments, bids and jobs); 0 disables"
    )
    service_rate_limit: RateLimit | None = setting(
        parsers.rate_limit, "0", "notifications by services per recipient; 0 disables"
    )
    direct_message_rate_limit: RateLimit | None = setting(
        parsers.rate_limit, "1000/hour", "direct messages from one user to one other user; 0 disables"
    )
    connect_rate_limit: RateLimit | None = setting(
        parsers.rate_limit, "60/minute", "streams opened per user; 0 disables"
    )
    login_rate_limit: RateLimit | None = setting(
        parsers.rate_limit, "10/minute", "failed log-ins per account; 0 disables"
    )
    login_address_rate_limit: RateLimit | None = setting(
        parsers.rate_limit, "100/minute", "failed log-ins per client address; 0 disables"
    )
    signup_rate_limit: RateLimit | None = setting(
        parsers.rate_limit, "100/hour", "sign-ups and requested e-mails per client address; 0 disables"
    )
    backlog: int = setting(
        integer(0, 100_000), "100", "missed events of a user that are replayed; more cause a `reset`; 0 disables"
    )
    shared_backlog: int = setting(
        integer(0, 100_000),
        "1000",
        "missed events of shared channels that are replayed; more cause a `reset`; 0 disables",
    )
    queue_events: int = setting(integer(0, 100_000), "100", "events queued for a slow stream; 0 disables")
    max_streams: int = setting(integer(0, 1_000_000), "50000", "open streams in total; 0 disables")
    max_streams_per_user: int = setting(integer(0, 1_000_000), "10", "open streams per user; 0 disables")
    max_streams_per_address: int = setting(integer(0, 1_000_000), "100", "open streams per client address; 0 disables")
    idle_seconds: float = setting(
        decimal(0, 86_400),
        "300",
        "seconds without a stream after which a user's in-memory state is released; 0 disables",
    )
    stream_transport: str = setting(
        choice("auto", "direct", "asgi"),
        "auto",
        "`direct` writes streams to the connection, `asgi` through the ASGI server; `auto` uses `direct` if possible",
    )
    heartbeat_seconds: float = setting(
        decimal(0.05, 3_600), "15", "seconds between heartbeats of a stream, with a random deviation"
    )
    stream_max_seconds: float = setting(
        decimal(0, 86_400), "900", "seconds after which a stream is closed and reconnects, ± 20 %; 0 disables"
    )
    log_events: int = setting(
        integer(0, 10_000_000), "10000", "events per channel kept in the event log; 0 disables this limit"
    )
    log_days: float = setting(
        decimal(0, 3_650), "7", "days that events are kept in the event log; 0 disables this limit"
    )
    inbox_days: float = setting(
        decimal(0, 36_500), "365", "days that notifications are kept; 0 keeps them without limit"
    )
    attachment_mb: int = setting(integer(1, 1_024), "25", "largest attachment in MiB")
    attachment_quota_mb: int = setting(integer(0, 10_000_000), "1024", "attachments of one user in MiB; 0 disables")
    push_contact: str = setting(
        parsers.push_contact,
        "",
        "contact address sent to push services (`mailto:` or `https:`); default: the public origin",
    )
    push_test_origin: str | None = setting(
        parsers.test_origin, "", "for tests: a push service on this machine (http, loopback address, port)"
    )
    smtp_url: str = setting(
        parsers.mail_server,
        "",
        "mail server, `smtp://` or `smtps://` with user, password and port; no e-mail is sent without it",
        secret=True,
    )
    mail_from: str = setting(
        parsers.mail_sender, "", "sender of e-mails, `Gigwire <hub@example.org>`; default: `hub@` and the public host"
    )
    sqlite_wal_mb: int = setting(
        integer(1, 65_536), "64", "size of SQLite's write-ahead log, in MiB, above which the writer truncates it"
    )
    metrics_token: str | None = setting(
        lambda value: parsers.text(value) or None, "", "bearer token that `/metrics` requires", secret=True
    )
    currency: str = setting(
        parsers.currency, "USD", "currency of the hub (ISO 4217, two decimals); fixed when the store is created"
    )
    opening_balance: int = setting(
        integer(0, limits.MAX_AMOUNT), "1000000", "opening balance of a new wallet, in minor units", production="0"
    )
    review_days: float = setting(
        decimal(0, 3_650), "7", "days for the review of a submitted job before the hub completes it; 0: at once"
    )
    delivery_days: float = setting(
        decimal(0, 3_650), "30", "days for the work on a job before its owner may cancel it; 0: at once"
    )
    password_memory_mb: int = setting(integer(1, 4_096), "64", "memory for hashing one password, in MiB (Argon2id)")
    log_level: str = setting(choice("debug", "info", "warning", "error"), "info", "lowest level that is logged")

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read every HUB_… variable; an empty one is unset. Raises SettingsError with all problems."""
        env = environ.get("HUB_ENV", "").strip().lower()
        hub_names = {name for name in environ if name.startswith("HUB_")}
        problems = {name: _unknown_name(name) for name in sorted(hub_names - NAMES - COMMAND_VARIABLES)}
        values: dict[str, Any] = {}
        for name, definition in DEFINITIONS.items():
            value, default = environ.get(name, "").strip(), definition.default_in(env)
            try:
                values[_field_name(name)] = definition.parse(value or default)
            except ValueError as error:
                problems[name] = f"{name} {error}" + ("." if definition.secret else f", but is {value!r}.")
                values[_field_name(name)] = definition.parse(default)
        settings = cls(**values)
        for name, problem in _find_problems(settings):
            problems.setdefault(name, problem)
        if problems:
            raise SettingsError(list(problems.values()))
        return settings

    @property
    def production(self) -> bool:
        """Return whether HUB_ENV is `production`."""
        return self.env == "production"

    @property
    def database_file(self) -> Path:
        """Return the path of the SQLite file."""
        path = urlsplit(self.database_url).path[1:]
        return Path(path) if path else self.data_dir / "hub.db"

    @property
    def files_dir(self) -> Path:
        """Return the folder of attachments, next to the SQLite file."""
        return folder_of(self.database_file)

    @property
    def origin(self) -> str:
        """Return the public origin, such as `https://hub.example.org`. A port of 0 is not replaced."""
        if self.public_url:
            return self.public_url
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  # what binds to all
        return parsers.origin(f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}")

    @property
    def contact(self) -> str:
        """Return the contact address for push services (RFC 8292, 2.1)."""
        if self.push_contact:
            return self.push_contact
        return self.origin if self.origin.startswith("https://") else f"mailto:hub@{urlsplit(self.origin).hostname}"

    @property
    def sender(self) -> str:
        """Return the sender of e-mails."""
        return self.mail_from or f"Gigwire <hub@{urlsplit(self.origin).hostname}>"

    @property
    def deadlines(self) -> Deadlines:
        """Return the deadlines of jobs in milliseconds."""
        return Deadlines(review_ms=int(self.review_days * DAY_MS), delivery_ms=int(self.delivery_days * DAY_MS))

    @property
    def secure_cookies(self) -> bool:
        """Return whether cookies require https: everywhere except on localhost."""
        return self.origin.startswith("https://") or not parsers.is_local(urlsplit(self.origin).hostname or "")


def _variable_name(field_name: str) -> str:
    return f"HUB_{field_name.upper()}"


def _field_name(variable_name: str) -> str:
    return variable_name.removeprefix("HUB_").lower()


# By the name of the variable, in the order of the reference.
DEFINITIONS: Final[Mapping[str, SettingDefinition]] = {
    _variable_name(field.name): field.metadata["definition"] for field in fields(Settings)
}
NAMES: Final = frozenset(DEFINITIONS)


def _unknown_name(name: str) -> str:
    """Return the problem of an unknown variable, with the name that was probably meant."""
    if name in RENAMED:
        return f"{name} is now called {RENAMED[name]}."
    # Imported only for this error: it takes 0.2 MB of memory.
    from difflib import get_close_matches

    matches = get_close_matches(name, sorted(NAMES), n=1)
    hint = f"Did you mean {matches[0]}?" if matches else "Unset it."
    return f"{name} is not a setting of the hub. {hint}"


def _find_problems(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the name and the problem of each setting that parses but cannot be used."""
    if settings.broker_url:
        yield "HUB_BROKER_URL", "HUB_BROKER_URL is reserved for a later release: leave it unset."
    yield from validation.database_problems(settings.database_url)
    if settings.production:
        yield from validation.secret_key_problems(settings.secret_keys)
        if settings.push_test_origin is not None:
            yield "HUB_PUSH_TEST_ORIGIN", "HUB_PUSH_TEST_ORIGIN is for tests only: leave it unset in production."
        yield from validation.password_problems(settings.password_memory_mb)
        yield from validation.public_url_problems(settings.public_url, settings.host, settings.origin)
        yield from validation.proxy_problems(settings.trusted_proxies)
