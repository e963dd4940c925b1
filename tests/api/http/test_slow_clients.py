"""BoundedProtocol: the timeout of a client that does not read the end of a response."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from api.http.protocol import BoundedProtocol
from tests.support.timeouts import TIMEOUT_SECONDS


class Transport:
    """A transport with a settable number of unread bytes; records its abort."""

    def __init__(self) -> None:
        self.unread_bytes = 0
        self.aborted = asyncio.Event()

    def get_write_buffer_size(self) -> int:
        return self.unread_bytes

    def abort(self) -> None:
        self.aborted.set()

    def is_closing(self) -> bool:
        return self.aborted.is_set()


class ShortTimeoutProtocol(BoundedProtocol):
    timeout = 0.01


async def unused_app(scope: Any, receive: Any, send: Any) -> None:
    """An application that is never called."""


def connection(*, complete: bool) -> tuple[ShortTimeoutProtocol, Transport]:
    """Return a connection whose client has not read the last 16 KB of the response; `complete`: no more follows."""
    protocol, transport = ShortTimeoutProtocol(uvicorn.Config(unused_app), ServerState(), {}), Transport()
    protocol.transport = cast(asyncio.Transport, transport)
    protocol.flow = FlowControl(protocol.transport)
    protocol.cycle = cast(Any, SimpleNamespace(response_complete=complete))
    transport.unread_bytes = 100_000
    protocol.pause_writing()
    transport.unread_bytes = 16_000
    protocol.resume_writing()
    return protocol, transport


async def test_connection_is_aborted_when_the_rest_of_a_response_is_not_read() -> None:
    _, transport = connection(complete=True)
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await transport.aborted.wait()


@pytest.mark.parametrize("complete", [True, False], ids=["whole response", "response so far"])
async def test_connection_is_not_aborted_when_the_client_reads(complete: bool) -> None:
    protocol, transport = connection(complete=complete)
    if complete:
        transport.unread_bytes = 0
    # Wait longer than the timeout that would abort the connection.
    await asyncio.sleep(3 * protocol.timeout)
    assert not transport.aborted.is_set()
    protocol._stop_reader_timer()
