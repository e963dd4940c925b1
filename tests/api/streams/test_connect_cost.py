"""What it costs to open a stream, counted in calls and never in time: a guard against slow decay of the way in."""

import asyncio
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.api.serving import quiet, serving, sign_up

__all__ = ["quiet"]

# A line for each request, as it is drawn for a terminal, would cost more than the request.
pytestmark = pytest.mark.usefixtures("quiet")

# They come at once, so that they share look-ups as those of a storm do.
STREAMS = 100


class Counter:
    """Counts the functions that are called on this thread, those written in C included, while it is on."""

    def __init__(self) -> None:
        self.calls = 0

    def __enter__(self) -> "Counter":
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _count(self, frame: FrameType, event: str, argument: Any) -> None:
        self.calls += event in ("call", "c_call")


def ask_all(port: int, tokens: list[str]) -> list[socket.socket]:
    """Ask for a stream for each, all before the loop has its next turn: the kernel keeps them until then."""
    asked = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in tokens]
    for each, token in zip(asked, tokens, strict=True):
        head = f"GET /api/realtime/connect HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
        each.sendall(head.encode())
    return asked


def read_all(asked: list[socket.socket]) -> None:
    """Wait until each has its first frame."""
    for each in asked:
        received = b""
        while b"event: connection_confirmed" not in received:
            received += each.recv(65_536)


async def calls_a_stream(data_dir: Path, path: str) -> float:
    """How many calls on the loop a stream takes to be opened, of those that come at once."""
    async with serving(data_dir, path) as (app, port):
        ids = await app.hub.database.write(sign_up, count=2 * STREAMS, now=app.hub.clock())
        tokens = [app.hub.tokens.sign_session(each) for each in ids]
        # What is made once is made by the first.
        first = ask_all(port, tokens[:STREAMS])
        await asyncio.to_thread(read_all, first)
        rest = ask_all(port, tokens[STREAMS:])
        with Counter() as counter:
            await asyncio.to_thread(read_all, rest)
        assert app.hub.manager.connections == 2 * STREAMS
        assert app.hub.takeover.streams == (2 * STREAMS if path == "takeover" else 0)
        for each in first + rest:
            each.close()
    return counter.calls / STREAMS


async def test_a_stream_is_opened_in_few_calls(data_dir: Path) -> None:
    # It takes 556; with Starlette's routing and statements of SQLAlchemy in the look-ups it took 930.
    assert await calls_a_stream(data_dir, "takeover") < 620


async def test_a_portable_stream_is_opened_in_few_calls(data_dir: Path) -> None:
    assert await calls_a_stream(data_dir, "portable") < 820
