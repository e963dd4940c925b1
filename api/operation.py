"""An operation: method, path, who may call it, what goes in and out; and the endpoint that keeps these promises."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api import bodies
from api.call import Call
from api.hub import Hub
from api.policy import Policy
from services.errors import RateLimited

Handler = Callable[[Call[Any, Any]], Awaitable[Any]]

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One line of the route table.

    `body` and `query` are struct types; `answer` the type of a good answer (None: no content); `sends` counts
    against the caller's sends; `uploads` takes one file as multipart/form-data, which the handler reads itself.
    """

    method: str
    path: str
    handler: Handler
    who: Policy
    body: Any = None
    query: type[bodies.Query] | None = None
    answer: Any = None
    status: int = 200
    sends: bool = False
    uploads: bool = False
    body_bytes: int = bodies.BODY_BYTES
    media_type: str = "application/json"
    also: tuple[int, ...] = ()

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return (self.handler.__doc__ or "").strip().splitlines()[0]

    async def __call__(self, hub: Hub, request: Request) -> Response:
        """Who, what, do, answer. Raises domain errors."""
        caller = await hub.identities.identify(request)
        self.who.check(caller)
        query = self._query(request)
        raw = await self._raw(request)
        body = None if self.body is None else bodies.parse(raw, self.body)
        if self.sends and caller.user is not None:
            _count_send(hub, caller.user.id)
        call = Call(hub, request, caller, body, query, raw)
        return self._answer(await self.handler(call))

    def _query(self, request: Request) -> bodies.Query | None:
        if self.query is None:
            return bodies.parse_query(request.query_params.multi_items(), bodies.Query) and None
        return bodies.parse_query(request.query_params.multi_items(), self.query)

    async def _raw(self, request: Request) -> bytes:
        if self.body is None:
            return b""
        bodies.check_media_type(request)
        return await bodies.read_bytes(request, self.body_bytes)

    def _answer(self, answer: Any) -> Response:
        if isinstance(answer, Response):
            return answer
        if answer is None:
            return Response(status_code=204 if self.status == 200 else self.status)
        content = answer if isinstance(answer, bytes) else _encoder.encode(answer)
        headers = {"cache-control": "no-store"}
        return Response(content, self.status, headers=headers, media_type=self.media_type)


def _count_send(hub: Hub, user_id: str) -> None:
    verdict, limit = hub.manager.allow_send(user_id), hub.settings.rate_limit
    if not verdict.allowed and limit is not None:
        raise RateLimited(
            "sends",
            count=limit.count,
            window=limit.per_seconds,
            remaining=verdict.remaining,
            retry_after=verdict.retry_after,
        )


def routes(hub: Hub, operations: Sequence[Operation]) -> list[Route]:
    """One Starlette route per path, so that 405 names every method of it."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    return [Route(path, _endpoint(hub, methods), methods=list(methods)) for path, methods in by_path.items()]


def _endpoint(hub: Hub, methods: dict[str, Operation]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await methods[method](hub, request)

    return endpoint
