"""A presence storm: a thousand who come at once are told in lots, each only to those who may know."""

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
from services.presence import broadcaster, visibility
from services.presence.broadcaster import PresenceBroadcaster
from tests.realtime.fake_ports import FakeSink
from tests.support.sse_parser import parse

USERS = 1_000
TOGETHER = 100


def crowd(tx: Connection) -> list[list[str]]:
    """A thousand users in groups of a hundred."""
    make: dict[str, Any] = {"email": None, "password_hash": None, "role": "client", "now": 0}
    ids = [users.create(tx, name=f"{n}", **make).id for n in range(USERS)]
    groups = [ids[at : at + TOGETHER] for at in range(0, USERS, TOGETHER)]
    for at, group in enumerate(groups):
        row = {"id": f"g{at}", "kind": "group", "creator_id": group[0], "last_seq": 0, "created_at": 0, "updated_at": 0}
        tx.execute(insert(tables.conversations), row)
        tx.execute(insert(tables.conversation_members), [member_row(f"g{at}", each, now=0) for each in group])
    return groups


class Crowd:
    """A manager with a thousand streams, and its teller; time is the test's."""

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
        self.teller = PresenceBroadcaster(
            self.manager, database, clock=lambda: round(self.now * 1_000), monotonic=lambda: self.now
        )

    def come(self, user_id: str) -> None:
        sink = self.sinks[user_id] = FakeSink()
        own = f"user:{user_id}"
        self.manager.open_stream(
            sink,
            user_id=user_id,
            channels=(own,),
            own_channel=own,
            decision=ResumeDecision.fresh(),
            session_id=None,
            address="a",
            confirm=lambda session, cursor: b"",
        )

    async def turns(self) -> list[int]:
        """Turn until there is nothing more to tell; the events of each."""
        told = []
        while self.manager.presence.take_changes(self.now, 0) == [] and (events := await self.teller.run_once()):
            told.append(events)
            self.manager.tick(self.now)
        return told

    def heard(self, user_id: str) -> Counter[str]:
        return Counter(m.type for m in parse(self.sinks[user_id].received()).events if m.type == "presence")


@pytest.fixture
async def groups(database: Database) -> list[list[str]]:
    return await database.write(crowd)


async def test_a_thousand_who_come_at_once_are_told_in_lots(database: Database, groups: list[list[str]]) -> None:
    crowd = Crowd(database)
    await crowd.manager.start()
    try:
        for group in groups:
            for user_id in group:
                crowd.come(user_id)
        told = await crowd.turns()
        # Each to the 99 who share a group with them, so many a turn and no more; no million.
        assert sum(told) == USERS * (TOGETHER - 1)
        assert max(told) <= broadcaster.MAX_EVENTS_PER_RUN + TOGETHER
        assert len(told) >= sum(told) // (broadcaster.MAX_EVENTS_PER_RUN + TOGETHER)
        messages = parse(crowd.sinks[groups[0][0]].received()).events
        assert Counter(message.type for message in messages) == {"presence": TOGETHER - 1}
        assert parse(crowd.sinks[groups[0][0]].received()).last_event_id == ""
        assert crowd.manager.stream_cursor(next(iter(crowd.manager.snapshot().streams))) == Cursor("e", 0)
    finally:
        await crowd.manager.stop()


async def test_who_left_is_noted_and_who_comes_back_in_time_is_not_told(
    database: Database, groups: list[list[str]]
) -> None:
    crowd = Crowd(database)
    await crowd.manager.start()
    ann, bob, eve = groups[0][:3]
    try:
        for user_id in (ann, bob, eve):
            crowd.come(user_id)
        assert await crowd.turns() == [6]
        for session in crowd.manager.snapshot().streams:
            if session.user_id != ann:
                crowd.manager.stream_closed(session)
        crowd.now = 30.0
        crowd.come(bob)
        crowd.now = 61.0
        assert await crowd.turns() == [2]
        kept = await database.read(visibility.load_visible, ids=[bob, eve], user_id=ann)
        assert crowd.teller.get_presence(eve, kept[eve]).status == "offline"
        assert crowd.teller.get_presence(eve, kept[eve]).last_seen_at == "1970-01-01T00:00:00.000Z"
        assert crowd.teller.get_presence(bob, kept[bob]).status == "online"
        await crowd.teller.stop()
    finally:
        await crowd.manager.stop()


@pytest.mark.parametrize("pairs", [50, 250])
async def test_watchers_beyond_what_one_look_up_gives_are_told_by_the_next(
    database: Database, groups: list[list[str]], monkeypatch: pytest.MonkeyPatch, pairs: int
) -> None:
    # Fewer than one of them has; more than two have, and fewer than three.
    monkeypatch.setattr(visibility, "MAX_PAIRS", pairs)
    crowd = Crowd(database)
    await crowd.manager.start()
    try:
        for user_id in groups[0]:
            crowd.come(user_id)
        told = await crowd.turns()
        assert sum(told) == TOGETHER * min(pairs, TOGETHER - 1)
    finally:
        await crowd.manager.stop()
