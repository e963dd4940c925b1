"""The promise as a whole: whatever happens, every client gets exactly its events, in order, or a reset that is due."""

import asyncio
import json
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from realtime.cursor import Cursor
from realtime.event import Event
from tests.realtime.driver import SHARED, Client, Driver
from tests.realtime.fake_ports import FakeSink
from tests.realtime.sse_parser import parse

CHANNELS = ("user:u", "user:v", *SHARED)
CLIENTS = st.integers(0, 3)


@dataclass
class Browser:
    """A client with a memory: what it has got since it last fetched everything, and where it says it stands."""

    user: str
    channels: tuple[str, ...]
    cursor: str = ""
    # Where the current run of events began, and the positions got since.
    since: int = 0
    got: list[int] = field(default_factory=list)
    soft: list[str] = field(default_factory=list)
    stream: Client | None = None
    # How many of the stream's messages, and of its sink's chunks, were looked at.
    seen: int = 0
    chunks: int = 0
    # No read ahead and no falling behind yet: ephemeral events must come in their place.
    steady: bool = True


class Delivery(RuleBasedStateMachine):
    """Small limits, so that every border is near."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.hub = Driver(
            max_replay=4,
            max_shared_replay=6,
            queue_events=4,
            queue_bytes=500,
            page_events=3,
            backlog_events=6,
            writes_per_slice=1,
            stall_seconds=0,
            max_streams_per_user=0,
            connect_limit=None,
        )
        self.loop.run_until_complete(self.hub.manager.start())
        self.archive: list[Event] = []
        self.taken_back: set[int] = set()
        self.unpublished: list[Event] = []
        self.whispers: dict[str, tuple[str, int]] = {}
        self.browsers = [
            Browser("u", ("user:u", *SHARED)),
            Browser("u", ("user:u", *SHARED)),
            Browser("v", ("user:v", "jobs")),
            Browser("v", ("news",)),
        ]
        for browser in self.browsers:
            self.connect(browser, stuck=False)

    # What the hub does

    @rule(channels=st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=9), size=st.sampled_from([1, 1, 1, 300]))
    def commit(self, channels: list[str], size: int) -> None:
        for channel in channels:
            event = self.hub.history.commit(channel, b"%d%b" % (self.hub.history.head + 1, b" " * size))
            self.archive.append(event)
            self.unpublished.append(event)

    @rule(part=st.sampled_from([1, 100]))
    def publish(self, part: int) -> None:
        events, self.unpublished = self.unpublished[:part], self.unpublished[part:]
        self.hub.manager.publish(events)

    @rule(channels=st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=6))
    def commit_and_publish(self, channels: list[str]) -> None:
        self.commit(channels, 1)
        self.publish(100)

    @rule(channels=st.lists(st.sampled_from(CHANNELS), min_size=4, max_size=16))
    def be_busy(self, channels: list[str]) -> None:
        """A turn of the loop for each event: who does not read falls behind, and soon below the ring's floor."""
        for channel in channels:
            self.commit_and_publish([channel])
            self.turn()

    @rule(channel=st.sampled_from(CHANNELS))
    def whisper(self, channel: str) -> None:
        text = f"soft {len(self.whispers)}"
        self.whispers[text] = (channel, self.hub.manager.head)
        self.hub.publish_ephemeral(channel, text)

    @rule()
    def turn(self) -> None:
        """One turn of the loop."""
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    @rule()
    def beat(self) -> None:
        self.hub.now += 17
        self.hub.manager.tick(self.hub.now)

    @precondition(lambda self: self.hub.log.kept)
    @rule(data=st.data())
    def trim(self, data: st.DataObject) -> None:
        # Only what was published is old enough to be trimmed.
        upto = data.draw(st.integers(0, max(self.hub.manager.head, 0)))
        self.look()
        self.hub.history.trim(upto)

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        published = [event.position for event in self.archive if (event.position or 0) <= self.hub.manager.head]
        if published:
            # Rather something young, that may still wait somewhere.
            position = data.draw(st.sampled_from(published[-12:])) or 0
            # What is written by now may be read; it must not be written again.
            self.look()
            self.hub.history.forget(position)
            self.hub.manager.forget([position])
            self.taken_back.add(position)

    @rule()
    def restart(self) -> None:
        self.look()
        self.loop.run_until_complete(self.hub.manager.stop())
        for browser in self.browsers:
            self.lose(browser)
        self.unpublished = []
        self.hub.manager = self.hub.make_manager()
        self.hub.manager.seed(*self.hub.history.recent(8))
        self.loop.run_until_complete(self.hub.manager.start())

    # What clients do

    @rule(number=CLIENTS, stuck=st.booleans())
    def come_back(self, number: int, stuck: bool) -> None:
        browser = self.browsers[number]
        self.cut(number)
        self.connect(browser, stuck)

    @rule(number=CLIENTS)
    def fetch_and_come(self, number: int) -> None:
        """It reads everything by REST, a moment ahead of what is published, and goes on from there."""
        browser = self.browsers[number]
        self.commit(["user:u", "news", "jobs", "news"], 1)
        self.cut(number)
        browser.cursor, browser.since, browser.got = f"e.{self.hub.history.head - 1}", self.hub.history.head - 1, []
        self.connect(browser, stuck=False)

    @rule(number=CLIENTS, epoch=st.sampled_from(["f", "e"]))
    def confuse(self, number: int, epoch: str) -> None:
        """It brings a cursor of another life, or from the future."""
        browser = self.browsers[number]
        self.cut(number)
        browser.cursor, browser.got = f"{epoch}.{self.hub.history.head + 1}", []
        self.connect(browser, stuck=False)

    @rule(number=CLIENTS)
    def cut(self, number: int) -> None:
        browser = self.browsers[number]
        if browser.stream is not None:
            self.look()
            self.lose(browser)

    @rule(number=CLIENTS)
    def get_stuck(self, number: int) -> None:
        browser = self.browsers[number]
        if browser.stream is not None:
            browser.stream.sink.blocked = True

    @rule(number=CLIENTS, amount=st.integers(1, 400))
    def read_a_little(self, number: int, amount: int) -> None:
        browser = self.browsers[number]
        if browser.stream is not None:
            browser.stream.sink.read(amount)

    @rule(number=CLIENTS)
    def read_on(self, number: int) -> None:
        browser = self.browsers[number]
        if browser.stream is not None:
            browser.stream.sink.unblock()

    # What must hold

    @invariant()
    def look(self) -> None:
        for browser in getattr(self, "browsers", ()):
            if browser.stream is not None:
                self.check_written(browser, browser.stream)
                self.read_new(browser, browser.stream)
                if browser.stream.sink.ended and not browser.stream.sink.buffered_bytes():
                    self.lose(browser)

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            self.come_to_rest()
        finally:
            # Also when a rule has failed: a loop left open would fail some other test.
            self.loop.run_until_complete(self.hub.manager.stop())
            self.loop.close()
        assert self.hub.manager.connections == 0
        assert self.hub.manager.snapshot().channels == {}

    def come_to_rest(self) -> None:
        """Everything is published and everybody reads: then everybody has everything."""
        self.publish(1_000)
        streams = [browser.stream for browser in self.browsers if browser.stream is not None]
        for _ in range(60):
            for stream in streams:
                stream.sink.unblock()
            self.loop.run_until_complete(self.hub.run_until_idle())
            if all(stream.state == "live" for stream in streams):
                break
        self.look()
        for browser in self.browsers:
            if browser.stream is not None:
                assert browser.stream.state == "live"
                self.check(browser, self.hub.manager.head)

    def connect(self, browser: Browser, stuck: bool) -> None:
        own = f"user:{browser.user}"
        cursor = Cursor.parse(browser.cursor) if browser.cursor else None
        manager = self.hub.manager
        verdict = self.loop.run_until_complete(manager.decide_resume(cursor, False, browser.channels, own))
        self.check_verdict(browser, cursor, verdict.reason)
        sink = FakeSink(blocked=stuck)
        browser.stream = self.hub.open(browser.user, verdict, sink=sink, channels=browser.channels)
        browser.seen = browser.chunks = 0
        browser.soft = []
        browser.steady = cursor is None and not stuck

    def check_verdict(self, browser: Browser, cursor: Cursor | None, reason: str | None) -> None:
        if cursor is None:
            assert reason is None
        elif cursor.epoch != "e":
            assert reason == "epoch_changed"
        elif cursor.position > self.hub.history.head:
            assert reason == "ahead"
        else:
            # Published or not, the log has it; the ring only knows what was published.
            missed = [event for event in self.archive if (event.position or 0) > cursor.position]
            missed = [event for event in missed if event.channel in browser.channels]
            missed = [event for event in missed if event.position not in self.taken_back]
            own = sum(event.channel == f"user:{browser.user}" for event in missed)
            unpublished = sum(event in missed for event in self.unpublished)
            too_many = own > 4 or len(missed) - own > 6
            if reason is None:
                assert not too_many or unpublished
            else:
                assert reason == "trimmed"
                assert too_many or self.hub.history.is_trimmed(browser.channels, cursor.position)

    def check_written(self, browser: Browser, stream: Client) -> None:
        """What was taken back before this step was not written in it."""
        chunks = stream.sink.chunks[browser.chunks :]
        browser.chunks += len(chunks)
        facts = [message for message in parse(b"".join(chunks)).messages if message.type == "fact"]
        assert not {int(fact.data) for fact in facts} & self.taken_back

    def lose(self, browser: Browser) -> None:
        if browser.stream is not None:
            self.hub.manager.stream_closed(browser.stream.stream)
            browser.stream = None

    def read_new(self, browser: Browser, stream: Client) -> None:
        if stream.state == "behind" or stream.sink.blocked:
            browser.steady = False
        messages = stream.messages
        for index, message in enumerate(messages[browser.seen :], browser.seen):
            stands = Cursor.parse(message.last_event_id).position if message.last_event_id else 0
            assert (message.type == "connection_confirmed") == (index == 0)
            if message.type == "connection_confirmed":
                self.confirm(browser, message.last_event_id)
            elif message.type == "reset":
                self.reset(browser, index, json.loads(message.data)["reason"])
                browser.since, browser.got = stands, []
            elif message.data in self.whispers:
                self.hear(browser, message.data)
            elif message.type == "fact":
                self.take(browser, int(message.data), stands)
            else:
                assert message.type in ("heartbeat", "bye")
            if message.type in ("heartbeat", "reset", "fact"):
                browser.cursor = message.last_event_id
                self.check(browser, stands)
        browser.seen = len(messages)

    def confirm(self, browser: Browser, cursor: str) -> None:
        if cursor and not browser.cursor:
            browser.cursor, browser.since, browser.got = cursor, Cursor.parse(cursor).position, []
        elif cursor:
            assert cursor == browser.cursor

    def reset(self, browser: Browser, index: int, reason: str) -> None:
        if index > 1:
            assert reason == "trimmed"
        stands = Cursor.parse(browser.cursor or "e.0").position
        if index > 1:
            assert self.hub.history.is_trimmed(browser.channels, stands)

    def take(self, browser: Browser, number: int, position: int) -> None:
        assert number == position
        assert position > (browser.got[-1] if browser.got else browser.since)
        browser.got.append(position)

    def hear(self, browser: Browser, text: str) -> None:
        channel, told_at = self.whispers[text]
        assert channel in browser.channels
        assert text not in browser.soft
        browser.soft.append(text)
        # All that was published before it has come before it,
        if Cursor.parse(browser.cursor).position < told_at:
            self.check(browser, told_at)
        if browser.steady:
            # and nothing that was published after it.
            assert not browser.got or browser.got[-1] <= told_at

    def check(self, browser: Browser, upto: int) -> None:
        """It has got exactly what its channels told in (since, upto], but for what was taken back."""
        due = [
            event.position or 0
            for event in self.archive
            if event.channel in browser.channels and browser.since < (event.position or 0) <= upto
        ]
        got = set(browser.got)
        assert got <= set(due)
        assert set(due) - got <= self.taken_back


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
