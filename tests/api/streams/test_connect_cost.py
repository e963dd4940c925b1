"""The cost of opening a stream, in function calls instead of time."""

import asyncio
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.api.serving import create_sessions, quiet_log, serve_app
from tests.support.timeouts import TIMEOUT_SECONDS

__all__ = ["quiet_log"]

# The access log, formatted for a terminal, would cost more than the request.
pytestmark = pytest.mark.usefixtures("quiet_log")

# Opened together, so that they share batched lookups as in a reconnect storm.
STREAMS = 100


class CallCounter:
    """Counts the function calls of this thread in a `with` block, including functions written in C."""

    def __init__(self) -> None:
        self.calls = 0

    def __enter__(self) -> "CallCounter":
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _count(self, frame: FrameType, event: str, argument: Any) -> None:
        self.calls += event in ("call", "c_call")


def send_requests(port: int, tokens: list[str]) -> list[socket.socket]:
    """Send one request per token before the next loop iteration. The kernel queues the connections until then."""
    connections = [socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) for _ in tokens]
    for connection, token in zip(connections, tokens, strict=True):
        request = f"GET /api/realtime/connect HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
        connection.sendall(request.encode())
    return connections


def wait_for_confirmations(connections: list[socket.socket]) -> None:
    """Wait until each connection has received its first frame."""
    for connection in connections:
        received = b""
        while b"event: connection_confirmed" not in received:
            received += connection.recv(65_536)


async def count_calls_per_stream(data_dir: Path, transport: str) -> float:
    """Return the function calls on the loop per stream, for streams that are opened together."""
    async with serve_app(data_dir, transport) as (app, port):
        session_ids = await app.hub.database.write(create_sessions, count=2 * STREAMS, now=app.hub.clock())
        tokens = [app.hub.tokens.sign_session(session_id) for session_id in session_ids]
        # The first connections create everything that exists only once.
        first = send_requests(port, tokens[:STREAMS])
        await asyncio.to_thread(wait_for_confirmations, first)
        rest = send_requests(port, tokens[STREAMS:])
        with CallCounter() as counter:
            await asyncio.to_thread(wait_for_confirmations, rest)
        assert app.hub.manager.connections == 2 * STREAMS
        assert app.hub.takeover.streams == (2 * STREAMS if transport == "direct" else 0)
        for connection in first + rest:
            connection.close()
    return counter.calls / STREAMS


async def test_opening_a_direct_stream_takes_a_bounded_number_of_calls(data_dir: Path) -> None:
    # Measured: 556. With Starlette's routing and SQLAlchemy statements in the lookups: 930.
    assert await count_calls_per_stream(data_dir, "direct") < 620


async def test_opening_an_asgi_stream_takes_a_bounded_number_of_calls(data_dir: Path) -> None:
    assert await count_calls_per_stream(data_dir, "asgi") < 820
