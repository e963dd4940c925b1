"""Stores the first response of an idempotency key in the transaction that produced it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, select

from services.database.statements import Statement
from services.errors import IdempotencyKeyReused
from services.tables import idempotent_responses

R = TypeVar("R")

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


@dataclass(frozen=True, slots=True)
class Written(Generic[R]):
    """The response of a unit as JSON bytes, and the result of the unit; None when the response was stored before."""

    body: bytes
    result: R | None


def run_once(
    tx: Connection,
    *,
    caller: str,
    key: str,
    digest: bytes,
    now: int,
    act: Callable[[Connection], R],
    to_response: Callable[[R], Any] = lambda result: result,
) -> Written[R]:
    """Run `act` unless this caller has used the key before, and store the response to its result.

    `digest` is the SHA-256 of the request (method, path, body). Raises IdempotencyKeyReused when the key was used
    with another digest, and what `act` raises; then nothing is stored.
    """
    for stored_digest, stored_body in _FIND.all(tx, {"caller_id": caller, "request_key": key}):
        if stored_digest != digest:
            raise IdempotencyKeyReused
        return Written(bytes(stored_body), None)
    result = act(tx)
    body = _encoder.encode(to_response(result))
    _INSERT.execute_many(tx, [{"caller": caller, "key": key, "digest": digest, "body": body, "created_at": now}])
    return Written(body, result)


def delete_expired(tx: Connection, *, before: int, limit: int) -> int:
    """Delete at most `limit` responses stored before `before` (ms). Return the number deleted."""
    rows = tx.execute(_EXPIRED, {"before": before, "limit": limit}).all()
    if rows:
        tx.execute(_DELETE, [{"caller_id": caller, "request_key": key} for caller, key in rows])
    return len(rows)
