"""Strict JSON parsing and the field types of request bodies."""

import json
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request

from api.http.problems import BodyTooLarge, UnsupportedMediaType
from services import limits, pagination
from services.errors import InvalidField, InvalidJson, UnknownField

T = TypeVar("T")

# A larger body is rejected before it is read, unless its operation sets another limit.
MAX_BODY_BYTES = 64 * 1024
# Nesting of objects and arrays; low enough that checking a body is cheap.
MAX_DEPTH = 32
_INT64 = range(-(2**63), 2**63)

# \Z instead of $, because $ also matches before a trailing line feed.
_NO_CONTROL = r"^[^\x00-\x1f\x7f-\x9f]*\Z"
_NO_CONTROL_EXCEPT_BREAKS = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*\Z"

Line40 = Annotated[str, Meta(min_length=1, max_length=40, pattern=_NO_CONTROL)]
Line64 = Annotated[str, Meta(min_length=1, max_length=64, pattern=_NO_CONTROL)]
Line80 = Annotated[str, Meta(min_length=1, max_length=80, pattern=_NO_CONTROL)]
Line120 = Annotated[str, Meta(min_length=1, max_length=120, pattern=_NO_CONTROL)]
Line200 = Annotated[str, Meta(min_length=1, max_length=200, pattern=_NO_CONTROL)]
Line1000 = Annotated[str, Meta(min_length=1, max_length=1_000, pattern=_NO_CONTROL)]
Text1000 = Annotated[str, Meta(min_length=1, max_length=1_000, pattern=_NO_CONTROL_EXCEPT_BREAKS)]
Text2000 = Annotated[str, Meta(min_length=1, max_length=2_000, pattern=_NO_CONTROL_EXCEPT_BREAKS)]
Text5000 = Annotated[str, Meta(min_length=1, max_length=5_000, pattern=_NO_CONTROL_EXCEPT_BREAKS)]
Text10000 = Annotated[str, Meta(min_length=1, max_length=10_000, pattern=_NO_CONTROL_EXCEPT_BREAKS)]
Icon = Annotated[str, Meta(min_length=1, max_length=16, pattern=_NO_CONTROL)]
Url = Annotated[str, Meta(min_length=1, max_length=500)]
Id = Annotated[str, Meta(min_length=1, max_length=128, pattern=_NO_CONTROL)]
Skills = Annotated[list[Line40], Meta(max_length=30)]
JobSkills = Annotated[list[Line40], Meta(max_length=limits.MAX_SKILLS)]
# Amounts of money in minor units.
Amount = Annotated[int, Meta(ge=1, le=limits.MAX_AMOUNT)]
AmountBound = Annotated[int, Meta(ge=0, le=limits.MAX_AMOUNT)]
PageLimit = Annotated[int, Meta(ge=1, le=pagination.MAX_LIMIT)]


