"""Bytes → a checked struct or a clear error: the one strict JSON reader, and the types that bodies are made of."""

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

# A body larger than this is refused before it is read, unless its operation says otherwise.
BODY_BYTES = 64 * 1024
# Deep enough for any data a person made; shallow enough that walking it costs nothing.
DEPTH = 32
_INT64 = range(-(2**63), 2**63)

# \Z, not $: $ would let a trailing newline through.
_NO_CONTROL = r"^[^\x00-\x1f\x7f-\x9f]*\Z"
_NO_CONTROL_BUT_BREAKS = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*\Z"

Line40 = Annotated[str, Meta(min_length=1, max_length=40, pattern=_NO_CONTROL)]
Line64 = Annotated[str, Meta(min_length=1, max_length=64, pattern=_NO_CONTROL)]
Line80 = Annotated[str, Meta(min_length=1, max_length=80, pattern=_NO_CONTROL)]
Line120 = Annotated[str, Meta(min_length=1, max_length=120, pattern=_NO_CONTROL)]
Line200 = Annotated[str, Meta(min_length=1, max_length=200, pattern=_NO_CONTROL)]
Line1000 = Annotated[str, Meta(min_length=1, max_length=1_000, pattern=_NO_CONTROL)]
Text1000 = Annotated[str, Meta(min_length=1, max_length=1_000, pattern=_NO_CONTROL_BUT_BREAKS)]
Text2000 = Annotated[str, Meta(min_length=1, max_length=2_000, pattern=_NO_CONTROL_BUT_BREAKS)]
Text5000 = Annotated[str, Meta(min_length=1, max_length=5_000, pattern=_NO_CONTROL_BUT_BREAKS)]
Text10000 = Annotated[str, Meta(min_length=1, max_length=10_000, pattern=_NO_CONTROL_BUT_BREAKS)]
Icon = Annotated[str, Meta(min_length=1, max_length=16, pattern=_NO_CONTROL)]
Url = Annotated[str, Meta(min_length=1, max_length=500)]
Id = Annotated[str, Meta(min_length=1, max_length=128, pattern=_NO_CONTROL)]
Skills = Annotated[list[Line40], Meta(max_length=30)]
JobSkills = Annotated[list[Line40], Meta(max_length=limits.SKILLS)]
# Money in minor units.
Amount = Annotated[int, Meta(ge=1, le=limits.AMOUNT)]
AmountBound = Annotated[int, Meta(ge=0, le=limits.AMOUNT)]
PageLimit = Annotated[int, Meta(ge=1, le=pagination.MAX_LIMIT)]


