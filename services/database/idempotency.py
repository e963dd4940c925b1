"""Stores the first response of an idempotency key in the transaction that produced it."""

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
        idempotent_responses.c.caller == bindparam("caller_id"), idempotent_responses.c.key == bindparam("request_key")
    )
)
_INSERT = Statement(insert(idempotent_responses))
_EXPIRED = (
    select(idempotent_responses.c.caller, idempotent_responses.c.key)
    .where(idempotent_responses.c.created_at < bindparam("before"))
    .order_by(idempotent_responses.c.created_at)
    .limit(bindparam("limit"))
)
_DELETE = delete(idempotent_responses).where(
    idempotent_responses.c.caller == bindparam("caller_id"), idempotent_responses.c.key == bindparam("request_key")
)


def run_once(
    tx: Connection, *, caller: str, key: str, digest: bytes, now: int, act: Callable[[Connection], Any]
) -> bytes:
    """Run `act` unless this caller has used the key before. Return the response as JSON bytes, new or stored.

    `digest` is the SHA-256 of the request (method, path, body). Raises IdempotencyKeyReused when the key was used
    with another digest, and what `act` raises; then nothing is stored.
    """
    for stored_digest, stored_body in _FIND.all(tx, {"caller_id": caller, "request_key": key}):
        if stored_digest != digest:
            raise IdempotencyKeyReused
        return bytes(stored_body)
    body = _encoder.encode(act(tx))
    _INSERT.execute_many(tx, [{"caller": caller, "key": key, "digest": digest, "body": body, "created_at": now}])
    return body


def delete_expired(tx: Connection, *, before: int, limit: int) -> int:
    """Delete at most `limit` responses stored before `before` (ms). Return the number deleted."""
    rows = tx.execute(_EXPIRED, {"before": before, "limit": limit}).all()
    if rows:
        tx.execute(_DELETE, [{"caller_id": caller, "request_key": key} for caller, key in rows])
    return len(rows)
