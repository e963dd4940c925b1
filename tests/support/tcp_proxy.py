"""A way to a hub that can be cut and mended: a small TCP proxy."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

CHUNK: Final = 64 * 1024


class Cable:
    """Listens on `url` and passes bytes on to a hub's port; while it is cut, whoever connects is hung up on."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._whole = True
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._talks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Break every connection at once, and let none through."""
        self._whole = False
        for writer in self._ends:
            writer.transport.abort()

    def mend(self) -> None:
        """Let connections through again."""
        self._whole = True

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        if self._talks:
            await asyncio.wait(self._talks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._whole:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        task.add_done_callback(self._talks.discard)
        self._ends.add(writer)
        with suppress(OSError):
            hub_reader, hub_writer = await asyncio.open_connection("127.0.0.1", self._port)
            self._ends.add(hub_writer)
            # Either side's end is the end of both.
            if not self._whole:
                hub_writer.transport.abort()
            passing = [asyncio.create_task(_pass(reader, hub_writer)), asyncio.create_task(_pass(hub_reader, writer))]
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
            hub_writer.close()
            writer.close()
            await asyncio.wait(passing)
            self._ends.discard(hub_writer)
        writer.close()
        self._ends.discard(writer)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        await writer.drain()
