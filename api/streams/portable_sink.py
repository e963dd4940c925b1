"""The portable way to one client: chunks wait here until the ASGI server has taken them."""

import asyncio
from collections.abc import Callable

from starlette.types import Send


class AsgiSink:
    """A realtime.ports.Sink over the `send` of any ASGI server.

    `transport` is the connection where the server lets us reach it; elsewhere (None) it is `writer` that is cancelled
    when a stream is aborted.
    """

    __slots__ = (
        "_chunks",
        "_drained",
        "_ended",
        "_loop",
        "_size",
        "_transport",
        "_waiter",
        "_writer",
        "aborted",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport | None,
        writer: asyncio.Task[None] | None,
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._writer = writer
        self.aborted = False
        self._chunks: list[bytes] = []
        self._size = 0
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self._drained: Callable[[], None] | None = None

    def write(self, chunk: bytes) -> None:
        """Queue bytes for the client; nothing happens after `end`."""
        if chunk and not self._ended:
            self._chunks.append(chunk)
            self._size += len(chunk)
            self._wake()

    @property
    def is_drained(self) -> bool:
        """Whether the server has taken everything."""
        return self._size == 0

    def buffered_bytes(self) -> int:
        """Bytes that the server has not taken yet."""
        return self._size

    def end(self, last: bytes = b"") -> None:
        """The response ends after what was written, and `last`."""
        self.write(last)
        self._ended = True
        self._wake()

    def client_gone(self) -> None:
        """The client has gone: the response ends, and nobody gets what waits."""
        self._chunks.clear()
        self.end()

    def abort(self) -> None:
        """The response ends now."""
        self.aborted = True
        self.client_gone()
        if self._transport is not None:
            self._transport.abort()
        elif self._writer is not None:
            self._writer.cancel()

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when everything has been taken."""
        self._drained = callback
        if self._size == 0:
            self._tell_drained()

    async def drain_to(self, send: Send) -> None:
        """Send the body: everything that waits, joined, whenever the server has taken the last of it; then its end."""
        while True:
            if self._chunks:
                chunk = b"".join(self._chunks)
                self._chunks.clear()
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                # Not kept while nothing is written.
                del chunk
                self._size = sum(map(len, self._chunks))
                if self._size == 0:
                    self._tell_drained()
            elif self._ended:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            else:
                self._waiter = self._loop.create_future()
                await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _tell_drained(self) -> None:
        if self._drained is not None:
            self._loop.call_soon(self._drained)
            self._drained = None
