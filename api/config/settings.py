"""Every knob of the hub, read from the environment once; nothing else reads it."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from api.config.parsers import (
    Network,
    SettingDefinition,
    choice,
    comma_separated,
    currency,
    decimal,
    directory,
    host_name,
    integer,
    is_local,
    mail_sender,
    mail_server,
    network,
    origin,
    push_contact,
    rate,
    setting,
    test_origin,
    text,
    web_origin,
)
from api.config.signing_keys import weakness_of
from realtime.rate_limiter import RateLimit
from services import limits
from services.jobs.lifecycle import Deadlines
from services.store.backup_files import folder_of
from services.store.secret_file import MIN_LENGTH
from services.times import DAY

# OWASP's least memory for argon2id, in MiB.
MIN_PASSWORD_COST: Final = 19

# What `hub send` and `hub tail` read for themselves, perhaps from the same environment.
FOR_COMMANDS: Final = frozenset({"HUB_API_KEY", "HUB_TOKEN"})

_SQLITE: Final = ("sqlite", "sqlite+aiosqlite")


class SettingsError(Exception):
    """The settings cannot be used; `problems` has one sentence for each thing to change."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(" ".join(problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings; field `port` is `HUB_PORT`. Where 0 switches something off, its line says so."""

    env: str = setting(choice("development", "production"), "development", "`production` refuses what is unsafe there")
    host: str = setting(host_name, "127.0.0.1", "address to listen on")
    port: int = setting(integer(0, 65535), "8000", "port to listen on; 0 takes a free one")
    data_dir: Path = setting(directory, "./data", "folder of `hub.db` and all that belongs to it; made if absent")
    database_url: str = setting(text, "", "SQLite in the data folder; others are for a later release", secret=True)
    broker_url: str = setting(text, "", "for a later release: must be unset", secret=True)
    secret_keys: tuple[str, ...] = setting(
        comma_separated(text),
        "",
        "comma list, the last signs and all verify; in development made and kept in the data folder",
        secret=True,
    )
    allowed_origins: tuple[str, ...] = setting(
        comma_separated(origin),
        "http://localhost:3000,http://localhost:5173,http://localhost:8081",
        "comma list of other origins whose pages may call with a bearer token (CORS)",
        production="",
    )
    public_url: str | None = setting(web_origin, "", "the origin people open; unset means the address listened on")
    trusted_proxies: tuple[Network, ...] = setting(
        comma_separated(network), "", "comma list of addresses and networks whose `Forwarded` headers count"
    )
    rate_limit: RateLimit | None = setting(rate, "100/minute", "sends of a user (message, comment, bid, job); 0 is off")
    service_rate_limit: RateLimit | None = setting(rate, "0", "notifications to one recipient by services; 0 is off")
    pair_rate_limit: RateLimit | None = setting(rate, "1000/hour", "direct messages from one user to another; 0 is off")
    connect_rate_limit: RateLimit | None = setting(rate, "60/minute", "streams opened by a user; 0 is off")
    login_rate_limit: RateLimit | None = setting(rate, "10/minute", "failed log-ins to an account; 0 is off")
    login_address_rate_limit: RateLimit | None = setting(rate, "100/minute", "failed log-ins from an address; 0 is off")
    signup_rate_limit: RateLimit | None = setting(
        rate, "100/hour", "sign-ups, and e-mails asked for, from an address; 0 is off"
    )
    backlog: int = setting(
        integer(0, 100_000), "100", "missed events of a user that are replayed, else `reset`; 0 is off"
    )
    shared_backlog: int = setting(
        integer(0, 100_000), "1000", "missed events of shared channels that are replayed, else `reset`; 0 is off"
    )
    queue_events: int = setting(integer(0, 100_000), "100", "events that may wait for a slow stream; 0 is off")
    max_streams: int = setting(integer(0, 1_000_000), "50000", "open streams in all; 0 is off")
    max_streams_per_user: int = setting(integer(0, 1_000_000), "10", "open streams of a user; 0 is off")
    max_streams_per_address: int = setting(integer(0, 1_000_000), "100", "open streams from an address; 0 is off")
    idle_seconds: float = setting(
        decimal(0, 86_400), "300", "without a stream, then what memory holds of a user is dropped; 0 is off"
    )
    stream_path: str = setting(
        choice("auto", "takeover", "portable"),
        "auto",
        "`portable` leaves streams to uvicorn, `takeover` refuses to; `auto` takes them over where that is possible",
    )
    heartbeat_seconds: float = setting(
        decimal(0.05, 3_600), "15", "between heartbeats of a stream, give or take a little"
    )
    rotate_seconds: float = setting(
        decimal(0, 86_400), "900", "a stream's life, ± 20 %, before it reconnects; 0 is off"
    )
    log_events: int = setting(integer(0, 10_000_000), "10000", "events kept for replay, a channel; 0 is no such bound")
    log_days: float = setting(decimal(0, 3_650), "7", "days that events are kept for replay; 0 is no such bound")
    inbox_days: float = setting(decimal(0, 36_500), "365", "days that inbox rows are kept; 0 keeps them for ever")
    attachment_mb: int = setting(integer(1, 1_024), "25", "MiB of one attachment")
    attachment_quota_mb: int = setting(integer(0, 10_000_000), "1024", "MiB of all attachments of a user; 0 is off")
    push_contact: str = setting(
        push_contact, "", "whom push services may write to, `mailto:` or `https:`; unset means the public origin"
    )
    push_test_origin: str | None = setting(
        test_origin, "", "for tests: the one push service that may be on this machine (http, a loopback address)"
    )
    smtp_url: str = setting(
        mail_server,
        "",
        "mail server, `smtp://` or `smtps://` with user, password and port; unset sends no e-mail",
        secret=True,
    )
    mail_from: str = setting(
        mail_sender, "", "whom e-mails are from, `Gigwire <hub@example.org>`; unset means hub@ the public host"
    )
    wal_mb: int = setting(
        integer(1, 65_536), "64", "MiB of SQLite's write-ahead log past which the writer truncates it"
    )
    metrics_token: str | None = setting(
        lambda value: text(value) or None, "", "bearer token that `/metrics` then asks for", secret=True
    )
    currency: str = setting(
        currency,
        "USD",
        "the hub's one currency, with cents (ISO 4217); a store keeps that of its first start",
    )
    opening_balance: int = setting(
        integer(0, limits.AMOUNT), "1000000", "minor units that a new user's wallet opens with", production="0"
    )
    review_days: float = setting(
        decimal(0, 3_650), "7", "days an owner has for a submitted job before it is completed and paid; 0 is at once"
    )
    delivery_days: float = setting(
        decimal(0, 3_650), "30", "days a freelancer has for the work before the owner may cancel; 0 is none"
    )
    password_cost: int = setting(integer(1, 4_096), "64", "MiB of memory that hashing a password takes (argon2id)")
    log_level: str = setting(choice("debug", "info", "warning", "error"), "info", "least level that is logged")

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read every HUB_… variable; empty is unset. Raises SettingsError with all problems at once."""
        env = environ.get("HUB_ENV", "").strip().lower()
        named = {name for name in environ if name.startswith("HUB_")}
        wrong = {name: _unknown(name) for name in sorted(named - NAMES - FOR_COMMANDS)}
        values: dict[str, Any] = {}
        for name, known in DEFINITIONS.items():
            given, default = environ.get(name, "").strip(), known.default_in(env)
            try:
                values[_field(name)] = known.parse(given or default)
            except ValueError as error:
                wrong[name] = f"{name} {error}" + ("." if known.secret else f", but is {given!r}.")
                values[_field(name)] = known.parse(default)
        made = cls(**values)
        for name, problem in _refusals(made):
            wrong.setdefault(name, problem)
        if wrong:
            raise SettingsError(list(wrong.values()))
        return made

    @property
    def production(self) -> bool:
        """Whether the hub is on show."""
        return self.env == "production"

    @property
    def database_file(self) -> Path:
        """The SQLite file."""
        given = urlsplit(self.database_url).path[1:]
        return Path(given) if given else self.data_dir / "hub.db"

    @property
    def files_dir(self) -> Path:
        """The folder of uploaded files, beside the store they belong to."""
        return folder_of(self.database_file)

    @property
    def origin(self) -> str:
        """The origin people open, such as `https://hub.example.org` (with port 0: before it is known)."""
        if self.public_url:
            return self.public_url
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  # what binds to all
        return origin(f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}")

    @property
    def contact(self) -> str:
        """Whom a push service may write to (RFC 8292, 2.1)."""
        if self.push_contact:
            return self.push_contact
        return self.origin if self.origin.startswith("https://") else f"mailto:hub@{urlsplit(self.origin).hostname}"

    @property
    def sender(self) -> str:
        """Whom e-mails are from."""
        return self.mail_from or f"Gigwire <hub@{urlsplit(self.origin).hostname}>"

    @property
    def terms(self) -> Deadlines:
        """How long review and work may take."""
        return Deadlines(review_ms=int(self.review_days * DAY), delivery_ms=int(self.delivery_days * DAY))

    @property
    def secure_cookies(self) -> bool:
        """Whether cookies are for https alone: everywhere but on localhost."""
        return self.origin.startswith("https://") or not is_local(urlsplit(self.origin).hostname or "")


def _name(field_name: str) -> str:
    return f"HUB_{field_name.upper()}"


def _field(name: str) -> str:
    return name.removeprefix("HUB_").lower()


# By the variable's name, in the order of the README's table.
DEFINITIONS: Final[Mapping[str, SettingDefinition]] = {
    _name(each.name): each.metadata["knob"] for each in fields(Settings)
}
NAMES: Final = frozenset(DEFINITIONS)


def _unknown(name: str) -> str:
    # Only for whoever has mistyped one: 0.2 MB.
    from difflib import get_close_matches

    near = get_close_matches(name, sorted(NAMES), n=1)
    hint = f"did you mean {near[0]}?" if near else "unset it, or look it up in the README."
    return f"{name} is no setting of the hub: {hint}"


def _refusals(settings: Settings) -> Iterator[tuple[str, str]]:
    """What is well-formed and still not to be used: the setting's name and a sentence."""
    if settings.broker_url:
        yield "HUB_BROKER_URL", "HUB_BROKER_URL is for a later release: leave it unset, this one runs as one process."
    yield from _database(settings.database_url)
    if settings.production:
        yield from _production(settings)


