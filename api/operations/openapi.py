"""The OpenAPI 3.1 document, generated from the operations."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

from api.http.problems import STATUS_BY_CODE
from api.operations.call import Call
from api.operations.operation import Operation
from api.version import VERSION

_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code", "message", "requestId"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "enum": sorted(STATUS_BY_CODE)},
        "message": {"type": "string"},
        "requestId": {"type": "string"},
    },
}
# RFC 7578; OpenAPI 3.1 marks a file by `contentMediaType`.
_FILE = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "contentMediaType": "application/octet-stream"}},
}
_PARAMETER = re.compile(r"{(\w+)}")
_REF = "#/components/schemas/{name}"


def document(operations: Sequence[Operation], cookie: str = "gigwire") -> dict[str, Any]:
    """Return the document of these operations; `cookie` is the name of the session cookie."""
    types = [struct for op in operations for struct in (op.body, op.response) if struct is not None]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    components, remaining = _to_ecma_patterns(components), iter(_to_ecma_patterns(schemas))
    paths: dict[str, dict[str, Any]] = {}
    for op in operations:
        body = next(remaining) if op.body is not None else None
        response = next(remaining) if op.response is not None else None
        paths.setdefault(op.path, {})[op.method.lower()] = _operation(op, body, response)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Gigwire", "version": VERSION, "description": "A self-hosted notification hub."},
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": _PROBLEM},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A session token or an API key."},
                "cookie": {"type": "apiKey", "in": "cookie", "name": cookie},
            },
        },
    }


def handler(operations: Sequence[Operation]) -> Any:
    """Return a handler of the document, which is generated on the first request."""

    @cache
    def encoded(cookie: str) -> bytes:
        return msgspec.json.encode(document(operations, cookie))

    async def get_document(call: Call[None, None]) -> bytes:
        """Get this API as an OpenAPI 3.1 document."""
        return encoded(call.hub.authenticator.cookie.name)

    return get_document


def _operation(op: Operation, body: Any, response: Any) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": op.summary,
        "description": f"For {op.policy.name}.",
        "operationId": f"{op.handler.__module__.rpartition('.')[2]}.{op.handler.__name__}",
        "parameters": _parameters(op),
        "responses": {**_success_responses(op, response), "default": _problem_response()},
        "security": [{}] if op.policy.public else [{"bearer": []}, {"cookie": []}],
    }
    if body is not None:
        described["requestBody"] = {
            "required": not op.body_optional,
            "content": {"application/json": {"schema": body}},
        }
    if op.uploads:
        described["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": _FILE}}}
    return described


def _success_responses(op: Operation, response: Any) -> dict[str, Any]:
    if response is None and op.media_type == "application/json":
        return {"204" if op.status == 200 else str(op.status): {"description": "Success, no content."}}
    schema = response if response is not None else {"type": "string"}
    success = {"description": "Success.", "content": {op.media_type: {"schema": schema}}}
    return {str(status): success for status in (op.status, *op.other_statuses)}


def _problem_response() -> dict[str, Any]:
    schema = {"$ref": _REF.format(name="Problem")}
    return {"description": "A problem (RFC 9457).", "content": {"application/problem+json": {"schema": schema}}}


def _parameters(op: Operation) -> list[dict[str, Any]]:
    path: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(op.path)
    ]
    if op.path_suffix:
        path[-1]["description"] = "An external id; send a slash in it as %2F."
    if op.query is None:
        return path
    schema = msgspec.json.schema_components([op.query], ref_template=_REF)[1][op.query.__name__]
    required = set(schema.get("required", ()))
    return path + [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null(_to_ecma_patterns(inner))}
        for name, inner in schema["properties"].items()
    ]


def _to_ecma_patterns(schema: Any) -> Any:
    """Return the schema with ECMA-262 patterns, which have no `\\Z` and in which `$` is the end of the text."""
    if isinstance(schema, dict):
        return {
            key: value.replace(r"\Z", "$") if key == "pattern" and isinstance(value, str) else _to_ecma_patterns(value)
            for key, value in schema.items()
        }
    return [_to_ecma_patterns(item) for item in schema] if isinstance(schema, list | tuple) else schema


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema without null: a query parameter is absent instead of null."""
    alternatives = [inner for inner in schema.get("anyOf", ()) if inner.get("type") != "null"]
    if not alternatives:
        return {key: value for key, value in schema.items() if key != "default" or value is not None}
    return alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}
