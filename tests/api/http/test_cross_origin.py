"""Other origins: allowed ones may read answers to bearer requests, none may act with the cookie."""

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
    """In front of an application that answers everything alike, with a Vary of its own; what is missing with 404."""

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        answer = Response("done", headers={"vary": "Accept-Encoding", "x-method": request.method})
        await (problem_response(NotFound(), "r1") if request.url.path == "/missing" else answer)(scope, receive, send)

    read = Settings.read({"HUB_PUBLIC_URL": OWN, "HUB_ALLOWED_ORIGINS": f"{APP}, capacitor://localhost"} | settings)
    middleware = CrossOriginMiddleware(inner, read)

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
)
def test_another_origin_may_not_act_with_the_cookie(method: str, headers: dict[str, str]) -> None:
    answer = client().request(method, "/", headers=COOKIE | headers)
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["requestId"]) == ("CROSS_ORIGIN", "r1")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "same-origin", "origin": OWN},
        {"sec-fetch-site": "none"},
        # Fetch Metadata is the browser's own word: a proxy in between may have changed the host.
        {"sec-fetch-site": "same-origin", "origin": "http://localhost:5173"},
        {"origin": OWN},
        # Over plain http browsers send no Fetch Metadata, and the hub may be reached by another name.
        {"origin": "http://hub.lan:8000", "host": "hub.lan:8000"},
        {},
    ],
)
def test_ones_own_pages_and_programs_may_act_with_the_cookie(headers: dict[str, str]) -> None:
    assert client().post("/", headers=COOKIE | headers).text == "done"


@pytest.mark.parametrize("headers", [{"authorization": "Bearer x"} | COOKIE, {"cookie": "other=1"}, {}])
def test_a_bearer_or_nobody_is_asked_nothing(headers: dict[str, str]) -> None:
    answer = client().post("/", headers={"sec-fetch-site": "cross-site", "origin": "https://evil.example"} | headers)
    assert answer.text == "done"


def test_a_password_of_the_proxys_is_no_bearer_token() -> None:
    # Browsers send it by themselves, so that it proves nothing about the page.
    headers = COOKIE | {"authorization": "Basic YTpi", "sec-fetch-site": "cross-site"}
    assert client().post("/", headers=headers).status_code == 403


def test_reading_with_the_cookie_is_left_to_the_browsers_own_rule() -> None:
    answer = client().get("/", headers=COOKIE | {"sec-fetch-site": "cross-site", "origin": "https://evil.example"})
    assert answer.text == "done"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("origin", [APP, "capacitor://localhost"])
@pytest.mark.parametrize("path", ["/", "/missing"])
def test_an_allowed_origin_may_read_answers_and_problems(origin: str, path: str) -> None:
    answer = client().get(path, headers={"origin": origin})
    assert answer.headers["access-control-allow-origin"] == origin
    exposed = {name.strip() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert {"RateLimit", "RateLimit-Policy", "Retry-After", "Location"} <= exposed
    assert "access-control-allow-credentials" not in answer.headers
    assert "Origin" in answer.headers["vary"]


def test_an_allowed_origin_may_read_that_it_was_refused() -> None:
    answer = client().post("/", headers=COOKIE | {"sec-fetch-site": "same-site", "origin": APP})
    assert answer.status_code == 403
    assert answer.headers["access-control-allow-origin"] == APP


@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{APP}.evil.example", f"{APP}:444", APP.upper()])
def test_other_origins_may_read_nothing(origin: str) -> None:
    hub = client()
    answer = hub.get("/", headers={"origin": origin})
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["vary"] == "Accept-Encoding, Origin"
    preflight = hub.options("/", headers={"origin": origin, "access-control-request-method": "POST"})
    assert preflight.headers["x-method"] == "OPTIONS", "left to the routes"
    assert "access-control-allow-origin" not in preflight.headers


def test_a_preflight_of_an_allowed_origin_is_answered() -> None:
    asked = {"origin": APP, "access-control-request-method": "PATCH", "access-control-request-headers": "authorization"}
    answer = client().options("/missing", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == APP
    assert "PATCH" in answer.headers["access-control-allow-methods"]
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert all(name in allowed for name in ("authorization", "content-type", "idempotency-key", "last-event-id"))
    assert "access-control-allow-credentials" not in answer.headers


def test_an_ordinary_options_request_is_no_preflight() -> None:
    assert client().options("/", headers={"origin": APP}).headers["x-method"] == "OPTIONS"


def test_in_production_no_other_origin_is_allowed_unless_it_is_named() -> None:
    read = {"HUB_ENV": "production", "HUB_SECRET_KEYS": token_urlsafe(32), "HUB_ALLOWED_ORIGINS": ""}
    answer = client(**read).get("/", headers={"origin": "http://localhost:5173"})
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["vary"] == "Accept-Encoding"