def _database(url: str) -> Iterator[tuple[str, str]]:
    if not url:
        return
    parts = urlsplit(url)
    if parts.scheme not in _SQLITE:
        yield (
            "HUB_DATABASE_URL",
            "HUB_DATABASE_URL names another database than SQLite, which is for a later release: leave it unset.",
        )
    elif parts.netloc or parts.query or parts.fragment or len(parts.path) < 2 or ":memory:" in parts.path:
        yield "HUB_DATABASE_URL", "HUB_DATABASE_URL must name a file, like sqlite:////var/lib/hub/hub.db, or be unset."


def _production(settings: Settings) -> Iterator[tuple[str, str]]:
    if not settings.secret_keys:
        yield (
            "HUB_SECRET_KEYS",
            f"HUB_SECRET_KEYS must be set in production: {MIN_LENGTH} random characters or more, "
            'as `python3 -c "import secrets; print(secrets.token_urlsafe(32))"` prints them.',
        )
    for place, key in enumerate(settings.secret_keys, start=1):
        if problem := weakness_of(key):
            yield "HUB_SECRET_KEYS", f"HUB_SECRET_KEYS cannot be used in production: key {place} {problem}."
    if settings.push_test_origin is not None:
        yield "HUB_PUSH_TEST_ORIGIN", "HUB_PUSH_TEST_ORIGIN is for tests alone: leave it unset in production."
    if settings.password_cost < MIN_PASSWORD_COST:
        yield "HUB_PASSWORD_COST", f"HUB_PASSWORD_COST must be {MIN_PASSWORD_COST} (MiB) or more in production."
    if settings.public_url is None and not is_local(settings.host):
        yield (
            "HUB_PUBLIC_URL",
            "HUB_PUBLIC_URL must be set in production where HUB_HOST is not this machine alone: "
            "the https:// origin that people open.",
        )
    if settings.secure_cookies and not settings.origin.startswith("https://"):
        yield (
            "HUB_PUBLIC_URL",
            "HUB_PUBLIC_URL must start with https:// in production, or be on localhost: "
            "cookies would travel in the open.",
        )
    if any(trusted.prefixlen == 0 for trusted in settings.trusted_proxies):
        yield (
            "HUB_TRUSTED_PROXIES",
            "HUB_TRUSTED_PROXIES must not be everybody in production: anyone could then claim any address.",
        )
