"""Validation of text, links and JSON objects that users supply."""

import math
import re
import unicodedata
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from services import limits
from services.errors import InvalidField

# Nesting levels of JSON data; the parsers of some readers fail on deeper data.
MAX_DEPTH = 32
MAX_URL_LENGTH = 500

# Unicode's control characters (category Cc): C0, DEL and C1.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_BUT_BREAKS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# Browsers drop tabs and line ends from an address and read a backslash as a slash (WHATWG URL, 4.4).
_FORBIDDEN_IN_LINKS = re.compile(r"[\x00-\x20\x7f-\x9f\\]")
_INT64 = range(-(2**63), 2**63)

_encoder = msgspec.json.Encoder()


def check_line(text: str, pointer: str, max_length: int) -> None:
    """Check a text of one line: 1 to `max_length` characters without control characters.

    Raises InvalidField: length, control character, lone surrogate.
    """
    _check_text(text, pointer, max_length, _CONTROL)


def check_multiline(text: str, pointer: str, max_length: int) -> None:
    """Check a text of many lines: 1 to `max_length` characters; the only control characters are line breaks and tabs.

    Raises InvalidField: length, control character, lone surrogate.
    """
    _check_text(text, pointer, max_length, _CONTROL_BUT_BREAKS)


def normalize_nfc(text: str) -> str:
    """Return the text with composed accents (NFC, UAX #15).

    Both forms of an accent look the same. Searched text is stored and queried in this one form.
    """
    return unicodedata.normalize("NFC", text)


def check_searchable(text: str, pointer: str, max_length: int) -> str:
    """Return the text in NFC. Raises InvalidField (length); normalization can lengthen a text."""
    normalized = normalize_nfc(text)
    _check_length(normalized, pointer, max_length)
    return normalized


def normalize_skills(names: Iterable[str]) -> list[str]:
    """Return skills in NFC, each once, in the given order. Raises InvalidField (length)."""
    checked = [check_searchable(name, f"/skills/{index}", limits.MAX_SKILL) for index, name in enumerate(names)]
    return list(dict.fromkeys(checked))


def check_link(url: str, pointer: str) -> None:
    """Check an address that a page may follow: a path of the hub's origin, or https with a host and no credentials.

    Raises InvalidField: length, lone surrogate, unsafe link.
    """
    _check_length(url, pointer, MAX_URL_LENGTH)
    _check_no_surrogate(url, pointer)
    if not _is_safe(url):
        raise InvalidField(pointer, "unsafe link", "A link is a path that begins with one / or an https address.")


def check_json_object(value: dict[str, Any], pointer: str, max_bytes: int) -> bytes:
    """Return a JSON object as UTF-8, at most `max_bytes` bytes and `MAX_DEPTH` levels deep.

    Raises InvalidField: length, range (depth, numbers), lone surrogate, type.
    """
    _check_value(value, pointer, 1)
    encoded = _encoder.encode(value)
    if len(encoded) > max_bytes:
        raise InvalidField(pointer, "length", f"The data is larger than {max_bytes} bytes of JSON.")
    return encoded


def _check_text(text: str, pointer: str, max_length: int, forbidden: re.Pattern[str]) -> None:
    _check_length(text, pointer, max_length)
    if forbidden.search(text):
        raise InvalidField(pointer, "control character", "The text contains a control character.")
    _check_no_surrogate(text, pointer)


def _check_length(text: str, pointer: str, max_length: int) -> None:
    if not 1 <= len(text) <= max_length:
        raise InvalidField(pointer, "length", f"The text must be 1 to {max_length} characters long.")


def _check_no_surrogate(text: str, pointer: str) -> None:
    if not text.isascii() and _SURROGATE.search(text):
        raise InvalidField(pointer, "lone surrogate", "The text contains half of a surrogate pair.")


def _is_safe(url: str) -> bool:
    if _FORBIDDEN_IN_LINKS.search(url):
        return False
    if url.startswith("/"):
        return not url.startswith("//")
    try:
        parts = urlsplit(url)
        # Browsers read `https:host` and `https:///host` as hosts; other parsers read them as paths.
        return url[:8].lower() == "https://" and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        return False


def _check_value(value: object, pointer: str, depth: int) -> None:
    """Reject a value that cannot be stored or streamed."""
    if isinstance(value, str):
        _check_no_surrogate(value, pointer)
    elif value is None or isinstance(value, bool):
        return
    elif isinstance(value, int):
        _check_range(value in _INT64, pointer, "That number is out of range.")
    elif isinstance(value, float):
        _check_range(math.isfinite(value), pointer, "That number is not finite.")
    elif isinstance(value, dict | list | tuple):
        _check_range(depth <= MAX_DEPTH, pointer, "The data is nested too deeply.")
        _check_items(value, pointer, depth)
    else:
        raise InvalidField(pointer, "type", "The data is not JSON.")


def _check_items(value: dict[Any, Any] | list[Any] | tuple[Any, ...], pointer: str, depth: int) -> None:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        if isinstance(key, str):
            _check_no_surrogate(key, pointer)
        elif isinstance(value, dict):
            raise InvalidField(pointer, "type", "The data is not JSON.")
        _check_value(inner, f"{pointer}/{_escape(key)}", depth + 1)


def _check_range(in_range: bool, pointer: str, message: str) -> None:
    if not in_range:
        raise InvalidField(pointer, "range", message)


def _escape(key: str | int) -> str:
    """Return a key as one reference token of a JSON pointer (RFC 6901)."""
    return str(key).replace("~", "~0").replace("/", "~1")
