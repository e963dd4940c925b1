"""Catching up: streams that are behind are fed pages, from the ring or the log, until they can go live."""

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

# So many pages from the ring, then others have the loop.
_PAGES_A_STEP: Final = 10
# More readers of the log at once than this only make each of them slower.
MAX_CONCURRENT_READS: Final = 8

_log = logging.getLogger(__name__)


class CatchUp:
    """Feeds what is behind. A read of the log is shared by nobody and outlived by nobody: one page, one stream."""

    def __init__(
        self, flow: FanOut, history: History, options: RealtimeOptions, end: Callable[[Stream, ByeReason], None]
    ) -> None:
        """`end` is called for a stream that cannot go on because the log could not be read."""
        self._flow = flow
        self._history = history
        self._options = options
        self._end = end
        self._loop: asyncio.AbstractEventLoop | None = None
        self._read_queue: deque[Stream] = deque()
        self._readers: set[asyncio.Task[None]] = set()
        # What was taken back while a page was on its way, one set per read.
        self._taken_back: list[set[int]] = []

    def bind_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """The loop that the reads are tasks of."""
        self._loop = loop

    async def stop(self) -> None:
        """Break off the reads."""
        self._read_queue.clear()
        readers = tuple(self._readers)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)

    def forget(self, positions: Sequence[int]) -> None:
        """Take events back from the pages that are on their way."""
        for taken_back in self._taken_back:
            taken_back.update(positions)

    def resume_on_drain(self, session: Stream) -> None:
        """Go on when the sink has been emptied."""
        session.sink.on_drain(partial(self.feed, session))

    def feed(self, session: Stream, first: bytes = b"") -> None:
        """Give a stream that is behind what comes next, after `first`, as far as this step goes.

        It ends live, or waits for its sink, for the log, or for its next turn. Safe to call at any time.
        """
        if session.state != "behind" or session.waiting_for_read:
            return
        for _ in range(_PAGES_A_STEP):
            if not session.sink.is_drained and not first:
                self.resume_on_drain(session)
                return
            if not self._flow.backlog.covers(session.position):
                self._enqueue_read(session, first)
                return
            if self._send_backlog_page(session, first):
                # It stands at the head: all that follows comes live.
                self._flow.go_live(session)
                return
            first = b""
        self._running_loop().call_soon(self.feed, session)

    def send_reset(self, session: Stream, reason: str, first: bytes = b"") -> None:
        """Tell a stream that is behind to fetch everything, and make it live from the head."""
        session.position = self._flow.head
        here = str(Cursor(self._options.epoch, self._flow.head))
        session.write(first + reset_frame({"reason": reason, "cursor": here}, here))
        self._flow.go_live(session)

    def _send_backlog_page(self, session: Stream, first: bytes) -> bool:
        """One page from the ring; True when it was the last."""
        most = self._options.page_events
        found = self._flow.backlog.after(session.channels, session.position, most + 1)
        events = _fitting(found[:most], self._options.queue_bytes)
        last = len(events) == len(found)
        self._write(session, events, first)
        session.position = max(session.position, self._flow.head) if last else _position(events[-1])
        return last

    def _write(self, session: Stream, events: Sequence[Event], first: bytes = b"") -> None:
        chunk = first + b"".join([event.frame for event in events])
        if chunk:
            session.write(chunk)
            self._flow.delivered += len(events)

    def _enqueue_read(self, session: Stream, first: bytes) -> None:
        if first:
            session.write(first)
        session.waiting_for_read = True
        self._read_queue.append(session)
        if len(self._readers) < MAX_CONCURRENT_READS:
            reader = self._running_loop().create_task(self._reader_loop(), name="catch-up")
            self._readers.add(reader)
            reader.add_done_callback(self._readers.discard)

    async def _reader_loop(self) -> None:
        """One of the few that read: page after page, for whoever has waited longest."""
        while self._read_queue:
            session = self._read_queue.popleft()
            if session.state != "behind":
                continue
            try:
                await self._read(session)
            except Exception:
                # It comes back with its cursor when the log can be read again; silence would be a gap.
                _log.exception("the log could not be read for a stream that is behind")
                self._end(session, "overloaded")

    async def _read(self, session: Stream) -> None:
        taken_back: set[int] = set()
        self._taken_back.append(taken_back)
        position = session.position
        try:
            page = await self._history.read_after(session.channels, position, self._options.page_events)
            # Asked after the page was read, so that no trimming in between goes unnoticed.
            missed = await self._history.count_missed(
                session.channels, session.own_channel or "", position, own_limit=0, shared_limit=0
            )
        finally:
            # By identity: two empty sets are equal.
            self._taken_back = [other for other in self._taken_back if other is not taken_back]
        session.waiting_for_read = False
        if session.state != "behind":
            return
        if missed.trimmed:
            self.send_reset(session, "trimmed")
            return
        self._send_log_page(session, page, taken_back)
        self.feed(session)

    def _send_log_page(self, session: Stream, page: EventPage, taken_back: Iterable[int]) -> None:
        events = _fitting(page.events, self._options.queue_bytes)
        self._write(session, [event for event in events if event.position not in set(taken_back)])
        session.position = page.next_position if len(events) == len(page.events) else _position(events[-1])

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("start it before opening streams")
        return self._loop


def _fitting(events: list[Event], most_bytes: int) -> list[Event]:
    """As many of the first events as go into `most_bytes` (0: no limit), but at least one."""
    size = 0
    for index, event in enumerate(events):
        size += len(event.frame)
        if index and 0 < most_bytes < size:
            return events[:index]
    return events


def _position(event: Event) -> int:
    assert event.position is not None
    return event.position
