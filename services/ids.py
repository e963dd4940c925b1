"""Makes public ids: uuid7 texts, so that ids made later sort later."""

import uuid_utils


def new_id() -> str:
    """A fresh uuid7 as 36 characters of text."""
    return str(uuid_utils.uuid7())
