"""Every URL, who may call it, what goes in and what comes out."""

from collections.abc import Sequence

from api import health, metrics, openapi, realtime, stream
from api.operation import Operation
from api.policy import ANYBODY, USER

_OPERATIONS: Sequence[Operation] = (
    # Realtime
    Operation(
        method="GET",
        path="/api/realtime/connect",
        handler=stream.connect,
        who=USER,
        query=stream.Connect,
        media_type="text/event-stream",
    ),
    Operation(
        method="GET",
        path="/api/realtime/status",
        handler=realtime.status,
        who=ANYBODY,
        answer=realtime.Status,
    ),
    # Operations
    Operation(method="GET", path="/api/health", handler=health.health, who=ANYBODY, answer=health.Health),
    Operation(method="GET", path="/api/ready", handler=health.ready, who=ANYBODY, answer=health.Health),
    Operation(method="GET", path="/metrics", handler=metrics.show, who=ANYBODY, media_type="text/plain"),
)

OPERATIONS: Sequence[Operation] = (
    *_OPERATIONS,
    Operation(method="GET", path="/openapi.json", handler=openapi.handler(_OPERATIONS), who=ANYBODY),
)
