"""Call: one validated request as a handler sees it."""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

import structlog
from sqlalchemy import Connection
from starlette.requests import Request

from api.hub import Hub
from services.accounts.callers import Caller, User
from services.database import idempotency
from services.errors import Forbidden, InvalidField, Unauthenticated

B = TypeVar("B")
Q = TypeVar("Q")
R = TypeVar("R")
T = TypeVar("T")

IDEMPOTENCY_KEY_HEADER = "idempotency-key"
# Characters; the size of the column.
MAX_IDEMPOTENCY_KEY_LENGTH = 255


class Call(Generic[B, Q]):
    """One validated request.

    `body` and `query` are the structs that the operation declares, or None. `now` is the wall time in milliseconds.
    """

    __slots__ = ("body", "caller", "hub", "now", "query", "raw_body", "request")

    def __init__(self, hub: Hub, request: Request, caller: Caller, body: B, query: Q, raw_body: bytes) -> None:
        self.hub = hub
        self.request = request
        self.caller = caller
        self.body = body
        self.query = query
        self.raw_body = raw_body
        self.now = hub.clock()

    @property
    def user(self) -> User:
        """Return the signed-in user. Raises Unauthenticated without credentials, and Forbidden for a service."""
        if self.caller.kind == "service":
            raise Forbidden("This operation is for signed-in users; an API key cannot call it.")
        if self.caller.user is None:
            raise Unauthenticated
        return self.caller.user

    @property
    def log(self) -> structlog.typing.FilteringBoundLogger:
        """Return the logger of handlers."""
        logger: structlog.typing.FilteringBoundLogger = structlog.get_logger("api")
        return logger

    def path(self, name: str) -> str:
        """Return a path parameter."""
        return str(self.request.path_params[name])

    async def read(self, query: Callable[..., T], **arguments: Any) -> T:
        """Run a query on a reader and return its result."""
        return await self.hub.database.read(query, **arguments)

    async def write(self, unit: Callable[..., T], **arguments: Any) -> T:
        """Run a unit of work with `now` and return its result; the changes are durable by then."""
        return await self.hub.database.write(unit, now=self.now, **arguments)

    async def write_idempotent(self, unit: Callable[..., T], **arguments: Any) -> T | bytes:
        """Run a unit as `write` does; return the stored response, as JSON bytes, for a repeated Idempotency-Key.

        Raises IdempotencyKeyReused when the key was used with another request.
        """
        response, _ = await self.write_with_response(unit, _unchanged, **arguments)
        return response

    async def write_with_response(
        self, unit: Callable[..., R], to_response: Callable[[R], T], **arguments: Any
    ) -> tuple[T | bytes, R | None]:
        """Run a unit as `write_idempotent` does, when its result is more than its response.

        Returns the response and the result of the unit; the result is None for a repeated Idempotency-Key.
        """
        key = self.idempotency_key()
        if key is None:
            result = await self.write(unit, **arguments)
            return to_response(result), result
        written = await self.hub.database.write(
            idempotency.run_once,
            caller=self.caller.key,
            key=key,
            digest=self.digest(),
            now=self.now,
            act=_bind(unit, now=self.now, **arguments),
            to_response=to_response,
        )
        return written.body, written.result

    def digest(self) -> bytes:
        """Return the SHA-256 of method, path and body."""
        head = f"{self.request.method} {self.request.url.path}\n".encode()
        return hashlib.sha256(head + self.raw_body).digest()

    def idempotency_key(self) -> str | None:
        """Return the Idempotency-Key of this request or None. Raises InvalidField for an invalid key."""
        key = self.request.headers.get(IDEMPOTENCY_KEY_HEADER)
        if key is not None and not (0 < len(key) <= MAX_IDEMPOTENCY_KEY_LENGTH and key.isascii() and key.isprintable()):
            raise InvalidField("Idempotency-Key", "length", "An Idempotency-Key is 1 to 255 printable characters.")
        return key


def _bind(unit: Callable[..., T], **arguments: Any) -> Callable[[Connection], T]:
    return partial(unit, **arguments)


def _unchanged(response: T) -> T:
    return response
