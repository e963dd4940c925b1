"""Sink for any ASGI server."""

import asyncio
from collections.abc import Callable

from starlette.types import Send


class AsgiSink:
    """A realtime.ports.Sink that buffers chunks until the ASGI server has accepted them with `send`.

    `transport` is the connection, if the server gives access to it. Without it, `abort` cancels the `writer` task.
    """

    __slots__ = (
        "_buffered_bytes",
        "_chunks",
        "_drain_callback",
        "_ended",
        "_loop",
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
        self._buffered_bytes = 0
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self._drain_callback: Callable[[], None] | None = None

    def write(self, chunk: bytes) -> None:
        """Buffer bytes for the client; ignored after `end`."""
        if chunk and not self._ended:
            self._chunks.append(chunk)
            self._buffered_bytes += len(chunk)
            self._wake()

    @property
    def is_drained(self) -> bool:
        """Whether the server has accepted all bytes."""
        return self._buffered_bytes == 0

    def buffered_bytes(self) -> int:
        """Return the number of bytes that the server has not accepted yet."""
        return self._buffered_bytes

    def end(self, last: bytes = b"") -> None:
        """Write `last` and end the response after all buffered bytes."""
        self.write(last)
        self._ended = True
        self._wake()

    def client_gone(self) -> None:
        """Discard the buffered bytes and end the response, because the client has disconnected."""
        self._chunks.clear()
        self.end()

    def abort(self) -> None:
        """End the response immediately and discard the buffered bytes."""
        self.aborted = True
        self.client_gone()
        if self._transport is not None:
            self._transport.abort()
        elif self._writer is not None:
            self._writer.cancel()

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when all bytes have been accepted."""
        self._drain_callback = callback
        if self._buffered_bytes == 0:
            self._schedule_drain_callback()

    async def drain_to(self, send: Send) -> None:
        """Send the body until `end`: all buffered chunks in one message, whenever the previous one was accepted."""
        while True:
            if self._chunks:
                chunk = b"".join(self._chunks)
                self._chunks.clear()
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                # Release the memory while the stream is quiet.
                del chunk
                self._buffered_bytes = sum(map(len, self._chunks))
                if self._buffered_bytes == 0:
                    self._schedule_drain_callback()
            elif self._ended:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            else:
                self._waiter = self._loop.create_future()
                await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _schedule_drain_callback(self) -> None:
        if self._drain_callback is not None:
            self._loop.call_soon(self._drain_callback)
            self._drain_callback = None
