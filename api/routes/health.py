"""Health, readiness and metrics."""

import hmac
from typing import Literal

from sqlalchemy import Connection, text
from starlette.responses import Response

from api.metrics import CONTENT_TYPE
from api.operations.call import Call
from services.errors import StorageUnavailable, Unauthenticated
from services.schemas import Schema

_SELECT_POSITION = text("SELECT position FROM event_counter")


class Health(Schema, frozen=True):
    """The response of a working hub."""

    status: Literal["ok"] = "ok"


async def get_health(call: Call[None, None]) -> Health:
    """Check that the process responds."""
    return Health()


async def get_readiness(call: Call[None, None]) -> Health:
    """Check that the store can be read and written."""
    if call.hub.database.storage_failed:
        raise StorageUnavailable
    await call.read(_load_position)
    return Health()


async def get_metrics(call: Call[None, None]) -> Response:
    """Get metrics for Prometheus."""
    token = call.hub.settings.metrics_token
    received = call.request.headers.get("authorization", "").removeprefix("Bearer ")
    if token and not hmac.compare_digest(received.encode(), token.encode()):
        raise Unauthenticated("Send the metrics token as a bearer token.")
    headers = {"cache-control": "no-store"}
    return Response(call.hub.metrics.render(), headers=headers, media_type=CONTENT_TYPE)


def _load_position(tx: Connection) -> int:
    return int(tx.execute(_SELECT_POSITION).scalar_one())
