"""CrossOriginMiddleware: CORS for allowed origins and protection of the cookie."""

from secrets import token_urlsafe

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from api.config.settings import Settings
from api.http.cross_origin import CrossOriginMiddleware
from api.http.problems import problem_response
from services.errors import NotFound

OWN = "https://hub.example.org"
APP = "https://app.example.org"
COOKIE = {"cookie": "__Host-gigwire=whatever"}


def client(**settings: str) -> TestClient:
    """Return a client of the middleware; the wrapped application responds with its own Vary, or 404 at /missing."""

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = Response("done", headers={"vary": "Accept-Encoding", "x-method": request.method})
        await (problem_response(NotFound(), "r1") if request.url.path == "/missing" else response)(scope, receive, send)

    hub_settings = Settings.read(
        {"HUB_PUBLIC_URL": OWN, "HUB_ALLOWED_ORIGINS": f"{APP}, capacitor://localhost"} | settings
    )
    middleware = CrossOriginMiddleware(inner, hub_settings)

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        scope["hub.request_id"] = "r1"
        await middleware(scope, receive, send)

    return TestClient(outer, base_url=OWN, headers={"host": "hub.example.org"})


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": OWN},
        {"sec-fetch-site": "same-site", "origin": APP},
        {"sec-fetch-site": "nonsense"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "https://hub.example.org.evil.example"},
        {"origin": "https://hub.example.org:8443"},
        {"origin": "https://evil.example/hub.example.org"},
        {"origin": "https://[hub.example.org"},
        {"origin": APP},
    ],
    ids=[
        "cross-site",
        "same-site",
        "cross-site, own origin",
        "same-site, allowed origin",
        "unknown site",
        "evil origin",
        "null origin",
        "empty origin",
        "own host as subdomain",
        "other port",
        "own host as path",
        "malformed origin",
        "allowed origin",
    ],
)
def test_state_change_with_the_cookie_is_rejected_from_another_origin(method: str, headers: dict[str, str]) -> None:
    response = client().request(method, "/", headers=COOKIE | headers)
    assert response.status_code == 403
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.json()["code"], response.json()["requestId"]) == ("CROSS_ORIGIN", "r1")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "same-origin", "origin": OWN},
        {"sec-fetch-site": "none"},
        # Fetch Metadata is set by the browser: a proxy may have changed the host.
        {"sec-fetch-site": "same-origin", "origin": "http://localhost:5173"},
        {"origin": OWN},
        # Over plain http browsers send no Fetch Metadata, and the hub may be reached by another name.
        {"origin": "http://hub.lan:8000", "host": "hub.lan:8000"},
        {},
    ],
    ids=["same-origin", "none", "same-origin behind a proxy", "own origin", "origin equals host", "no headers"],
)
def test_state_change_with_the_cookie_is_allowed_from_the_own_origin(headers: dict[str, str]) -> None:
    assert client().post("/", headers=COOKIE | headers).text == "done"


@pytest.mark.parametrize(
    "headers",
    [{"authorization": "Bearer x"} | COOKIE, {"cookie": "other=1"}, {}],
    ids=["bearer token", "other cookie", "no credentials"],
)
def test_requests_without_the_session_cookie_are_not_checked(headers: dict[str, str]) -> None:
    response = client().post("/", headers={"sec-fetch-site": "cross-site", "origin": "https://evil.example"} | headers)
    assert response.text == "done"


def test_basic_authentication_does_not_count_as_bearer_token() -> None:
    # Browsers send it automatically, so it proves nothing about the page.
    headers = COOKIE | {"authorization": "Basic YTpi", "sec-fetch-site": "cross-site"}
    assert client().post("/", headers=headers).status_code == 403


def test_reading_with_the_cookie_is_left_to_the_browser() -> None:
    response = client().get("/", headers=COOKIE | {"sec-fetch-site": "cross-site", "origin": "https://evil.example"})
    assert response.text == "done"
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("origin", [APP, "capacitor://localhost"])
@pytest.mark.parametrize("path", ["/", "/missing"])
def test_allowed_origin_can_read_responses_and_problems(origin: str, path: str) -> None:
    response = client().get(path, headers={"origin": origin})
    assert response.headers["access-control-allow-origin"] == origin
    exposed = {name.strip() for name in response.headers["access-control-expose-headers"].split(",")}
    assert {"RateLimit", "RateLimit-Policy", "Retry-After", "Location"} <= exposed
    assert "access-control-allow-credentials" not in response.headers
    assert "Origin" in response.headers["vary"]


def test_allowed_origin_can_read_its_rejection() -> None:
    response = client().post("/", headers=COOKIE | {"sec-fetch-site": "same-site", "origin": APP})
    assert response.status_code == 403
    assert response.headers["access-control-allow-origin"] == APP


@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{APP}.evil.example", f"{APP}:444", APP.upper()])
def test_other_origins_can_read_no_response(origin: str) -> None:
    hub = client()
    response = hub.get("/", headers={"origin": origin})
    assert "access-control-allow-origin" not in response.headers
    assert response.headers["vary"] == "Accept-Encoding, Origin"
    preflight = hub.options("/", headers={"origin": origin, "access-control-request-method": "POST"})
    assert preflight.headers["x-method"] == "OPTIONS", "passed on to the application"
    assert "access-control-allow-origin" not in preflight.headers


def test_preflight_of_an_allowed_origin_is_answered() -> None:
    headers = {
        "origin": APP,
        "access-control-request-method": "PATCH",
        "access-control-request-headers": "authorization",
    }
    response = client().options("/missing", headers=headers)
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == APP
    assert "PATCH" in response.headers["access-control-allow-methods"]
    allowed = response.headers["access-control-allow-headers"].lower()
    assert all(name in allowed for name in ("authorization", "content-type", "idempotency-key", "last-event-id"))
    assert "access-control-allow-credentials" not in response.headers


def test_options_request_without_request_method_is_no_preflight() -> None:
    assert client().options("/", headers={"origin": APP}).headers["x-method"] == "OPTIONS"


def test_production_allows_only_configured_origins() -> None:
    production = {"HUB_ENV": "production", "HUB_SECRET_KEYS": token_urlsafe(32), "HUB_ALLOWED_ORIGINS": ""}
    response = client(**production).get("/", headers={"origin": "http://localhost:5173"})
    assert "access-control-allow-origin" not in response.headers
    assert response.headers["vary"] == "Accept-Encoding"
