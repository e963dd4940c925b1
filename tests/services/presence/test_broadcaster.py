"""PresenceBroadcaster: batches, watchers and the last-seen time of many users."""

from collections import Counter
from random import Random
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from realtime.cursor import Cursor
from realtime.manager import RealtimeManager
from realtime.options import RealtimeOptions
from realtime.resume import ResumeDecision
from services import tables
from services.accounts import users
from services.database.database import Database
from services.event_log.history import History
from services.messages.groups import member_row
from services.presence import broadcaster as presence_broadcaster
from services.presence import visibility
from services.presence.broadcaster import PresenceBroadcaster
from tests.realtime.fake_ports import FakeSink
from tests.support.sse_parser import parse

GROUP_SIZE = 100


def create_groups(tx: Connection, count: int) -> list[list[str]]:
    """Create `count` groups of `GROUP_SIZE` users; return the user ids of each group."""
    fields: dict[str, Any] = {"email": None, "password_hash": None, "role": "client", "now": 0}
    groups = [[users.create(tx, name=f"{n}", **fields).id for n in range(GROUP_SIZE)] for _ in range(count)]
    for index, group in enumerate(groups):
        row = {
            "id": f"g{index}",
            "kind": "group",
            "creator_id": group[0],
            "last_seq": 0,
            "created_at": 0,
            "updated_at": 0,
        }
        tx.execute(insert(tables.conversations), row)
        tx.execute(insert(tables.conversation_members), [member_row(f"g{index}", each, now=0) for each in group])
    return groups


class BroadcasterFixture:
    """A manager, its broadcaster, and a clock that the test sets."""

    def __init__(self, database: Database) -> None:
        self.now = 0.0
        self.sinks: dict[str, FakeSink] = {}
        self.manager = RealtimeManager(
            RealtimeOptions(epoch="e", max_streams_per_address=0),
            history=History(database),
            clock=lambda: self.now,
            wall_clock=lambda: round(self.now * 1_000),
            random=Random(7),
            process_id="p",
        )
        self.broadcaster = PresenceBroadcaster(
            self.manager, database, clock=lambda: round(self.now * 1_000), monotonic=lambda: self.now
        )

    def connect(self, user_id: str) -> None:
        sink = self.sinks[user_id] = FakeSink()
        user_channel = f"user:{user_id}"
        self.manager.open_stream(
            sink,
            user_id=user_id,
            channels=(user_channel,),
            own_channel=user_channel,
            decision=ResumeDecision.fresh(),
            session_id=None,
            address="a",
            confirm=lambda stream, cursor: b"",
        )

    async def run_until_idle(self) -> list[int]:
        """Run the broadcaster until nothing is left and return the number of events of each run."""
        counts = []
        while self.manager.presence.take_changes(self.now, 0) == [] and (events := await self.broadcaster.run_once()):
            counts.append(events)
            self.manager.tick(self.now)
        return counts


@pytest.fixture
async def group(database: Database) -> list[str]:
    (group,) = await database.write(create_groups, 1)
    return group


async def test_connects_of_many_users_are_published_in_bounded_batches(database: Database, deep: bool) -> None:
    groups = await database.write(create_groups, 10 if deep else 3)
    user_count = len(groups) * GROUP_SIZE
    hub = BroadcasterFixture(database)
    await hub.manager.start()
    try:
        for group in groups:
            for user_id in group:
                hub.connect(user_id)
        counts = await hub.run_until_idle()
        # Each user has 99 watchers, the other members of the group.
        assert sum(counts) == user_count * (GROUP_SIZE - 1)
        assert max(counts) <= presence_broadcaster.MAX_EVENTS_PER_RUN + GROUP_SIZE
        assert len(counts) >= sum(counts) // (presence_broadcaster.MAX_EVENTS_PER_RUN + GROUP_SIZE)
        messages = parse(hub.sinks[groups[0][0]].received()).events
        assert Counter(message.type for message in messages) == {"presence": GROUP_SIZE - 1}
        assert parse(hub.sinks[groups[0][0]].received()).last_event_id == ""
        assert hub.manager.stream_cursor(next(iter(hub.manager.snapshot().streams))) == Cursor("e", 0)
    finally:
        await hub.manager.stop()


async def test_offline_users_are_saved_and_quick_reconnects_not_published(database: Database, group: list[str]) -> None:
    hub = BroadcasterFixture(database)
    await hub.manager.start()
    ann, bob, eve = group[:3]
    try:
        for user_id in (ann, bob, eve):
            hub.connect(user_id)
        assert await hub.run_until_idle() == [6]
        for stream in hub.manager.snapshot().streams:
            if stream.user_id != ann:
                hub.manager.stream_closed(stream)
        hub.now = 30.0
        hub.connect(bob)
        hub.now = 61.0
        assert await hub.run_until_idle() == [2]
        settings = await database.read(visibility.load_visible, ids=[bob, eve], user_id=ann)
        assert hub.broadcaster.get_presence(eve, settings[eve]).status == "offline"
        assert hub.broadcaster.get_presence(eve, settings[eve]).last_seen_at == "1970-01-01T00:00:00.000Z"
        assert hub.broadcaster.get_presence(bob, settings[bob]).status == "online"
        await hub.broadcaster.stop()
    finally:
        await hub.manager.stop()


@pytest.mark.parametrize("pairs", [50, 250], ids=["under_one_user", "two_users"])
async def test_watchers_beyond_one_query_are_published_by_later_runs(
    database: Database, group: list[str], monkeypatch: pytest.MonkeyPatch, pairs: int
) -> None:
    # Less than the 99 watchers of one user, or the watchers of two but not of three users.
    monkeypatch.setattr(visibility, "MAX_PAIRS", pairs)
    hub = BroadcasterFixture(database)
    await hub.manager.start()
    try:
        for user_id in group:
            hub.connect(user_id)
        counts = await hub.run_until_idle()
        assert sum(counts) == GROUP_SIZE * min(pairs, GROUP_SIZE - 1)
    finally:
        await hub.manager.stop()
