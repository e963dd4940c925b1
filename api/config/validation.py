"""Finds settings that parse but cannot be used, or are unsafe in production.

Each function yields the name of the setting and one sentence.
"""

from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from api.config.parsers import Network, is_local
from api.config.signing_keys import weakness_of
from services.store.secret_file import MIN_LENGTH

# The least memory for Argon2id that OWASP recommends, in MiB.
MIN_PASSWORD_MEMORY_MB: Final = 19

_DATABASE_SCHEMES: Final = ("sqlite", "sqlite+aiosqlite")


def database_problems(url: str) -> Iterator[tuple[str, str]]:
    """Yield a problem unless the URL is empty or names a SQLite file."""
    if not url:
        return
    parts = urlsplit(url)
    if parts.scheme not in _DATABASE_SCHEMES:
        yield (
            "HUB_DATABASE_URL",
            "HUB_DATABASE_URL must name a SQLite file. Other databases are planned for a later release.",
        )
    elif parts.netloc or parts.query or parts.fragment or len(parts.path) < 2 or ":memory:" in parts.path:
        yield "HUB_DATABASE_URL", "HUB_DATABASE_URL must name a file, like sqlite:////var/lib/hub/hub.db, or be unset."


def secret_key_problems(keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield a problem if there is no key, and one for each weak key."""
    if not keys:
        yield (
            "HUB_SECRET_KEYS",
            f"HUB_SECRET_KEYS must be set in production: {MIN_LENGTH} random characters or more, "
            'as `python3 -c "import secrets; print(secrets.token_urlsafe(32))"` prints them.',
        )
    for number, key in enumerate(keys, start=1):
        if weakness := weakness_of(key):
            yield "HUB_SECRET_KEYS", f"HUB_SECRET_KEYS cannot be used in production: key {number} {weakness}."


def password_problems(memory_mb: int) -> Iterator[tuple[str, str]]:
    """Yield a problem if password hashes use too little memory."""
    if memory_mb < MIN_PASSWORD_MEMORY_MB:
        yield (
            "HUB_PASSWORD_MEMORY_MB",
            f"HUB_PASSWORD_MEMORY_MB must be {MIN_PASSWORD_MEMORY_MB} (MiB) or more in production.",
        )


def public_url_problems(public_url: str | None, host: str, origin: str) -> Iterator[tuple[str, str]]:
    """Yield a problem if the public origin is missing, or is neither https nor on localhost."""
    if public_url is None and not is_local(host):
        yield (
            "HUB_PUBLIC_URL",
            "HUB_PUBLIC_URL must be set in production where HUB_HOST is not a local address: "
            "the https:// origin that users open.",
        )
    if not origin.startswith("https://") and not is_local(urlsplit(origin).hostname or ""):
        yield (
            "HUB_PUBLIC_URL",
            "HUB_PUBLIC_URL must start with https:// in production, or be on localhost: "
            "cookies would be sent unencrypted.",
        )


def proxy_problems(networks: Sequence[Network]) -> Iterator[tuple[str, str]]:
    """Yield a problem if every address is a trusted proxy."""
    if any(network.prefixlen == 0 for network in networks):
        yield (
            "HUB_TRUSTED_PROXIES",
            "HUB_TRUSTED_PROXIES must not contain every address in production: any client could forge its address.",
        )
