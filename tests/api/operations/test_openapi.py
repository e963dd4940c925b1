"""The OpenAPI 3.1 document: validity, external ids, optional bodies and patterns."""

import json
from typing import Any

from openapi_spec_validator import validate

from api.operations.openapi import document
from api.routes.table import OPERATIONS


def test_document_is_valid_openapi() -> None:
    validate(document(OPERATIONS))


def test_document_describes_external_ids_and_optional_bodies() -> None:
    paths = document(OPERATIONS)["paths"]
    (parameter,) = paths["/api/users/by-external-id/{externalId}"]["put"]["parameters"]
    assert (parameter["name"], parameter["in"], parameter["required"]) == ("externalId", "path", True)
    ticket = paths["/api/realtime/tickets"]["post"]["requestBody"]
    assert ticket["required"] is False
    assert ticket["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/TicketRequest"}
    assert [body["required"] for body in _bodies(paths)].count(False) == 2, "the bodies of a ticket and of a hire"


def test_patterns_are_valid_in_ecmascript() -> None:
    text = json.dumps(document(OPERATIONS))
    assert '"pattern"' in text
    assert "\\\\Z" not in text


def _bodies(paths: dict[str, Any]) -> list[dict[str, Any]]:
    return [op["requestBody"] for operations in paths.values() for op in operations.values() if "requestBody" in op]