class Body(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A JSON object that a request brings; unknown fields are refused."""


class EmptyBody(Body, frozen=True):
    """What an operation takes that asks for nothing but its path: no body, or an object without fields."""


class Query(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """The query string of a request; unknown parameters are refused."""


class PageQuery(Query, frozen=True):
    """Which page of a list, newest first: at most `limit` items; `after` is the `next` of the page before."""

    limit: PageLimit = pagination.DEFAULT_LIMIT
    after: Line200 | None = None


async def read_bytes(request: Request, limit: int = BODY_BYTES) -> bytes:
    """The raw body, at most `limit` bytes. Raises BodyTooLarge, before reading where the length is announced."""
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit:
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
    """Raises UnsupportedMediaType unless the request says its body is UTF-8 JSON."""
    given = request.headers.get("content-type", "")
    if given == "application/json":
        return
    kind, _, rest = given.partition(";")
    charset = rest.replace(" ", "").replace('"', "").lower()
    if kind.strip().lower() != "application/json" or charset not in ("", "charset=utf-8", "charset=utf8"):
        raise UnsupportedMediaType


def decode(body: bytes, into: type[T]) -> T:
    """JSON bytes as a checked value. Raises InvalidJson, InvalidField and UnknownField."""
    value = parse_json(body)
    try:
        return msgspec.convert(value, into)
    except msgspec.ValidationError as error:
        _raise_field(str(error))


def parse_query(pairs: list[tuple[str, str]], into: type[T]) -> T:
    """A query string as a checked value; a parameter given twice is refused."""
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in values:
            raise InvalidField(name, "type", f"The parameter {name[:40]!r} is given twice.")
        values[name] = value
    _check(values, "", 0)
    try:
        return msgspec.convert(values, into, strict=False)
    except msgspec.ValidationError as error:
        _raise_field(str(error), root="")


def parse_json(body: bytes) -> Any:
    """Strict JSON: UTF-8, no duplicate keys, no NaN, bounded depth, 64-bit integers, no lone surrogates."""
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
        raise InvalidJson("The body holds a number that is too long.") from None
    if not _is_sound(value, DEPTH):
        _check(value, "", 0)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise InvalidJson("The body holds the same key twice in one object.")
    return made


def _no_constant(name: str) -> NoReturn:
    raise InvalidJson(f"{name} is not JSON.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise InvalidJson("The body holds a number that is out of range.")
    return number


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite)


def _is_sound(value: Any, room: int) -> bool:
    """Whether `_check` would let it pass; most bodies are, and pointers cost more to make than values to check."""
    if isinstance(value, str):
        return value.isascii() or _encodes(value)
    if isinstance(value, dict):
        return room > 0 and all(_is_sound(key, room) and _is_sound(inner, room - 1) for key, inner in value.items())
    if isinstance(value, list):
        return room > 0 and all(_is_sound(inner, room - 1) for inner in value)
    return not isinstance(value, int) or value in _INT64


def _check(value: Any, pointer: str, depth: int) -> None:
    """Refuse what could not be stored or streamed later."""
    if isinstance(value, str):
        _check_text(value, pointer)
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int):
        if value not in _INT64:
            raise InvalidField(pointer, "range", "That number is out of range.")
    elif isinstance(value, dict | list):
        if depth >= DEPTH:
            raise InvalidJson("The body is nested too deeply.")
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            if isinstance(key, str):
                _check_text(key, pointer)
            _check(inner, f"{pointer}/{escape(str(key))}", depth + 1)


def _check_text(text: str, pointer: str) -> None:
    if not _encodes(text):
        raise InvalidField(pointer, "lone surrogate", "The text holds half of a character pair.")


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def escape(key: str) -> str:
    """One key as part of a JSON pointer (RFC 6901)."""
    return key.encode("utf-8", "replace").decode().replace("~", "~0").replace("/", "~1")


# The sentence holds names that the client made up: no pattern here may look twice at what it has seen.
_PLACE = re.compile(r" - at `(?:key in )?\$?([^`\n]*)`\Z")
_FIELD = re.compile(r"field `(.*?)`")
_REASONS: Mapping[str, str] = {"of length": "length", "matching regex": "control character"}


def _raise_field(message: str, root: str = "/") -> NoReturn:
    """Turn msgspec's sentence into ours, with a JSON pointer (for a query string: the parameter's name)."""
    what, place = message, ""
    if found := _PLACE.search(message):
        what = message[: found.start()]
        place = "".join("/" + escape(part) for part in re.findall(r"[^.\[\]]+", found.group(1)))
    if what.startswith("Object contains unknown field"):
        name = _field_name(what)
        raise UnknownField(_join(place, name, root), f"There is no field called {name[:80]!r} here.")
    if what.startswith("Object missing required field"):
        name = _field_name(what)
        raise InvalidField(_join(place, name, root), "type", f"The field {name!r} is required.")
    pointer = place if root else place.removeprefix("/")
    raise InvalidField(pointer, _reason(what), _sentence(what))


def _join(place: str, name: str, root: str) -> str:
    return f"{place}{root}{escape(name)}"


def _field_name(what: str) -> str:
    found = _FIELD.search(what)
    return found.group(1) if found else ""


def _reason(what: str) -> str:
    for words, reason in _REASONS.items():
        if words in what:
            return reason
    return "range" if re.search(r"[<>]=? |enum value|out of range", what) else "type"


def _sentence(what: str) -> str:
    if "matching regex" in what:
        return "The text holds a control character."
    return what.replace("`", "") + "."
