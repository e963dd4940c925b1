"""Idempotency keys: the first answer is kept in the transaction that made it, and given again."""

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, select

from services.database.statements import Prepared
from services.errors import IdempotencyKeyReused
from services.tables import answers

_encoder = msgspec.json.Encoder()

_FIND = Prepared(
    select(answers.c.digest, answers.c.body).where(
        answers.c.caller == bindparam("who"), answers.c.key == bindparam("which")
    )
)
_KEEP = Prepared(insert(answers))
_OLD = (
    select(answers.c.caller, answers.c.key)
    .where(answers.c.created_at < bindparam("before"))
    .order_by(answers.c.created_at)
    .limit(bindparam("most"))
)
_DROP = delete(answers).where(answers.c.caller == bindparam("who"), answers.c.key == bindparam("which"))


def once(tx: Connection, *, caller: str, key: str, digest: bytes, now: int, act: Callable[[Connection], Any]) -> bytes:
    """Run `act` unless this caller's key was answered before; the answer as JSON bytes, first or kept.

    `digest` is the SHA-256 of what was asked (method, path, body). Raises IdempotencyKeyReused when the key came
    with another digest, and whatever `act` raises, of which nothing is kept.
    """
    for kept_digest, kept in _FIND.rows(tx, {"who": caller, "which": key}):
        if kept_digest != digest:
            raise IdempotencyKeyReused
        return bytes(kept)
    body = _encoder.encode(act(tx))
    _KEEP.run(tx, [{"caller": caller, "key": key, "digest": digest, "body": body, "created_at": now}])
    return body


def sweep(tx: Connection, *, before: int, limit: int) -> int:
    """Forget at most `limit` answers made before `before` (ms). Returns how many."""
    rows = tx.execute(_OLD, {"before": before, "most": limit}).all()
    if rows:
        tx.execute(_DROP, [{"who": caller, "which": key} for caller, key in rows])
    return len(rows)
