"""The outermost layer: request id, client address, security headers, one log line, and no exception gets past it."""

import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.client_address import ClientAddressResolver
from api.http.problems import Internal, problem_response
from services.ids import new_id

# Nothing is loaded from elsewhere, nothing runs inline, nobody frames us.
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; font-src 'self'; "
        "img-src 'self' data: blob:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
_A_YEAR = "max-age=31536000; includeSubDomains"
# What a client sent as its own id is not trusted; ours is short enough to read aloud.
# The last group of a uuid, which is random.
REQUEST_ID_LENGTH = 12

# In the message that starts a response: who writes its head themselves, and is given all headers that it then has.
HEAD_WRITER: Final = "hub.writer"

Observe = Callable[[str, str, int, float], None]


class RequestContextMiddleware:
    """Pure ASGI middleware around everything. `observe(method, route, status, seconds)` feeds the metrics."""

    def __init__(self, app: ASGIApp, *, addresses: ClientAddressResolver, observe: Observe, hsts: bool) -> None:
        self._app = app
        self._addresses = addresses
        self._observe = observe
        headers = SECURITY_HEADERS | ({"strict-transport-security": _A_YEAR} if hsts else {})
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        # Bound once: structlog's own proxy binds anew for every line, also for those that are not written.
        self._log = structlog.get_logger("http").bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the lifespan untouched. WebSockets are refused."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = new_id()[-REQUEST_ID_LENGTH:]
        scope["hub.request_id"] = request_id
        scope["hub.address"] = self._addresses.of(scope)
        scope["hub.transport"] = _transport(send)
        began, status = time.perf_counter(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"]
                own = {name for name, _ in headers}
                headers.append((b"x-request-id", request_id.encode()))
                headers += [header for header in self._headers if header[0] not in own]
                if HEAD_WRITER in message:
                    message[HEAD_WRITER](headers)
                    return
            await send(message)

        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            self._log.exception("failed", method=scope["method"], path=scope["path"])
            if not status:
                await problem_response(Internal(), request_id)(scope, receive, send_with_headers)
        finally:
            seconds = time.perf_counter() - began
            self._observe(scope["method"], _route(scope), status, seconds)
            self._log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                ms=round(seconds * 1_000, 1),
                address=scope["hub.address"],
            )
            structlog.contextvars.unbind_contextvars("request_id")


def _route(scope: Scope) -> str:
    """The template of the path, so that metrics do not grow with ids."""
    return str(scope.get("hub.route") or getattr(scope.get("route"), "path", "unknown"))


def _transport(send: Send) -> Any:
    """The connection itself, where the server is uvicorn: its `send` belongs to the cycle; else None."""
    return getattr(getattr(send, "__self__", None), "transport", None)
