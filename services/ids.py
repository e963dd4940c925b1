"""Public ids: uuid7 texts, so that ids made later sort later."""

import re

import uuid_utils

ID_PATTERN = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def new_id() -> str:
    """A fresh uuid7 as 36 characters of text."""
    return str(uuid_utils.uuid7())
