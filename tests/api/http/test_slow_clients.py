"""A client that has taken nearly all of an answer has as long for the rest as for any part of it, and no longer."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from api.http.protocol import BoundedProtocol


class Transport:
    """Says how much was not taken yet, and notices that it was cut off."""

    def __init__(self) -> None:
        self.untaken = 0
        self.aborted = asyncio.Event()

    def get_write_buffer_size(self) -> int:
        return self.untaken

    def abort(self) -> None:
        self.aborted.set()

    def is_closing(self) -> bool:
        return self.aborted.is_set()


class Impatient(BoundedProtocol):
    timeout = 0.01


async def nobody(scope: Any, receive: Any, send: Any) -> None:
    """An application that is never asked."""


def connection(*, complete: bool) -> tuple[Impatient, Transport]:
    """One that has taken all of an answer but 16 KB, and makes room for more of it, if there is more."""
    protocol, transport = Impatient(uvicorn.Config(nobody), ServerState(), {}), Transport()
    protocol.transport = cast(asyncio.Transport, transport)
    protocol.flow = FlowControl(protocol.transport)
    protocol.cycle = cast(Any, SimpleNamespace(response_complete=complete))
    transport.untaken = 100_000
    protocol.pause_writing()
    transport.untaken = 16_000
    protocol.resume_writing()
    return protocol, transport


async def test_who_never_takes_what_is_left_of_a_nearly_taken_answer_is_cut_off() -> None:
    _, transport = connection(complete=True)
    async with asyncio.timeout(10):
        await transport.aborted.wait()


@pytest.mark.parametrize("taken", [True, False], ids=["all of it", "as much as there is until now"])
async def test_who_takes_what_there_is_is_not_cut_off(taken: bool) -> None:
    protocol, transport = connection(complete=taken)
    if taken:
        transport.untaken = 0
    # The clock of the loop that would have cut it off goes on past that time.
    await asyncio.sleep(3 * protocol.timeout)
    assert not transport.aborted.is_set()
    protocol._stop_reader_timer()