class Body(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """The JSON object in a request body; unknown fields are rejected."""


class EmptyBody(Body, frozen=True):
    """The body of an operation without arguments: an object without fields."""


class Query(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """The query string of a request; unknown parameters are rejected."""


class PageQuery(Query, frozen=True):
    """One page of a list, newest first: at most `limit` items; `after` is `next` of the previous page."""

    limit: PageLimit = pagination.DEFAULT_LIMIT
    after: Line200 | None = None


async def read_bytes(request: Request, limit: int = MAX_BODY_BYTES) -> bytes:
    """Return the raw body. Raises BodyTooLarge above `limit` bytes, before reading if Content-Length says so."""
    content_length = request.headers.get("content-length", "0")
    if content_length.isdecimal() and int(content_length) > limit:
        raise BodyTooLarge(limit)
    chunks, size, more = [], 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise InvalidJson("The connection ended in the middle of the body.")
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
        size += len(chunks[-1])
        if size > limit:
            raise BodyTooLarge(limit)
    return b"".join(chunks)


def check_media_type(request: Request) -> None:
    """Raise UnsupportedMediaType unless the Content-Type is JSON in UTF-8."""
    content_type = request.headers.get("content-type", "")
    if content_type == "application/json":
        return
    media_type, _, parameters = content_type.partition(";")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    if media_type.strip().lower() != "application/json" or charset not in ("", "charset=utf-8", "charset=utf8"):
        raise UnsupportedMediaType


def decode(body: bytes, into: type[T]) -> T:
    """Return JSON bytes as a validated value. Raises InvalidJson, InvalidField and UnknownField."""
    value = parse_json(body)
    try:
        return msgspec.convert(value, into)
    except msgspec.ValidationError as error:
        _raise_field(str(error))


def parse_query(pairs: list[tuple[str, str]], into: type[T]) -> T:
    """Return a query string as a validated value. Raises InvalidField and UnknownField."""
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in values:
            raise InvalidField(name, "type", f"The parameter {name[:40]!r} is given twice.")
        values[name] = value
    _check_value(values, "", 0)
    try:
        return msgspec.convert(values, into, strict=False)
    except msgspec.ValidationError as error:
        _raise_field(str(error), root="")


def parse_json(body: bytes) -> Any:
    """Return the parsed body: UTF-8, no duplicate keys, no NaN, limited depth, 64-bit integers, no lone surrogates.

    Raises InvalidJson and InvalidField.
    """
    try:
        value = _decoder.decode(body.decode("utf-8"))
    except InvalidJson:
        raise
    except RecursionError:
        raise InvalidJson("The body is nested too deeply.") from None
    except UnicodeDecodeError:
        raise InvalidJson("The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise InvalidJson(f"The body is not valid JSON: {error}.") from None
    except ValueError:
        raise InvalidJson("The body contains a number that is too long.") from None
    if not _is_valid(value, MAX_DEPTH):
        _check_value(value, "", 0)
    return value


def _to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise InvalidJson("The body contains the same key twice in one object.")
    return result


def _reject_constant(name: str) -> NoReturn:
    raise InvalidJson(f"{name} is not JSON.")


def _parse_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise InvalidJson("The body contains a number that is out of range.")
    return number


_decoder = json.JSONDecoder(object_pairs_hook=_to_object, parse_constant=_reject_constant, parse_float=_parse_float)


def _is_valid(value: Any, depth_left: int) -> bool:
    """Return whether `_check_value` would accept the value.

    Most bodies are valid, and building a pointer costs more than checking a value.
    """
    if isinstance(value, str):
        return value.isascii() or _is_encodable(value)
    if isinstance(value, dict):
        return depth_left > 0 and all(
            _is_valid(key, depth_left) and _is_valid(inner, depth_left - 1) for key, inner in value.items()
        )
    if isinstance(value, list):
        return depth_left > 0 and all(_is_valid(inner, depth_left - 1) for inner in value)
    return not isinstance(value, int) or value in _INT64


def _check_value(value: Any, pointer: str, depth: int) -> None:
    """Raise InvalidField or InvalidJson for a value that could not be stored or streamed."""
    if isinstance(value, str):
        _check_text(value, pointer)
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int):
        if value not in _INT64:
            raise InvalidField(pointer, "range", "The number is out of range.")
    elif isinstance(value, dict | list):
        if depth >= MAX_DEPTH:
            raise InvalidJson("The body is nested too deeply.")
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            if isinstance(key, str):
                _check_text(key, pointer)
            _check_value(inner, f"{pointer}/{escape_pointer(str(key))}", depth + 1)


def _check_text(text: str, pointer: str) -> None:
    if not _is_encodable(text):
        raise InvalidField(pointer, "lone surrogate", "The text contains half of a surrogate pair.")


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def escape_pointer(key: str) -> str:
    """Return a key escaped for a JSON pointer (RFC 6901)."""
    return key.encode("utf-8", "replace").decode().replace("~", "~0").replace("/", "~1")


# msgspec's message contains names chosen by the client, so these patterns must not backtrack.
_PATH = re.compile(r" - at `(?:key in )?\$?([^`\n]*)`\Z")
_FIELD = re.compile(r"field `(.*?)`")
_REASONS: Mapping[str, str] = {"of length": "length", "matching regex": "control character"}


def _raise_field(message: str, root: str = "/") -> NoReturn:
    """Raise UnknownField or InvalidField for msgspec's message.

    `root` is `/` for a JSON pointer and empty for the name of a query parameter.
    """
    problem, path = message, ""
    if match := _PATH.search(message):
        problem = message[: match.start()]
        path = "".join("/" + escape_pointer(part) for part in re.findall(r"[^.\[\]]+", match.group(1)))
    if problem.startswith("Object contains unknown field"):
        name = _field_name(problem)
        raise UnknownField(_join(path, name, root), f"There is no field called {name[:80]!r} here.")
    if problem.startswith("Object missing required field"):
        name = _field_name(problem)
        raise InvalidField(_join(path, name, root), "type", f"The field {name!r} is required.")
    pointer = path if root else path.removeprefix("/")
    raise InvalidField(pointer, _reason_of(problem), _to_sentence(problem))


def _join(path: str, name: str, root: str) -> str:
    return f"{path}{root}{escape_pointer(name)}"


def _field_name(problem: str) -> str:
    match = _FIELD.search(problem)
    return match.group(1) if match else ""


def _reason_of(problem: str) -> str:
    for words, reason in _REASONS.items():
        if words in problem:
            return reason
    return "range" if re.search(r"[<>]=? |enum value|out of range", problem) else "type"


def _to_sentence(problem: str) -> str:
    if "matching regex" in problem:
        return "The text contains a control character."
    return problem.replace("`", "") + "."
