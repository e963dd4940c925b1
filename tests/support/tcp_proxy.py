"""TcpProxy: a TCP proxy in front of a hub whose connections a test can close and refuse."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

CHUNK_BYTES: Final = 64 * 1024


class TcpProxy:
    """Forwards connections to a port of this machine: `async with TcpProxy(hub.server.port) as proxy`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._blocked = False
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The URL of the proxy, without a trailing slash."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def close_connections(self) -> None:
        """Abort all open connections on both sides. New connections are accepted."""
        for writer in self._writers:
            writer.transport.abort()

    def block(self) -> None:
        """Abort all open connections and refuse new ones."""
        self._blocked = True
        self.close_connections()

    def unblock(self) -> None:
        """Accept connections again."""
        self._blocked = False

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", 0)

    async def stop(self) -> None:
        """Stop listening, abort all connections and wait until they are closed."""
        assert self._server is not None
        self._server.close()
        self.block()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._blocked:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        with suppress(OSError):
            hub_reader, hub_writer = await asyncio.open_connection("127.0.0.1", self._port)
            self._writers.add(hub_writer)
            # The proxy may have been blocked while it connected.
            if self._blocked:
                hub_writer.transport.abort()
            copies = [asyncio.create_task(_copy(reader, hub_writer)), asyncio.create_task(_copy(hub_reader, writer))]
            # When one side closes, the proxy closes the other side, too.
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            hub_writer.close()
            writer.close()
            await asyncio.wait(copies)
            self._writers.discard(hub_writer)
        writer.close()
        self._writers.discard(writer)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        await writer.drain()
