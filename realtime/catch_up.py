"""CatchUp: replays pages from the backlog or the log until a stream is live."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from realtime.cursor import Cursor
from realtime.event import ByeReason, Event, reset_frame
from realtime.fan_out import FanOut
from realtime.options import RealtimeOptions
from realtime.ports import EventPage, History
from realtime.stream import Stream

# After this many pages from the backlog, the loop runs other callbacks.
_PAGES_PER_STEP: Final = 10
# More concurrent reads of the log only make each of them slower.
MAX_CONCURRENT_READS: Final = 8

_log = logging.getLogger(__name__)


class CatchUp:
    """Sends pages to streams that are catching up. Each read of the log serves one page of one stream."""

    def __init__(
        self,
        fan_out: FanOut,
        history: History,
        options: RealtimeOptions,
        end_stream: Callable[[Stream, ByeReason], None],
    ) -> None:
        """`end_stream` is called for a stream that cannot continue because the log could not be read."""
        self._fan_out = fan_out
        self._history = history
        self._options = options
        self._end_stream = end_stream
        self._loop: asyncio.AbstractEventLoop | None = None
        self._read_queue: deque[Stream] = deque()
        self._readers: set[asyncio.Task[None]] = set()
        # One set per running read: the positions forgotten since the read began.
        self._forgotten: list[set[int]] = []

    def bind_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the event loop of the reader tasks."""
        self._loop = loop

    async def stop(self) -> None:
        """Cancel all reads."""
        self._read_queue.clear()
        readers = tuple(self._readers)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)

    def forget(self, positions: Sequence[int]) -> None:
        """Remove events from the pages that are being read."""
        for forgotten in self._forgotten:
            forgotten.update(positions)

    def resume_on_drain(self, stream: Stream) -> None:
        """Continue when the sink of the stream is drained."""
        stream.sink.on_drain(partial(self.feed, stream))

    def feed(self, stream: Stream, first: bytes = b"") -> None:
        """Write `first`, then the next pages of a stream that is catching up, as far as one step goes.

        Afterwards the stream is live, or waits for its sink, for the log or for its next step. Safe to call at any
        time.
        """
        if stream.state != "catching_up" or stream.waiting_for_read:
            return
        for _ in range(_PAGES_PER_STEP):
            if not stream.sink.is_drained and not first:
                self.resume_on_drain(stream)
                return
            if not self._fan_out.backlog.covers(stream.position):
                self._enqueue_read(stream, first)
                return
            if self._send_backlog_page(stream, first):
                # The stream has reached the head. All later events arrive live.
                self._fan_out.go_live(stream)
                return
            first = b""
        self._running_loop().call_soon(self.feed, stream)

    def send_reset(self, stream: Stream, reason: str, first: bytes = b"") -> None:
        """Write `first` and a reset to a stream that is catching up, and make it live from the head."""
        stream.position = self._fan_out.head
        cursor = str(Cursor(self._options.epoch, self._fan_out.head))
        stream.write(first + reset_frame({"reason": reason, "cursor": cursor}, cursor))
        self._fan_out.go_live(stream)

    def _send_backlog_page(self, stream: Stream, first: bytes) -> bool:
        """Write one page from the backlog. Return True when it was the last one."""
        limit = self._options.page_events
        page = self._fan_out.backlog.after(stream.channels, stream.position, limit + 1)
        events = _fitting(page[:limit], self._options.queue_bytes)
        last = len(events) == len(page)
        self._write(stream, events, first)
        stream.position = max(stream.position, self._fan_out.head) if last else _position(events[-1])
        return last

    def _write(self, stream: Stream, events: Sequence[Event], first: bytes = b"") -> None:
        chunk = first + b"".join([event.frame for event in events])
        if chunk:
            stream.write(chunk)
            self._fan_out.delivered += len(events)

    def _enqueue_read(self, stream: Stream, first: bytes) -> None:
        if first:
            stream.write(first)
        stream.waiting_for_read = True
        self._read_queue.append(stream)
        if len(self._readers) < MAX_CONCURRENT_READS:
            reader = self._running_loop().create_task(self._reader_loop(), name="realtime-catch-up")
            self._readers.add(reader)
            reader.add_done_callback(self._readers.discard)

    async def _reader_loop(self) -> None:
        """Read one page after the other, for the stream that has waited longest, until the queue is empty."""
        while self._read_queue:
            stream = self._read_queue.popleft()
            if stream.state != "catching_up":
                continue
            try:
                await self._read(stream)
            except Exception:
                # The client reconnects with its cursor. If the stream stayed open, events would be missing.
                _log.exception("catch_up_failed")
                self._end_stream(stream, "overloaded")

    async def _read(self, stream: Stream) -> None:
        forgotten: set[int] = set()
        self._forgotten.append(forgotten)
        position = stream.position
        try:
            page = await self._history.read_after(stream.channels, position, self._options.page_events)
            # Checked after the page was read, so that a trim between the two reads is detected.
            missed = await self._history.count_missed(
                stream.channels, stream.own_channel or "", position, own_limit=0, shared_limit=0
            )
        finally:
            # Compared by identity, because two empty sets are equal.
            self._forgotten = [other for other in self._forgotten if other is not forgotten]
        stream.waiting_for_read = False
        if stream.state != "catching_up":
            return
        if missed.trimmed:
            self.send_reset(stream, "trimmed")
            return
        self._send_log_page(stream, page, forgotten)
        self.feed(stream)

    def _send_log_page(self, stream: Stream, page: EventPage, forgotten: Iterable[int]) -> None:
        events = _fitting(page.events, self._options.queue_bytes)
        self._write(stream, [event for event in events if event.position not in set(forgotten)])
        stream.position = page.next_position if len(events) == len(page.events) else _position(events[-1])

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("start must be called before streams are opened")
        return self._loop


def _fitting(events: list[Event], max_bytes: int) -> list[Event]:
    """Return the first events that fit into `max_bytes` (0: no limit), but at least one."""
    size = 0
    for index, event in enumerate(events):
        size += len(event.frame)
        if index and 0 < max_bytes < size:
            return events[:index]
    return events


def _position(event: Event) -> int:
    assert event.position is not None
    return event.position
