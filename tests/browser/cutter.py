"""A wire between a browser and the hub that a test can cut."""

import asyncio
from contextlib import suppress


class Wire:
    """Carries bytes to the hub and back; `cut` ends every connection at once, as a router that restarts does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.refusing = False

    async def start(self) -> str:
        """Where to reach the hub."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> int:
        """Abort what is open; how many ends that were."""
        ends = list(self._open)
        for writer in ends:
            writer.transport.abort()
        return len(ends)

    async def close(self) -> None:
        """End it."""
        assert self._server is not None
        self._server.close()
        self.cut()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        with suppress(OSError, asyncio.IncompleteReadError):
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
            pair = {writer, up_writer}
            self._open |= pair
            try:
                await asyncio.gather(_pump(reader, up_writer), _pump(up_reader, writer))
            finally:
                self._open -= pair
                for each in pair:
                    each.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()
