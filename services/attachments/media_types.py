"""Detects a file’s media type from its content."""

import codecs
import re
from typing import Final

MAX_NAME: Final = 200
TEXT_TYPE: Final = "text/plain"
# Media types for uploads. None of them is a page or a script to a browser, and files other than images are always
# served as downloads.
ALLOWED_TYPES: Final = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "application/pdf",
        "application/zip",
        "application/gzip",
        "application/x-7z-compressed",
        "application/msword",
        "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "application/vnd.oasis.opendocument.text",
        "application/vnd.oasis.opendocument.spreadsheet",
        "application/vnd.oasis.opendocument.presentation",
        "audio/mpeg",
        "audio/mp4",
        "audio/ogg",
        "audio/x-wav",
        "video/mp4",
        "video/webm",
        "video/quicktime",
    }
)

_FORBIDDEN_IN_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_FORBIDDEN_IN_TEXT = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")


def detect(head: bytes) -> str | None:
    """Return the media type of the file that begins with these bytes; None if it is not allowed."""
    # Imported on first use, because it takes 0.3 MB.
    import filetype  # type: ignore[import-untyped]  # the package has no stubs

    kind: str | None = filetype.guess_mime(head)
    if kind is None:
        return TEXT_TYPE if _is_text(head) else None
    return kind if kind in ALLOWED_TYPES else None


def safe_name(name: str) -> str:
    """Return the last part of a path without control and bidirectional characters, or `file` if nothing remains."""
    last = re.split(r"[/\\]", _FORBIDDEN_IN_NAME.sub("", name))[-1].strip()
    return last[:MAX_NAME] if last.strip(".") else "file"


def _is_text(head: bytes) -> bool:
    """Return whether the bytes are UTF-8 text that no browser would interpret as a page."""
    try:
        # Incremental, because the last character may be cut off.
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not _FORBIDDEN_IN_TEXT.search(text) and not text.lstrip("\ufeff \t\r\n\f").startswith("<")
