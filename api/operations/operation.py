"""An operation: method, path, who may call it, what goes in and out; and how it keeps these promises."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from api.http import bodies
from api.http.pace import raise_if_exceeded
from api.hub import Hub
from api.operations.call import Call
from api.operations.policy import Policy
from services.accounts.callers import ANONYMOUS

Handler = Callable[[Call[Any, Any]], Awaitable[Any]]

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One line of the route table.

    `body` and `query` are struct types; `answer` the type of a good answer (None: no content); `sends` counts
    against the caller's sends. A `body_optional` that is left out is None. `uploads` takes one file as
    multipart/form-data, which the handler reads itself. `anonymous`: nobody is asked who they are; what credentials
    there are is the handler's to read. `slashes`: the last parameter of the path is somebody else's
    id, and may hold slashes (sent as `%2F`).
    """

    method: str
    path: str
    handler: Handler
    policy: Policy
    body: Any = None
    body_optional: bool = False
    query: type[bodies.Query] | None = None
    response: Any = None
    status: int = 200
    counts_as_send: bool = False
    uploads: bool = False
    body_bytes: int = bodies.BODY_BYTES
    media_type: str = "application/json"
    also: tuple[int, ...] = ()
    path_suffix: bool = False
    anonymous: bool = False

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return (self.handler.__doc__ or "").strip().splitlines()[0]

    async def handle(self, hub: Hub, request: Request) -> ASGIApp:
        """Who, what, do; and what will answer. Raises domain errors."""
        caller = ANONYMOUS if self.anonymous else await hub.identities.authenticate(request)
        self.policy.check(caller)
        query = self._query(request)
        raw = await self._raw(request)
        body = None if raw is None else await self._parsed(raw)
        if self.counts_as_send and caller.user is not None:
            raise_if_exceeded("sends", hub.settings.rate_limit, hub.manager.allow_send(caller.user.id))
        call = Call(hub, request, caller, body, query, raw or b"")
        return self._answer(await self.handler(call))

    def _query(self, request: Request) -> bodies.Query | None:
        pairs = request.query_params.multi_items() if request.scope["query_string"] else []
        if self.query is None and not pairs:
            return None
        return bodies.parse_query(pairs, self.query or bodies.Query)

    async def _raw(self, request: Request) -> bytes | None:
        if self.body is None:
            return None
        if self.body_optional:
            raw = await bodies.read_bytes(request, self.body_bytes)
            if raw:
                bodies.check_media_type(request)
            return raw or None
        bodies.check_media_type(request)
        return await bodies.read_bytes(request, self.body_bytes)

    async def _parsed(self, raw: bytes) -> Any:
        if len(raw) <= bodies.BODY_BYTES:
            return bodies.decode(raw, self.body)
        # Half a second's work, at the most.
        return await anyio.to_thread.run_sync(bodies.decode, raw, self.body)

    def _answer(self, answer: Any) -> ASGIApp:
        if callable(answer):
            # A response of the handler's own.
            return answer  # type: ignore[no-any-return]  # any ASGI application
        if answer is None:
            return Response(status_code=204 if self.status == 200 else self.status)
        content = answer if isinstance(answer, bytes) else _encoder.encode(answer)
        headers = {"cache-control": "no-store"}
        return Response(content, self.status, headers=headers, media_type=self.media_type)
