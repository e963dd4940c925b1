"""The OpenAPI 3.1 document, made from the route table and the structs; nothing in it is written twice."""

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
# RFC 7578; `contentMediaType` is how OpenAPI 3.1 says that a part is a file.
_FILE = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "contentMediaType": "application/octet-stream"}},
}
_PARAMETER = re.compile(r"{(\w+)}")
_REF = "#/components/schemas/{name}"


def document(operations: Sequence[Operation], cookie: str = "gigwire") -> dict[str, Any]:
    """The whole document for these operations."""
    types = [kind for op in operations for kind in (op.body, op.response) if kind is not None]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    components, found = _in_javascript(components), iter(_in_javascript(schemas))
    paths: dict[str, dict[str, Any]] = {}
    for op in operations:
        body = next(found) if op.body is not None else None
        answer = next(found) if op.response is not None else None
        paths.setdefault(op.path, {})[op.method.lower()] = _operation(op, body, answer)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Gigwire", "version": VERSION, "description": "A self-hosted notification hub."},
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": _PROBLEM},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A log-in token or an API key."},
                "cookie": {"type": "apiKey", "in": "cookie", "name": cookie},
            },
        },
    }


def handler(operations: Sequence[Operation]) -> Any:
    """A handler that shows the document, made once, when it is first asked for."""

    @cache
    def rendered(cookie: str) -> bytes:
        return msgspec.json.encode(document(operations, cookie))

    async def show(call: Call[None, None]) -> bytes:
        """This interface as an OpenAPI 3.1 document."""
        return rendered(call.hub.authenticator.cookie.name)

    return show


def _operation(op: Operation, body: Any, answer: Any) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": op.summary,
        "description": f"For {op.policy.name}.",
        "operationId": f"{op.handler.__module__.removeprefix('api.')}.{op.handler.__name__}",
        "parameters": _parameters(op),
        "responses": {**_good(op, answer), "default": _problem_answer()},
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


def _good(op: Operation, answer: Any) -> dict[str, Any]:
    if answer is None and op.media_type == "application/json":
        return {"204" if op.status == 200 else str(op.status): {"description": "Done."}}
    schema = answer if answer is not None else {"type": "string"}
    good = {"description": "Good.", "content": {op.media_type: {"schema": schema}}}
    return {str(status): good for status in (op.status, *op.other_statuses)}


def _problem_answer() -> dict[str, Any]:
    schema = {"$ref": _REF.format(name="Problem")}
    return {"description": "What went wrong (RFC 9457).", "content": {"application/problem+json": {"schema": schema}}}


def _parameters(op: Operation) -> list[dict[str, Any]]:
    path: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(op.path)
    ]
    if op.path_suffix:
        path[-1]["description"] = "Any id; a slash in it is sent as %2F."
    if op.query is None:
        return path
    schema = msgspec.json.schema_components([op.query], ref_template=_REF)[1][op.query.__name__]
    required = set(schema.get("required", ()))
    return path + [
        {"name": name, "in": "query", "required": name in required, "schema": _plain(_in_javascript(inner))}
        for name, inner in schema["properties"].items()
    ]


def _in_javascript(schema: Any) -> Any:
    """The same with patterns as JSON Schema has them (ECMA-262), where `$` is the very end and there is no `\\Z`."""
    if isinstance(schema, dict):
        return {
            key: value.replace(r"\Z", "$") if key == "pattern" and isinstance(value, str) else _in_javascript(value)
            for key, value in schema.items()
        }
    return [_in_javascript(item) for item in schema] if isinstance(schema, list | tuple) else schema


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A query parameter is never null, it is absent: take null out of the alternatives."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    if not kinds:
        return {key: value for key, value in schema.items() if key != "default" or value is not None}
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
