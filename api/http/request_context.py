"""ASGI middleware: request id, client address, security headers, access log."""

import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.client_address import ClientAddressResolver
from api.http.problems import Internal, problem_response
from services.ids import new_id

# Pages load nothing from other origins, run no inline scripts and cannot be framed.
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
_ONE_YEAR = "max-age=31536000; includeSubDomains"
# Length of the last group of a UUID, which is random. Request ids sent by clients are ignored.
REQUEST_ID_LENGTH = 12

# Key in an `http.response.start` message: a function that writes the response head itself and receives all headers.
HEAD_WRITER: Final = "hub.writer"

Observe = Callable[[str, str, int, float], None]


class RequestContextMiddleware:
    """The outermost middleware, which also handles every exception.

    `observe(method, route, status, seconds)` records each request in the metrics.
    """

    def __init__(self, app: ASGIApp, *, addresses: ClientAddressResolver, observe: Observe, hsts: bool) -> None:
        self._app = app
        self._addresses = addresses
        self._observe = observe
        headers = SECURITY_HEADERS | ({"strict-transport-security": _ONE_YEAR} if hsts else {})
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        # Bound once, because structlog's proxy binds again for every line, even for lines below the log level.
        self._log = structlog.get_logger("http").bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; pass on the lifespan; reject WebSockets."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._handle_request(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _handle_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = new_id()[-REQUEST_ID_LENGTH:]
        scope["hub.request_id"] = request_id
        scope["hub.address"] = self._addresses.resolve(scope)
        scope["hub.transport"] = _transport(send)
        started_at, status = time.perf_counter(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"]
                present = {name for name, _ in headers}
                headers.append((b"x-request-id", request_id.encode()))
                headers += [header for header in self._headers if header[0] not in present]
                if HEAD_WRITER in message:
                    message[HEAD_WRITER](headers)
                    return
            await send(message)

        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            self._log.exception("request_failed", method=scope["method"], path=scope["path"])
            if not status:
                await problem_response(Internal(), request_id)(scope, receive, send_with_headers)
        finally:
            seconds = time.perf_counter() - started_at
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
    """Return the path template, so that the number of metrics does not grow with ids."""
    return str(scope.get("hub.route") or getattr(scope.get("route"), "path", "unknown"))


def _transport(send: Send) -> Any:
    """Return the transport of the connection if the server is uvicorn, else None."""
    return getattr(getattr(send, "__self__", None), "transport", None)
