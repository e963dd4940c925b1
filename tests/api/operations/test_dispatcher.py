"""A path leads to its operation: every one of them, from its first character to its last, whatever stands in it."""

from pathlib import Path
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from api.app import build
from api.config.settings import Settings
from api.http.cross_origin import CrossOriginMiddleware
from api.operations.dispatcher import Dispatcher, PathTable
from api.operations.operation import Operation
from api.operations.policy import ANYBODY
from api.routes.table import OPERATIONS
from services.errors import Forbidden
from services.store.migrate import upgrade

APP = "https://app.example.org"


@pytest.fixture(scope="module")
def paths() -> PathTable:
    return PathTable(OPERATIONS)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
def test_every_operation_is_found_with_what_stands_in_its_path(paths: PathTable, operation: Operation) -> None:
    names = [part.strip("{}") for part in operation.path.split("/") if part.startswith("{")]
    given = {name: f"{number}: ä\n+%2F?" for number, name in enumerate(names)}
    methods, parameters = paths.find(operation.path.format(**given))
    assert methods is not None
    assert methods.path == operation.path
    assert methods.for_method(operation.method) is operation
    assert parameters == given


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/api",
        "/api/jobs/",
        "/api/jobs\n",
        "/api/health\n",
        "/api/health/",
        "//api/health",
        "/api/jobs//bids",
        "/api/jobs/1/bids/",
        "/api/jobs/1/bids\n",
        "/api/jobs/1/2/bids",
        "x/api/jobs/1",
        "/api/bids/1/hire2",
        "/api/bids/1/hires/hire",
    ],
)
def test_a_path_is_matched_whole(paths: PathTable, path: str) -> None:
    assert paths.find(path) == (None, {})


def test_a_foreign_id_may_hold_slashes_and_no_other(paths: PathTable) -> None:
    methods, parameters = paths.find("/api/users/by-external-id/crm/a/b")
    assert methods is not None
    assert parameters == {"externalId": "crm/a/b"}
    assert paths.find("/api/users/a/b") == (None, {})


def test_no_operations_have_no_paths() -> None:
    assert PathTable([]).find("") == (None, {})


async def _say(call: Any) -> dict[str, str]:
    """Answer with the parameters."""
    return dict(call.request.path_params)


async def _refuse(call: Any) -> None:
    """Raise an error of the domain."""
    raise Forbidden("Not you.")


async def _fail(call: Any) -> None:
    """Raise what nobody has thought of."""
    raise ZeroDivisionError


def client(data_dir: Path) -> TestClient:
    """Three operations in front of pages that answer all else, behind the rule for other origins."""
    data_dir.mkdir()
    settings = Settings.read({"HUB_DATA_DIR": str(data_dir), "HUB_ALLOWED_ORIGINS": APP})
    upgrade(settings.database_file)
    operations = [
        Operation(
            method="GET", path="/say/{word}", handler=_say, policy=ANYBODY, response=dict[str, str], anonymous=True
        ),
        Operation(method="PUT", path="/say/{word}", handler=_refuse, policy=ANYBODY, anonymous=True),
        Operation(method="GET", path="/fail", handler=_fail, policy=ANYBODY, anonymous=True),
    ]
    inner = CrossOriginMiddleware(Dispatcher(build(settings).hub, operations, PlainTextResponse("a page")), settings)

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        scope["hub.request_id"] = "r1"
        await inner(scope, receive, send)

    return TestClient(outer, headers={"origin": APP}, raise_server_exceptions=False)


def test_a_method_that_a_path_does_not_know_is_answered_with_those_it_knows(data_dir: Path) -> None:
    answer = client(data_dir).post("/say/hi")
    assert (answer.status_code, answer.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "GET, HEAD, PUT"


def test_what_is_no_operation_is_the_pages(data_dir: Path) -> None:
    asked = client(data_dir)
    assert asked.get("/elsewhere").text == "a page"
    assert asked.get("/say/hi").json() == {"word": "hi"}
    assert asked.head("/say/hi").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"), [("PUT", "/say/hi", 403, "FORBIDDEN"), ("GET", "/fail", 500, "INTERNAL")]
)
def test_a_page_of_another_origin_can_read_every_error(
    data_dir: Path, method: str, path: str, status: int, code: str
) -> None:
    answer = client(data_dir).request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["requestId"] == "r1"
    assert answer.headers["access-control-allow-origin"] == APP


def test_an_unforeseen_error_goes_on_to_the_log(data_dir: Path) -> None:
    loud = TestClient(client(data_dir).app)
    with pytest.raises(ZeroDivisionError):
        loud.get("/fail")
