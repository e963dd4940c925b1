"""The interface's own description: valid OpenAPI 3.1, and the README names every route in it."""

import json
from pathlib import Path
from typing import Any

from openapi_spec_validator import validate

from api.operations.openapi import document
from api.routes.table import OPERATIONS

README = Path(__file__).parents[3] / "README.md"


def test_the_document_is_valid_openapi() -> None:
    validate(document(OPERATIONS))


def test_the_readme_names_every_route() -> None:
    text = README.read_text()
    assert [f"{op.method} {op.path}" for op in OPERATIONS if f"`{op.method} {op.path}`" not in text] == []


def test_what_a_service_names_by_its_own_id_and_what_may_be_left_out_is_described() -> None:
    paths = document(OPERATIONS)["paths"]
    (parameter,) = paths["/api/users/by-external-id/{externalId}"]["put"]["parameters"]
    assert (parameter["name"], parameter["in"], parameter["required"]) == ("externalId", "path", True)
    ticket = paths["/api/realtime/tickets"]["post"]["requestBody"]
    assert ticket["required"] is False
    assert ticket["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/TicketRequest"}
    assert [body["required"] for body in _bodies(paths)].count(False) == 2, "a ticket's and a hire's"


def test_patterns_are_such_as_a_browser_knows() -> None:
    text = json.dumps(document(OPERATIONS))
    assert '"pattern"' in text
    assert "\\\\Z" not in text


def _bodies(paths: dict[str, Any]) -> list[dict[str, Any]]:
    return [op["requestBody"] for methods in paths.values() for op in methods.values() if "requestBody" in op]
