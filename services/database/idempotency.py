"""Idempotency keys: the first answer is kept in the transaction that made it, and given again."""

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, select

from services.database.statements import Statement
from services.errors import IdempotencyKeyReused
from services.tables import idempotent_responses

_encoder = msgspec.json.Encoder()

_FIND = Statement(
    select(idempotent_responses.c.digest, idempotent_responses.c.body).where(
        idempotent_responses.c.caller == bindparam("who"), idempotent_responses.c.key == bindparam("which")
    )
)
_KEEP = Statement(insert(idempotent_responses))
_OLD = (
    select(idempotent_responses.c.caller, idempotent_responses.c.key)
    .where(idempotent_responses.c.created_at < bindparam("before"))
    .order_by(idempotent_responses.c.created_at)
    .limit(bindparam("most"))
)
_DROP = delete(idempotent_responses).where(
    idempotent_responses.c.caller == bindparam("who"), idempotent_responses.c.key == bindparam("which")
)


def run_once(
    tx: Connection, *, caller: str, key: str, digest: bytes, now: int, act: Callable[[Connection], Any]
) -> bytes:
    """Run `act` unless this caller's key was answered before; the answer as JSON bytes, first or kept.

    `digest` is the SHA-256 of what was asked (method, path, body). Raises IdempotencyKeyReused when the key came
    with another digest, and whatever `act` raises, of which nothing is kept.
    """
    for kept_digest, kept in _FIND.all(tx, {"who": caller, "which": key}):
        if kept_digest != digest:
            raise IdempotencyKeyReused
        return bytes(kept)
    body = _encoder.encode(act(tx))
    _KEEP.execute_many(tx, [{"caller": caller, "key": key, "digest": digest, "body": body, "created_at": now}])
    return body


def delete_expired(tx: Connection, *, before: int, limit: int) -> int:
    """Forget at most `limit` answers made before `before` (ms). Returns how many."""
    rows = tx.execute(_OLD, {"before": before, "most": limit}).all()
    if rows:
        tx.execute(_DROP, [{"who": caller, "which": key} for caller, key in rows])
    return len(rows)
