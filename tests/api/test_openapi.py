"""The interface's own description: valid OpenAPI 3.1, and the README names every route in it."""

from pathlib import Path

from openapi_spec_validator import validate

from api.openapi import document
from api.routes import OPERATIONS

README = Path(__file__).parents[2] / "README.md"


def test_the_document_is_valid_openapi() -> None:
    validate(document(OPERATIONS))


def test_the_readme_names_every_route() -> None:
    text = README.read_text()
    assert [f"{op.method} {op.path}" for op in OPERATIONS if f"`{op.method} {op.path}`" not in text] == []
