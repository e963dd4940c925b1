"""Catching up: streams that are behind are fed pages, from the ring or the log, until they can go live."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from realtime.cursor import Cursor
from realtime.event import Bye, Event, reset
from realtime.fan_out import Flow
from realtime.options import RealtimeOptions
from realtime.ports import History, Page
from realtime.stream import Session

# So many pages from the ring, then others have the loop.
_PAGES_A_STEP: Final = 10
# More readers of the log at once than this only make each of them slower.
READS_AT_ONCE: Final = 8

_log = logging.getLogger(__name__)


class CatchUp:
    """Feeds what is behind. A read of the log is shared by nobody and outlived by nobody: one page, one stream."""

    def __init__(
        self, flow: Flow, history: History, options: RealtimeOptions, end: Callable[[Session, Bye], None]
    ) -> None:
        """`end` is called for a stream that cannot go on because the log could not be read."""
        self._flow = flow
        self._history = history
        self._options = options
        self._end = end
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asking: deque[Session] = deque()
        self._readers: set[asyncio.Task[None]] = set()
        # What was taken back while a page was on its way, one set per read.
        self._taken_back: list[set[int]] = []

    def run_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """The loop that the reads are tasks of."""
        self._loop = loop

    async def stop(self) -> None:
        """Break off the reads."""
        self._asking.clear()
        readers = tuple(self._readers)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)

    def forget(self, positions: Sequence[int]) -> None:
        """Take events back from the pages that are on their way."""
        for taken_back in self._taken_back:
            taken_back.update(positions)

    def wait(self, session: Session) -> None:
        """Go on when the sink has been emptied."""
        session.sink.on_drain(partial(self.feed, session))

    def feed(self, session: Session, first: bytes = b"") -> None:
        """Give a stream that is behind what comes next, after `first`, as far as this step goes.

        It ends live, or waits for its sink, for the log, or for its next turn. Safe to call at any time.
        """
        if session.state != "behind" or session.asked:
            return
        for _ in range(_PAGES_A_STEP):
            if not session.sink.clear and not first:
                self.wait(session)
                return
            if not self._flow.backlog.covers(session.position):
                self._ask(session, first)
                return
            if self._give_page(session, first):
                # It stands at the head: all that follows comes live.
                self._flow.join(session)
                return
            first = b""
        self._running_loop().call_soon(self.feed, session)

    def start_over(self, session: Session, reason: str, first: bytes = b"") -> None:
        """Tell a stream that is behind to fetch everything, and make it live from the head."""
        session.position = self._flow.head
        here = str(Cursor(self._options.epoch, self._flow.head))
        session.push(first + reset({"reason": reason, "cursor": here}, here))
        self._flow.join(session)

    def _give_page(self, session: Session, first: bytes) -> bool:
        """One page from the ring; True when it was the last."""
        most = self._options.page_events
        found = self._flow.backlog.after(session.channels, session.position, most + 1)
        events = _fitting(found[:most], self._options.queue_bytes)
        last = len(events) == len(found)
        self._write(session, events, first)
        session.position = max(session.position, self._flow.head) if last else _position(events[-1])
        return last

    def _write(self, session: Session, events: Sequence[Event], first: bytes = b"") -> None:
        chunk = first + b"".join([event.frame for event in events])
        if chunk:
            session.push(chunk)
            self._flow.delivered += len(events)

    def _ask(self, session: Session, first: bytes) -> None:
        if first:
            session.push(first)
        session.asked = True
        self._asking.append(session)
        if len(self._readers) < READS_AT_ONCE:
            reader = self._running_loop().create_task(self._read_on(), name="catch-up")
            self._readers.add(reader)
            reader.add_done_callback(self._readers.discard)

    async def _read_on(self) -> None:
        """One of the few that read: page after page, for whoever has waited longest."""
        while self._asking:
            session = self._asking.popleft()
            if session.state != "behind":
                continue
            try:
                await self._read(session)
            except Exception:
                # It comes back with its cursor when the log can be read again; silence would be a gap.
                _log.exception("the log could not be read for a stream that is behind")
                self._end(session, "overloaded")

    async def _read(self, session: Session) -> None:
        taken_back: set[int] = set()
        self._taken_back.append(taken_back)
        position = session.position
        try:
            page = await self._history.after(session.channels, position, self._options.page_events)
            # Asked after the page was read, so that no trimming in between goes unnoticed.
            missed = await self._history.missed(
                session.channels, session.own_channel or "", position, own_limit=0, shared_limit=0
            )
        finally:
            # By identity: two empty sets are equal.
            self._taken_back = [other for other in self._taken_back if other is not taken_back]
        session.asked = False
        if session.state != "behind":
            return
        if missed.trimmed:
            self.start_over(session, "trimmed")
            return
        self._give_read(session, page, taken_back)
        self.feed(session)

    def _give_read(self, session: Session, page: Page, taken_back: Iterable[int]) -> None:
        events = _fitting(page.events, self._options.queue_bytes)
        self._write(session, [event for event in events if event.position not in set(taken_back)])
        session.position = page.upto if len(events) == len(page.events) else _position(events[-1])

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
