"""Is the process up, and does the store answer?"""

from typing import Literal

from sqlalchemy import Connection, text

from api.call import Call
from services.errors import StorageUnavailable
from services.shapes import Shape

_ASK = text("SELECT position FROM counter")


class Health(Shape, frozen=True):
    """A sign of life."""

    status: Literal["ok"] = "ok"


async def health(call: Call[None, None]) -> Health:
    """Whether the process is up."""
    return Health()


async def ready(call: Call[None, None]) -> Health:
    """Whether the store answers and may be written to."""
    if call.hub.database.in_doubt:
        raise StorageUnavailable
    await call.read(_position)
    return Health()


def _position(tx: Connection) -> int:
    return int(tx.execute(_ASK).scalar_one())
