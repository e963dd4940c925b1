"""API keys of internal services; only a hash is stored."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, bindparam, insert, select, update

from services.accounts import schemas
from services.database import outbox
from services.errors import Conflict, InvalidField, NotFound
from services.event_log import channels
from services.ids import new_id
from services.tables import api_keys
from services.times import to_rfc3339, to_rfc3339_or_none

SCOPES = ("notify", "broadcast", "jobs", "deposit", "users", "tickets")
# Every key begins with this prefix, so that people and secret scanners recognize it.
PREFIX = "gw_"

_ACTIVE_BY_NAME = select(api_keys.c.id).where(api_keys.c.name == bindparam("name"), api_keys.c.revoked_at.is_(None))
_ALL = select(api_keys).order_by(api_keys.c.id)
_FIND = select(api_keys.c.hash, api_keys.c.name, api_keys.c.scopes).where(
    api_keys.c.hash.in_(bindparam("hashes", expanding=True)), api_keys.c.revoked_at.is_(None)
)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """The name and the scopes of an API key that was not revoked."""

    name: str
    scopes: frozenset[str]


def hash_key(text: str) -> bytes:
    """Return the SHA-256 of a key. A key has 256 random bits and therefore needs no slow hash."""
    return hashlib.sha256(text.encode()).digest()


def create(tx: Connection, *, name: str, scopes: Iterable[str], hash: bytes, now: int) -> schemas.ApiKey:
    """Store a new key. Raises InvalidField for no or unknown scopes, Conflict while another key has the name."""
    requested = sorted(set(scopes))
    if not requested:
        raise InvalidField("/scopes", "length", "An API key needs at least one scope.")
    for scope in requested:
        if scope not in SCOPES:
            raise InvalidField("/scopes", "type", f"Unknown scope {scope[:40]!r}; use one of {', '.join(SCOPES)}.")
    if tx.execute(_ACTIVE_BY_NAME, {"name": name}).one_or_none() is not None:
        raise Conflict(f"An API key named {name} already exists.")
    row = {
        "id": new_id(),
        "name": name,
        "hash": hash,
        "scopes": msgspec.json.encode(requested).decode(),
        "created_at": now,
    }
    tx.execute(insert(api_keys), row)
    return schemas.ApiKey(name=name, scopes=requested, created_at=to_rfc3339(now), revoked_at=None)


def list_keys(tx: Connection) -> list[schemas.ApiKey]:
    """Return every key, oldest first, including revoked ones."""
    return [
        schemas.ApiKey(
            name=row.name,
            scopes=msgspec.json.decode(row.scopes),
            created_at=to_rfc3339(row.created_at),
            revoked_at=to_rfc3339_or_none(row.revoked_at),
        )
        for row in tx.execute(_ALL)
    ]


def revoke(tx: Connection, *, name: str, now: int) -> None:
    """Revoke a key and end the streams opened with it. Raises NotFound."""
    active = (api_keys.c.name == name) & api_keys.c.revoked_at.is_(None)
    if tx.execute(update(api_keys).where(active).values(revoked_at=now)).rowcount == 0:
        raise NotFound(f"There is no active API key named {name[:80]}.")
    outbox.append(tx, channels.CONTROL, "key_revoked", {"name": name}, now=now)


def load_many(tx: Connection, *, ids: Sequence[str]) -> dict[str, KeyRecord]:
    """Return the active keys by hash. `ids` are hashes in hexadecimal."""
    rows = tx.execute(_FIND, {"hashes": [bytes.fromhex(text) for text in ids]})
    return {bytes(row.hash).hex(): KeyRecord(row.name, frozenset(msgspec.json.decode(row.scopes))) for row in rows}
