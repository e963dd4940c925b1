"""Public ids (UUIDv7)."""

import re

import uuid_utils

ID_PATTERN = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def new_id() -> str:
    """Return a new UUIDv7 (RFC 9562) as 36 characters of text; later ids sort later."""
    return str(uuid_utils.uuid7())
