"""Pages of other origins: those that are allowed may call with a bearer token (CORS), none may act with the cookie."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.config.settings import Settings
from api.http import problems
from api.http.authentication import SessionCookie, bearer

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

# What a page of another origin may send, and what it may read besides the body.
ALLOWED_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
ALLOWED_HEADERS = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Cache-Control"
EXPOSED_HEADERS = "RateLimit, RateLimit-Policy, Retry-After, Location, X-Request-Id"
# Chromium keeps a preflight's answer no longer than two hours; ten minutes let a change of settings come through.
PREFLIGHT_SECONDS = "600"


class CrossOriginMiddleware:
    """Pure ASGI middleware. Never `Access-Control-Allow-Credentials`: other origins do not get the cookie's answers."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._own = settings.origin
        self._allowed = frozenset(settings.allowed_origins)
        self._cookie = SessionCookie(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer preflights, refuse forged requests, and name the origin that may read the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, method = Headers(scope=scope), scope["method"]
        origin = headers.get("origin")
        answer = self._readable_by(origin, send) if self._allowed else send
        if method == "OPTIONS" and origin in self._allowed and "access-control-request-method" in headers:
            await _preflight(scope, receive, answer)
        elif method not in SAFE_METHODS and self._is_forged(headers):
            await problems.problem_response(problems.CrossOrigin(), scope["hub.request_id"])(scope, receive, answer)
        else:
            await self._app(scope, receive, answer)

    def _readable_by(self, origin: str | None, send: Send) -> Send:
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
        """Whether a page of another origin makes a browser act with our cookie.

        The rule of Go 1.25's CrossOriginProtection: Fetch Metadata where the browser sends it, else `Origin`
        against our own or `Host`; a request with neither is no browser's and goes on. A bearer token is something
        no other page's form can send, so that its bearer is asked nothing.
        """
        if bearer(headers) is not None or not self._cookie.is_in(headers):
            return False
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site not in ("same-origin", "none")
        origin = headers.get("origin")
        return not (origin is None or origin == self._own or _host_of(origin) == headers.get("host", "").lower())


async def _preflight(scope: Scope, receive: Receive, send: Send) -> None:
    headers = {
        "access-control-allow-methods": ALLOWED_METHODS,
        "access-control-allow-headers": ALLOWED_HEADERS,
        "access-control-max-age": PREFLIGHT_SECONDS,
    }
    await Response(status_code=204, headers=headers)(scope, receive, send)


def _host_of(origin: str) -> str | None:
    """`https://hub.example` → `hub.example`; None for `null` and other things that are no web origin."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
