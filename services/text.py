"""What texts, links and JSON objects may hold: every caller's words pass here before they become rows."""

import math
import re
import unicodedata
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from services import limits
from services.errors import InvalidField

# Deep enough for any data a person made; a reader's parser may not follow deeper.
DEPTH = 32
URL_LENGTH = 500

# Unicode's control characters (category Cc): C0, DEL and C1.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_BUT_BREAKS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# Browsers drop tabs and line ends from an address and read a backslash as a slash (WHATWG URL, 4.4).
_NOT_IN_A_LINK = re.compile(r"[\x00-\x20\x7f-\x9f\\]")
_INT64 = range(-(2**63), 2**63)

_encoder = msgspec.json.Encoder()


def check_line(text: str, pointer: str, most: int) -> None:
    """A text of one line: 1 to `most` characters, none of them a control character.

    Raises InvalidField: length, control character, lone surrogate.
    """
    _text(text, pointer, most, _CONTROL)


def check_multiline(text: str, pointer: str, most: int) -> None:
    """A text of several lines: 1 to `most` characters, of the control characters only line breaks and tabs.

    Raises InvalidField: length, control character, lone surrogate.
    """
    _text(text, pointer, most, _CONTROL_BUT_BREAKS)


def normalize_nfc(text: str) -> str:
    """The text with each accent as part of its letter where there is such a letter (NFC, UAX #15).

    Accents come both ways, and look the same: what is searched is kept and asked for in this one spelling.
    """
    return unicodedata.normalize("NFC", text)


def check_searchable(text: str, pointer: str, most: int) -> str:
    """The text, composed. Raises InvalidField (length): a few letters grow by it, and then there are too many."""
    found = normalize_nfc(text)
    _length(found, pointer, most)
    return found


def skills(names: Iterable[str]) -> list[str]:
    """Skills as a row keeps them: composed, each once, in the order given. Raises InvalidField (length)."""
    kept = [check_searchable(name, f"/skills/{place}", limits.SKILL) for place, name in enumerate(names)]
    return list(dict.fromkeys(kept))


def check_link(url: str, pointer: str) -> None:
    """An address a page may follow: a path of the hub's own origin, or https with a host and no credentials.

    Raises InvalidField: length, lone surrogate, unsafe link.
    """
    _length(url, pointer, URL_LENGTH)
    _no_surrogate(url, pointer)
    if not _is_safe(url):
        raise InvalidField(pointer, "unsafe link", "A link is a path that begins with one / or an https address.")


def check_json_object(value: dict[str, Any], pointer: str, most: int) -> bytes:
    """An object of JSON values as UTF-8 bytes, at most `most` of them and `DEPTH` levels deep.

    Raises InvalidField: length, range (depth, numbers), lone surrogate, type.
    """
    _value(value, pointer, 1)
    encoded = _encoder.encode(value)
    if len(encoded) > most:
        raise InvalidField(pointer, "length", f"The data is larger than {most} bytes of JSON.")
    return encoded


def _text(text: str, pointer: str, most: int, refused: re.Pattern[str]) -> None:
    _length(text, pointer, most)
    if refused.search(text):
        raise InvalidField(pointer, "control character", "The text holds a control character.")
    _no_surrogate(text, pointer)


def _length(text: str, pointer: str, most: int) -> None:
    if not 1 <= len(text) <= most:
        raise InvalidField(pointer, "length", f"The text must be 1 to {most} characters long.")


def _no_surrogate(text: str, pointer: str) -> None:
    if not text.isascii() and _SURROGATE.search(text):
        raise InvalidField(pointer, "lone surrogate", "The text holds half of a character pair.")


def _is_safe(url: str) -> bool:
    if _NOT_IN_A_LINK.search(url):
        return False
    if url.startswith("/"):
        return not url.startswith("//")
    try:
        parts = urlsplit(url)
        # `https:host` and `https:///host` are hosts to a browser and paths to others.
        return url[:8].lower() == "https://" and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        return False


def _value(value: object, pointer: str, depth: int) -> None:
    """Refuse what could not be stored now or streamed later."""
    if isinstance(value, str):
        _no_surrogate(value, pointer)
    elif value is None or isinstance(value, bool):
        return
    elif isinstance(value, int):
        _known(value in _INT64, pointer, "That number is out of range.")
    elif isinstance(value, float):
        _known(math.isfinite(value), pointer, "That number is not finite.")
    elif isinstance(value, dict | list | tuple):
        _known(depth <= DEPTH, pointer, "The data is nested too deeply.")
        _inside(value, pointer, depth)
    else:
        raise InvalidField(pointer, "type", "The data is not JSON.")


def _inside(value: dict[Any, Any] | list[Any] | tuple[Any, ...], pointer: str, depth: int) -> None:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        if isinstance(key, str):
            _no_surrogate(key, pointer)
        elif isinstance(value, dict):
            raise InvalidField(pointer, "type", "The data is not JSON.")
        _value(inner, f"{pointer}/{_escape(key)}", depth + 1)


def _known(holds: bool, pointer: str, message: str) -> None:
    if not holds:
        raise InvalidField(pointer, "range", message)


def _escape(key: str | int) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return str(key).replace("~", "~0").replace("/", "~1")
