"""The delivery guarantee: every client receives exactly its events, in order, or a justified reset."""

import asyncio
import json
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from realtime.cursor import Cursor
from realtime.event import Event
from tests.realtime.driver import SHARED, Client, Driver
from tests.realtime.fake_ports import FakeSink
from tests.support.sse_parser import parse

CHANNELS = ("user:u", "user:v", *SHARED)
CLIENTS = st.integers(0, 3)


@dataclass
class Browser:
    """A client with a memory: the events received since its last full fetch, and its cursor."""

    user_id: str
    channels: tuple[str, ...]
    cursor: str = ""
    # The position of the last full fetch, and the positions received since.
    since: int = 0
    received: list[int] = field(default_factory=list)
    ephemeral: list[str] = field(default_factory=list)
    stream: Client | None = None
    # How many events of the stream, and chunks of its sink, were checked.
    checked_events: int = 0
    checked_chunks: int = 0
    # Always live so far: ephemeral events must arrive in order with the durable ones.
    always_live: bool = True


class Delivery(RuleBasedStateMachine):
    """A manager with small limits, so that every limit is reached often."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.driver = Driver(
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
        self.loop.run_until_complete(self.driver.manager.start())
        self.committed: list[Event] = []
        self.forgotten: set[int] = set()
        self.unpublished: list[Event] = []
        # The channel of each ephemeral event, and the head when it was published.
        self.ephemeral: dict[str, tuple[str, int]] = {}
        self.browsers = [
            Browser("u", ("user:u", *SHARED)),
            Browser("u", ("user:u", *SHARED)),
            Browser("v", ("user:v", "jobs")),
            Browser("v", ("news",)),
        ]
        for browser in self.browsers:
            self.connect(browser, blocked=False)

    # Rules of the server

    @rule(channels=st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=9), size=st.sampled_from([1, 1, 1, 300]))
    def commit(self, channels: list[str], size: int) -> None:
        for channel in channels:
            event = self.driver.history.commit(channel, b"%d%b" % (self.driver.history.head + 1, b" " * size))
            self.committed.append(event)
            self.unpublished.append(event)

    @rule(count=st.sampled_from([1, 100]))
    def publish(self, count: int) -> None:
        events, self.unpublished = self.unpublished[:count], self.unpublished[count:]
        self.driver.manager.publish(events)

    @rule(channels=st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=6))
    def commit_and_publish(self, channels: list[str]) -> None:
        self.commit(channels, 1)
        self.publish(100)

    @rule(channels=st.lists(st.sampled_from(CHANNELS), min_size=4, max_size=16))
    def publish_one_per_iteration(self, channels: list[str]) -> None:
        """Suspend streams that do not read, and move them below the floor of the backlog."""
        for channel in channels:
            self.commit_and_publish([channel])
            self.run_one_iteration()

    @rule(channel=st.sampled_from(CHANNELS))
    def publish_ephemeral(self, channel: str) -> None:
        text = f"ephemeral {len(self.ephemeral)}"
        self.ephemeral[text] = (channel, self.driver.manager.head)
        self.driver.publish_ephemeral(channel, text)

    @rule()
    def run_one_iteration(self) -> None:
        """Run one iteration of the loop."""
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    @rule()
    def send_heartbeats(self) -> None:
        self.driver.now += 17
        self.driver.manager.tick(self.driver.now)

    @precondition(lambda self: self.driver.history.events)
    @rule(data=st.data())
    def trim(self, data: st.DataObject) -> None:
        # Retention trims only published events.
        position = data.draw(st.integers(0, max(self.driver.manager.head, 0)))
        self.check_browsers()
        self.driver.history.trim(position)

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        published = [event.position for event in self.committed if (event.position or 0) <= self.driver.manager.head]
        if published:
            # Prefer recent events, because they may still be queued.
            position = data.draw(st.sampled_from(published[-12:])) or 0
            # Events written before may be read; they must not be written again.
            self.check_browsers()
            self.driver.history.forget(position)
            self.driver.manager.forget([position])
            self.forgotten.add(position)

    @rule()
    def restart(self) -> None:
        self.check_browsers()
        self.loop.run_until_complete(self.driver.manager.stop())
        for browser in self.browsers:
            self.close_stream(browser)
        self.unpublished = []
        self.driver.manager = self.driver.make_manager()
        self.driver.manager.seed(*self.driver.history.load_recent(8))
        self.loop.run_until_complete(self.driver.manager.start())

    # Rules of the clients

    @rule(number=CLIENTS, blocked=st.booleans())
    def reconnect(self, number: int, blocked: bool) -> None:
        browser = self.browsers[number]
        self.disconnect(number)
        self.connect(browser, blocked)

    @rule(number=CLIENTS)
    def fetch_and_reconnect(self, number: int) -> None:
        """Fetch everything by REST, ahead of the published events, and connect from there."""
        browser = self.browsers[number]
        self.commit(["user:u", "news", "jobs", "news"], 1)
        self.disconnect(number)
        position = self.driver.history.head - 1
        browser.cursor, browser.since, browser.received = f"e.{position}", position, []
        self.connect(browser, blocked=False)

    @rule(number=CLIENTS, epoch=st.sampled_from(["f", "e"]))
    def reconnect_with_invalid_cursor(self, number: int, epoch: str) -> None:
        """Connect with a cursor of another epoch, or after the last position."""
        browser = self.browsers[number]
        self.disconnect(number)
        browser.cursor, browser.received = f"{epoch}.{self.driver.history.head + 1}", []
        self.connect(browser, blocked=False)

    @rule(number=CLIENTS)
    def disconnect(self, number: int) -> None:
        browser = self.browsers[number]
        if browser.stream is not None:
            self.check_browsers()
            self.close_stream(browser)

    @rule(number=CLIENTS)
    def block(self, number: int) -> None:
        browser = self.browsers[number]
        if browser.stream is not None:
            browser.stream.sink.blocked = True

    @rule(number=CLIENTS, amount=st.integers(1, 400))
    def read_some_bytes(self, number: int, amount: int) -> None:
        browser = self.browsers[number]
        if browser.stream is not None:
            browser.stream.sink.read(amount)

    @rule(number=CLIENTS)
    def unblock(self, number: int) -> None:
        browser = self.browsers[number]
        if browser.stream is not None:
            browser.stream.sink.unblock()

    # Checks

    @invariant()
    def check_browsers(self) -> None:
        for browser in getattr(self, "browsers", ()):
            if browser.stream is not None:
                self.check_written(browser, browser.stream)
                self.check_received(browser, browser.stream)
                if browser.stream.sink.ended and not browser.stream.sink.buffered_bytes():
                    self.close_stream(browser)

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            self.check_final_state()
        finally:
            # Also after a failed rule: an open loop would make another test fail.
            self.loop.run_until_complete(self.driver.manager.stop())
            self.loop.close()
        assert self.driver.manager.connections == 0
        assert self.driver.manager.snapshot().channels == {}

    def check_final_state(self) -> None:
        """Publish everything and let every client read: then every client has received everything."""
        self.publish(1_000)
        streams = [browser.stream for browser in self.browsers if browser.stream is not None]
        for _ in range(60):
            for stream in streams:
                stream.sink.unblock()
            self.loop.run_until_complete(self.driver.run_until_idle())
            if all(stream.state == "live" for stream in streams):
                break
        self.check_browsers()
        for browser in self.browsers:
            if browser.stream is not None:
                assert browser.stream.state == "live"
                self.check_complete(browser, self.driver.manager.head)

    def connect(self, browser: Browser, blocked: bool) -> None:
        own = f"user:{browser.user_id}"
        cursor = Cursor.parse(browser.cursor) if browser.cursor else None
        manager = self.driver.manager
        decision = self.loop.run_until_complete(manager.decide_resume(cursor, False, browser.channels, own))
        self.check_decision(browser, cursor, decision.reason)
        sink = FakeSink(blocked=blocked)
        browser.stream = self.driver.open(browser.user_id, decision, sink=sink, channels=browser.channels)
        browser.checked_events = browser.checked_chunks = 0
        browser.ephemeral = []
        browser.always_live = cursor is None and not blocked

    def check_decision(self, browser: Browser, cursor: Cursor | None, reason: str | None) -> None:
        if cursor is None:
            assert reason is None
        elif cursor.epoch != "e":
            assert reason == "epoch_changed"
        elif cursor.position > self.driver.history.head:
            assert reason == "ahead"
        else:
            # The log has all committed events; the backlog has only the published ones.
            missed = [event for event in self.committed if (event.position or 0) > cursor.position]
            missed = [event for event in missed if event.channel in browser.channels]
            missed = [event for event in missed if event.position not in self.forgotten]
            own = sum(event.channel == f"user:{browser.user_id}" for event in missed)
            unpublished = sum(event in missed for event in self.unpublished)
            too_many = own > 4 or len(missed) - own > 6
            if reason is None:
                assert not too_many or unpublished
            else:
                assert reason == "trimmed"
                assert too_many or self.driver.history.is_trimmed(browser.channels, cursor.position)

    def check_written(self, browser: Browser, stream: Client) -> None:
        """Events forgotten before this step were not written in it."""
        chunks = stream.sink.chunks[browser.checked_chunks :]
        browser.checked_chunks += len(chunks)
        durable = [event for event in parse(b"".join(chunks)).events if event.type == "test_event"]
        assert not {int(event.text) for event in durable} & self.forgotten

    def close_stream(self, browser: Browser) -> None:
        if browser.stream is not None:
            self.driver.manager.stream_closed(browser.stream.stream)
            browser.stream = None

    def check_received(self, browser: Browser, stream: Client) -> None:
        if stream.state == "catching_up" or stream.sink.blocked:
            browser.always_live = False
        events = stream.events
        for index, event in enumerate(events[browser.checked_events :], browser.checked_events):
            position = Cursor.parse(event.last_event_id).position if event.last_event_id else 0
            assert (event.type == "connection_confirmed") == (index == 0)
            if event.type == "connection_confirmed":
                self.check_confirmation(browser, event.last_event_id)
            elif event.type == "reset":
                self.check_reset(browser, index, json.loads(event.text)["reason"])
                browser.since, browser.received = position, []
            elif event.text in self.ephemeral:
                self.check_ephemeral(browser, event.text)
            elif event.type == "test_event":
                self.check_durable(browser, int(event.text), position)
            else:
                assert event.type in ("heartbeat", "bye")
            if event.type in ("heartbeat", "reset", "test_event"):
                browser.cursor = event.last_event_id
                self.check_complete(browser, position)
        browser.checked_events = len(events)

    def check_confirmation(self, browser: Browser, cursor: str) -> None:
        if cursor and not browser.cursor:
            browser.cursor, browser.since, browser.received = cursor, Cursor.parse(cursor).position, []
        elif cursor:
            assert cursor == browser.cursor

    def check_reset(self, browser: Browser, index: int, reason: str) -> None:
        if index > 1:
            assert reason == "trimmed"
        position = Cursor.parse(browser.cursor or "e.0").position
        if index > 1:
            assert self.driver.history.is_trimmed(browser.channels, position)

    def check_durable(self, browser: Browser, number: int, position: int) -> None:
        assert number == position
        assert position > (browser.received[-1] if browser.received else browser.since)
        browser.received.append(position)

    def check_ephemeral(self, browser: Browser, text: str) -> None:
        channel, published_at = self.ephemeral[text]
        assert channel in browser.channels
        assert text not in browser.ephemeral
        browser.ephemeral.append(text)
        # All durable events published before it were received before it.
        if Cursor.parse(browser.cursor).position < published_at:
            self.check_complete(browser, published_at)
        if browser.always_live:
            # No durable event published after it was received before it.
            assert not browser.received or browser.received[-1] <= published_at

    def check_complete(self, browser: Browser, position: int) -> None:
        """The browser has received exactly the events of its channels in (since, position], except forgotten ones."""
        expected = [
            event.position or 0
            for event in self.committed
            if event.channel in browser.channels and browser.since < (event.position or 0) <= position
        ]
        received = set(browser.received)
        assert received <= set(expected)
        assert set(expected) - received <= self.forgotten


def test_every_client_receives_exactly_its_events_or_a_justified_reset(deep: bool) -> None:
    run_state_machine_as_test(
        Delivery, settings=settings(max_examples=100 if deep else 20, stateful_step_count=60, deadline=None)
    )
