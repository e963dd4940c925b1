"""ASGI middleware: CORS and cross-origin protection."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.config.settings import Settings
from api.http import problems
from api.http.authentication import SessionCookie, bearer_token

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

# What a page of another origin may send, and which response headers it may read.
ALLOWED_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
ALLOWED_HEADERS = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Cache-Control"
EXPOSED_HEADERS = "RateLimit, RateLimit-Policy, Retry-After, Location, X-Request-Id"
# Chromium caches a preflight for at most two hours. After ten minutes a change of settings takes effect.
PREFLIGHT_SECONDS = "600"


class CrossOriginMiddleware:
    """Lets allowed origins call with a bearer token, and rejects requests of other origins with the cookie.

    `Access-Control-Allow-Credentials` is never sent: other origins cannot read responses to the cookie.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._origin = settings.origin
        self._allowed = frozenset(settings.allowed_origins)
        self._cookie = SessionCookie(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer preflights, reject forged requests and name the origin that may read the response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, method = Headers(scope=scope), scope["method"]
        origin = headers.get("origin")
        if self._allowed:
            send = self._with_cors_headers(origin, send)
        if method == "OPTIONS" and origin in self._allowed and "access-control-request-method" in headers:
            await _respond_to_preflight(scope, receive, send)
        elif method not in SAFE_METHODS and self._is_forged(headers):
            await problems.problem_response(problems.CrossOrigin(), scope["hub.request_id"])(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _with_cors_headers(self, origin: str | None, send: Send) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                headers.add_vary_header("Origin")
                if origin in self._allowed:
                    headers["access-control-allow-origin"] = origin or ""
                    headers["access-control-expose-headers"] = EXPOSED_HEADERS
            await send(message)

        return send_with_headers

    def _is_forged(self, headers: Headers) -> bool:
        """Return whether a page of another origin makes the browser send this request with the cookie.

        This is the rule of Go 1.25's CrossOriginProtection: Fetch Metadata if the browser sends it, otherwise
        `Origin` compared with the hub's origin or `Host`. A request with neither is not from a browser. A form of
        another page cannot send a bearer token, so requests with one are not checked.
        """
        if bearer_token(headers) is not None or not self._cookie.is_present(headers):
            return False
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site not in ("same-origin", "none")
        origin = headers.get("origin")
        return not (origin is None or origin == self._origin or _host_of(origin) == headers.get("host", "").lower())


async def _respond_to_preflight(scope: Scope, receive: Receive, send: Send) -> None:
    headers = {
        "access-control-allow-methods": ALLOWED_METHODS,
        "access-control-allow-headers": ALLOWED_HEADERS,
        "access-control-max-age": PREFLIGHT_SECONDS,
    }
    await Response(status_code=204, headers=headers)(scope, receive, send)


def _host_of(origin: str) -> str | None:
    """Return host and port of an origin; None for `null` and other text that is not a web origin."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
