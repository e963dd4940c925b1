"""What a file is, by its content and never by its name or what the sender says; and what its name may look like."""

import codecs
import re
from typing import Final

NAME_LENGTH: Final = 200
TEXT: Final = "text/plain"
# What people who work together send each other. Nothing among it is a page or a program to a browser, and whatever is
# not an image is only ever downloaded.
ALLOWED: Final = frozenset(
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

_NOT_IN_A_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NOT_IN_A_TEXT = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")


def detect(head: bytes) -> str | None:
    """The type of the file that begins with these bytes, if it is one that may be sent."""
    # Not before the first file: 0.3 MB.
    import filetype  # type: ignore[import-untyped]  # it has no stubs

    kind: str | None = filetype.guess_mime(head)
    if kind is None:
        return TEXT if _is_text(head) else None
    return kind if kind in ALLOWED else None


def safe_name(name: str) -> str:
    """A file's name as it is shown: the last part of a path, without what could not be seen or would mislead."""
    last = re.split(r"[/\\]", _NOT_IN_A_NAME.sub("", name))[-1].strip()
    return last[:NAME_LENGTH] if last.strip(".") else "file"


def _is_text(head: bytes) -> bool:
    """UTF-8 that no browser would take for a page, however it looks at it."""
    try:
        # Not to the end, where the last character may be cut.
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not _NOT_IN_A_TEXT.search(text) and not text.lstrip("\ufeff \t\r\n\f").startswith("<")
