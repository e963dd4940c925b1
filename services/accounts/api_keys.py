"""API keys of internal services: only a hash is kept, the key itself is shown once."""

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
# What every key begins with, so that people and secret scanners know one when they see it.
PREFIX = "gw_"

_LIVE = select(api_keys.c.id).where(api_keys.c.name == bindparam("which"), api_keys.c.revoked_at.is_(None))
_ALL = select(api_keys).order_by(api_keys.c.id)
_FIND = select(api_keys.c.hash, api_keys.c.name, api_keys.c.scopes).where(
    api_keys.c.hash.in_(bindparam("hashes", expanding=True)), api_keys.c.revoked_at.is_(None)
)


@dataclass(frozen=True, slots=True)
class Key:
    """A live API key: which service it is and what that may do."""

    name: str
    scopes: frozenset[str]


def hash_of(text: str) -> bytes:
    """What is kept of a key. It is 256 random bits, so that a plain SHA-256 is enough."""
    return hashlib.sha256(text.encode()).digest()


def create(tx: Connection, *, name: str, scopes: Iterable[str], hash: bytes, now: int) -> schemas.ApiKey:
    """Keep a new key. Raises InvalidField for an unknown or no scope, Conflict while the name is in use."""
    wanted = sorted(set(scopes))
    if not wanted:
        raise InvalidField("/scopes", "length", "A key needs a scope.")
    for scope in wanted:
        if scope not in SCOPES:
            raise InvalidField("/scopes", "type", f"There is no scope called {scope[:40]!r}: {', '.join(SCOPES)}.")
    if tx.execute(_LIVE, {"which": name}).one_or_none() is not None:
        raise Conflict(f"There is already a key called {name}.")
    row = {
        "id": new_id(),
        "name": name,
        "hash": hash,
        "scopes": msgspec.json.encode(wanted).decode(),
        "created_at": now,
    }
    tx.execute(insert(api_keys), row)
    return schemas.ApiKey(name=name, scopes=wanted, created_at=to_rfc3339(now), revoked_at=None)


def list_keys(tx: Connection) -> list[schemas.ApiKey]:
    """Every key, oldest first, the revoked ones too."""
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
    """End a key, and what was opened with it. Raises NotFound."""
    which = (api_keys.c.name == name) & api_keys.c.revoked_at.is_(None)
    if tx.execute(update(api_keys).where(which).values(revoked_at=now)).rowcount == 0:
        raise NotFound(f"There is no key called {name[:80]}.")
    outbox.append(tx, channels.CONTROL, "key_revoked", {"name": name}, now=now)


def load_many(tx: Connection, *, ids: Sequence[str]) -> dict[str, Key]:
    """The live keys with these hashes (hexadecimal)."""
    rows = tx.execute(_FIND, {"hashes": [bytes.fromhex(text) for text in ids]})
    return {bytes(row.hash).hex(): Key(row.name, frozenset(msgspec.json.decode(row.scopes))) for row in rows}
