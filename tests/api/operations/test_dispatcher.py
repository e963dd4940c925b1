"""Dispatcher and PathTable: paths, path parameters, methods and errors."""

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
def test_every_operation_is_found_with_its_path_parameters(paths: PathTable, operation: Operation) -> None:
    names = [part.strip("{}") for part in operation.path.split("/") if part.startswith("{")]
    values = {name: f"{number}: ä\n+%2F?" for number, name in enumerate(names)}
    path_operations, parameters = paths.find(operation.path.format(**values))
    assert path_operations is not None
    assert path_operations.path == operation.path
    assert path_operations.for_method(operation.method) is operation
    assert parameters == values


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
def test_path_must_match_completely(paths: PathTable, path: str) -> None:
    assert paths.find(path) == (None, {})


def test_only_an_external_id_may_contain_slashes(paths: PathTable) -> None:
    path_operations, parameters = paths.find("/api/users/by-external-id/crm/a/b")
    assert path_operations is not None
    assert parameters == {"externalId": "crm/a/b"}
    assert paths.find("/api/users/a/b") == (None, {})


def test_path_table_without_operations_matches_nothing() -> None:
    assert PathTable([]).find("") == (None, {})


async def _return_parameters(call: Any) -> dict[str, str]:
    """Return the path parameters."""
    return dict(call.request.path_params)


async def _raise_domain_error(call: Any) -> None:
    """Raise a domain error."""
    raise Forbidden("Not you.")


async def _raise_unexpected(call: Any) -> None:
    """Raise an unexpected exception."""
    raise ZeroDivisionError


def client(data_dir: Path) -> TestClient:
    """Return a client of three operations and of pages for other paths, behind the CORS middleware."""
    data_dir.mkdir()
    settings = Settings.read({"HUB_DATA_DIR": str(data_dir), "HUB_ALLOWED_ORIGINS": APP})
    upgrade(settings.database_file)
    operations = [
        Operation(
            method="GET",
            path="/say/{word}",
            handler=_return_parameters,
            policy=ANYBODY,
            response=dict[str, str],
            anonymous=True,
        ),
        Operation(method="PUT", path="/say/{word}", handler=_raise_domain_error, policy=ANYBODY, anonymous=True),
        Operation(method="GET", path="/fail", handler=_raise_unexpected, policy=ANYBODY, anonymous=True),
    ]
    inner = CrossOriginMiddleware(Dispatcher(build(settings).hub, operations, PlainTextResponse("a page")), settings)

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        scope["hub.request_id"] = "r1"
        await inner(scope, receive, send)

    return TestClient(outer, headers={"origin": APP}, raise_server_exceptions=False)


def test_unsupported_method_is_rejected_with_the_supported_ones(data_dir: Path) -> None:
    response = client(data_dir).post("/say/hi")
    assert (response.status_code, response.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "GET, HEAD, PUT"


def test_unknown_path_is_passed_to_the_pages(data_dir: Path) -> None:
    hub = client(data_dir)
    assert hub.get("/elsewhere").text == "a page"
    assert hub.get("/say/hi").json() == {"word": "hi"}
    assert hub.head("/say/hi").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("PUT", "/say/hi", 403, "FORBIDDEN"), ("GET", "/fail", 500, "INTERNAL")],
    ids=["domain error", "unexpected exception"],
)
def test_allowed_origin_can_read_every_error(data_dir: Path, method: str, path: str, status: int, code: str) -> None:
    response = client(data_dir).request(method, path)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.json()["requestId"] == "r1"
    assert response.headers["access-control-allow-origin"] == APP


def test_unexpected_exception_is_raised_after_the_response(data_dir: Path) -> None:
    raising = TestClient(client(data_dir).app)
    with pytest.raises(ZeroDivisionError):
        raising.get("/fail")
