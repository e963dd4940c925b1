"""How the hub is: up, ready to write, and in numbers."""

import hmac
from typing import Literal

from sqlalchemy import Connection, text
from starlette.responses import Response

from api.metrics import CONTENT_TYPE
from api.operations.call import Call
from services.errors import StorageUnavailable, Unauthenticated
from services.schemas import Schema

_ASK = text("SELECT position FROM counter")


class Health(Schema, frozen=True):
    """A sign of life."""

    status: Literal["ok"] = "ok"


async def health(call: Call[None, None]) -> Health:
    """Whether the process is up."""
    return Health()


async def ready(call: Call[None, None]) -> Health:
    """Whether the store answers and may be written to."""
    if call.hub.database.storage_failed:
        raise StorageUnavailable
    await call.read(_position)
    return Health()


async def metrics(call: Call[None, None]) -> Response:
    """Numbers for Prometheus."""
    token = call.hub.settings.metrics_token
    given = call.request.headers.get("authorization", "").removeprefix("Bearer ")
    if token and not hmac.compare_digest(given.encode(), token.encode()):
        raise Unauthenticated("The metrics need their own token.")
    headers = {"cache-control": "no-store"}
    return Response(call.hub.metrics.render(), headers=headers, media_type=CONTENT_TYPE)


def _position(tx: Connection) -> int:
    return int(tx.execute(_ASK).scalar_one())
