"""Operation: method, path, policy, schemas; and one-line constructors `get/post/put/patch/delete`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from api.http import bodies
from api.http.rate_limits import raise_if_exceeded
from api.hub import Hub
from api.operations.call import Call
from api.operations.policy import Policy
from services.accounts.callers import ANONYMOUS

Handler = Callable[[Call[Any, Any]], Awaitable[Any]]

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One line of the route table.

    - `body` and `query` are struct types. A missing `body_optional` body is passed to the handler as None.
    - `response` is the type of the JSON response; None sends no content.
    - `other_statuses` are further success statuses, for the OpenAPI document.
    - `counts_as_send`: each request counts against the caller's send limit.
    - `uploads`: the request is one file as multipart/form-data, which the handler reads.
    - `path_suffix`: the last path parameter is an external id that may contain slashes (sent as `%2F`).
    - `anonymous`: the caller is not authenticated; the handler checks credentials itself.
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
    max_body_bytes: int = bodies.MAX_BODY_BYTES
    media_type: str = "application/json"
    other_statuses: tuple[int, ...] = ()
    path_suffix: bool = False
    anonymous: bool = False

    @property
    def summary(self) -> str:
        """Return the first line of the handler's docstring."""
        return (self.handler.__doc__ or "").strip().splitlines()[0]

    async def handle(self, hub: Hub, request: Request) -> ASGIApp:
        """Check the request, run the handler and return its response. Raises domain errors."""
        caller = ANONYMOUS if self.anonymous else await hub.authenticator.authenticate(request)
        self.policy.check(caller)
        query = self._parse_query(request)
        raw_body = await self._read_body(request)
        body = None if raw_body is None else await self._decode_body(raw_body)
        if self.counts_as_send and caller.user is not None:
            raise_if_exceeded("sends", hub.settings.rate_limit, hub.manager.allow_send(caller.user.id))
        call = Call(hub, request, caller, body, query, raw_body or b"")
        return self._to_response(await self.handler(call))

    def _parse_query(self, request: Request) -> bodies.Query | None:
        pairs = request.query_params.multi_items() if request.scope["query_string"] else []
        if self.query is None and not pairs:
            return None
        return bodies.parse_query(pairs, self.query or bodies.Query)

    async def _read_body(self, request: Request) -> bytes | None:
        if self.body is None:
            return None
        if self.body_optional:
            raw_body = await bodies.read_bytes(request, self.max_body_bytes)
            if raw_body:
                bodies.check_media_type(request)
            return raw_body or None
        bodies.check_media_type(request)
        return await bodies.read_bytes(request, self.max_body_bytes)

    async def _decode_body(self, raw_body: bytes) -> Any:
        if len(raw_body) <= bodies.MAX_BODY_BYTES:
            return bodies.decode(raw_body, self.body)
        # Decoding the largest body takes half a second.
        return await anyio.to_thread.run_sync(bodies.decode, raw_body, self.body)

    def _to_response(self, result: Any) -> ASGIApp:
        if callable(result):
            # The handler made its own response.
            return result  # type: ignore[no-any-return]  # any ASGI application
        if result is None:
            return Response(status_code=204 if self.status == 200 else self.status)
        content = result if isinstance(result, bytes) else _encoder.encode(result)
        headers = {"cache-control": "no-store"}
        return Response(content, self.status, headers=headers, media_type=self.media_type)


def get(path: str, handler: Handler, policy: Policy, **options: Any) -> Operation:
    """Return a GET operation."""
    return Operation(method="GET", path=path, handler=handler, policy=policy, **options)


def post(path: str, handler: Handler, policy: Policy, **options: Any) -> Operation:
    """Return a POST operation."""
    return Operation(method="POST", path=path, handler=handler, policy=policy, **options)


def put(path: str, handler: Handler, policy: Policy, **options: Any) -> Operation:
    """Return a PUT operation."""
    return Operation(method="PUT", path=path, handler=handler, policy=policy, **options)


def patch(path: str, handler: Handler, policy: Policy, **options: Any) -> Operation:
    """Return a PATCH operation."""
    return Operation(method="PATCH", path=path, handler=handler, policy=policy, **options)


def delete(path: str, handler: Handler, policy: Policy, **options: Any) -> Operation:
    """Return a DELETE operation."""
    return Operation(method="DELETE", path=path, handler=handler, policy=policy, **options)
