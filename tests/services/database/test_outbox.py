"""The event log compared with a model: pages, counts, trim marks and the seed of the backlog."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Connection, Engine, RootTransaction

from realtime import ports
from realtime.backlog import Backlog
from realtime.event import Event
from services.database import outbox
from services.database.database import Database
from services.database.sqlite import engine as sqlite_engine
from services.event_log import log_retention
from services.event_log.history import History
from services.store.migrate import upgrade

CHANNELS = ("user:a", "user:b", "jobs", "announcements")
SUBJECTS = ("one", "two", "three")

APPENDS = st.tuples(st.just("append"), st.sampled_from(CHANNELS), st.sampled_from((None, None, *SUBJECTS)))
FORGETS = st.tuples(st.just("forget"), st.sampled_from(SUBJECTS), st.none())

channels = st.lists(st.sampled_from(CHANNELS), min_size=0, max_size=4)


@dataclass
class Entry:
    """One event of the model."""

    position: int
    channel: str
    subject: str | None
    created_at: int
    data: bytes


@dataclass
class Model:
    """The log as a list, the marks as a dict."""

    head: int = 0
    entries: list[Entry] = field(default_factory=list)
    cut: dict[str, int] = field(default_factory=dict)

    def past(self, names: list[str], position: int) -> list[Entry]:
        return [e for e in self.entries if e.channel in names and e.position > position]


class Log(RuleBasedStateMachine):
    """Transactions append, forget and trim; readers with any cursor and channels see the events of the model."""

    template: Path
    folder: Path
    stores = 0

    @initialize()
    def open(self) -> None:
        Log.stores += 1
        self.path = self.folder / f"{Log.stores}.db"
        self.path.write_bytes(self.template.read_bytes())
        self.model = Model()
        self.now = 1_000
        self.engine: Engine = sqlite_engine.writer_engine(self.path)
        self.tx: Connection = self.engine.connect()
        # The disk is not the subject of this test.
        sqlite_engine.raw_connection(self.tx).execute("PRAGMA synchronous=OFF")
        # An empty log tests little.
        self.transact([("append", name, None) for name in CHANNELS], 1, True)

    def teardown(self) -> None:
        if hasattr(self, "tx"):
            self.tx.close()
            self.engine.dispose()
            self.path.unlink()

    def begin(self) -> RootTransaction:
        transaction = self.tx.begin()
        outbox.begin(self.tx)
        return transaction

    @rule(
        acts=st.lists(st.one_of(APPENDS, APPENDS, APPENDS, FORGETS), min_size=1, max_size=8),
        aged=st.integers(0, 3),
        keeps=st.sampled_from([True, True, True, False]),
    )
    def transact(self, acts: list[tuple[str, str, str | None]], aged: int, keeps: bool) -> None:
        """Run one transaction, sometimes with a rollback."""
        self.now += aged
        with self.begin() as transaction:
            drafts: list[Entry] = []
            gone: list[int] = []
            kept = list(self.model.entries)
            for act, name, subject in acts:
                if act == "append":
                    position = self.model.head + len(drafts) + 1
                    outbox.append(self.tx, name, "t", {"n": position}, now=self.now, subject=subject)
                    assert outbox.next_cursor(self.tx).endswith(f".{position}")
                    drafts.append(Entry(position, name, subject, self.now, b'{"n":%d}' % position))
                else:
                    outbox.forget(self.tx, name)
                    gone += sorted(e.position for e in kept if e.subject == name)
                    kept = [e for e in kept if e.subject != name]
                    for draft in drafts:
                        draft.data = b"" if draft.subject == name else draft.data
            events = outbox.assign_positions(self.tx)
            left = [draft for draft in drafts if draft.data]
            assert [(e.position, e.channel, e.data) for e in events] == [(d.position, d.channel, d.data) for d in left]
            assert sorted(self.tx.info["outbox"].forgotten) == sorted(gone)
            if keeps:
                transaction.commit()
                self.model.head += len(drafts)
                self.model.entries = kept + left
            else:
                transaction.rollback()

    @rule(keep=st.integers(1, 5), young=st.integers(0, 6), limit=st.integers(1, 6))
    def trim(self, keep: int, young: int, limit: int) -> None:
        """Trim due events; trim marks rise."""
        before = self.now - young
        with self.begin():
            due = log_retention.find_expired(self.tx, before=before, limit=limit) or log_retention.find_over_limit(
                self.tx, channels=CHANNELS, max_events=keep, limit=limit
            )
            log_retention.delete_and_mark(self.tx, rows=due)
        old = sorted((e for e in self.model.entries if e.created_at < before), key=lambda e: e.created_at)
        if old:
            assert len(due) == min(limit, len(old))
            assert {position for _, position in due} <= {e.position for e in old}
        else:
            beyond = {
                e.position: e.channel
                for name in CHANNELS
                for e in self.model.past([name], 0)[: max(0, len(self.model.past([name], 0)) - keep)]
            }
            assert len(due) == min(limit, len(beyond))
            assert all(beyond[position] == channel for channel, position in due)
        removed = {position for _, position in due}
        self.model.entries = [e for e in self.model.entries if e.position not in removed]
        for channel, position in due:
            self.model.cut[channel] = max(position, self.model.cut.get(channel, 0))

    @rule()
    def restart(self) -> None:
        """Restart on the same file."""
        self.tx.close()
        self.engine.dispose()
        self.engine = sqlite_engine.writer_engine(self.path)
        self.tx = self.engine.connect()
        sqlite_engine.raw_connection(self.tx).execute("PRAGMA synchronous=OFF")

    @rule(names=channels, position=st.integers(0, 60), limit=st.integers(1, 5))
    def replay(self, names: list[str], position: int, limit: int) -> None:
        """Read pages from any position: each event once, in order, then the head."""
        found: list[Event] = []
        at = position
        while True:
            with self.begin():
                page = outbox.read_after(self.tx, channels=names, position=at, limit=limit)
            assert page.next_position >= at
            assert len(page.events) <= limit
            found += page.events
            at = page.next_position
            if len(page.events) < limit:
                break
        expected = self.model.past(names, position)
        assert [(e.position, e.channel, e.data) for e in found] == [(e.position, e.channel, e.data) for e in expected]
        assert at == max(position, self.model.head)

    @rule(
        names=channels,
        own=st.sampled_from(("user:a", "")),
        position=st.integers(0, 60),
        own_limit=st.integers(0, 4),
        shared_limit=st.integers(0, 4),
    )
    def count(self, names: list[str], own: str, position: int, own_limit: int, shared_limit: int) -> None:
        with self.begin():
            missed = outbox.count_missed(
                self.tx, channels=names, own=own, position=position, own_limit=own_limit, shared_limit=shared_limit
            )
        mine = [name for name in names if name == own]
        others = [name for name in names if name != own]
        assert missed == ports.MissedCounts(
            own=min(own_limit + 1, len(self.model.past(mine, position))),
            shared=min(shared_limit + 1, len(self.model.past(others, position))),
            trimmed=any(self.model.cut.get(name, 0) > position for name in names),
            head=self.model.head,
        )

    @rule(limit=st.integers(1, 12))
    def seed(self, limit: int) -> None:
        """Seed the backlog from `read_recent`; a reader that it covers has missed no trimmed event."""
        with self.begin():
            events, floor, head = outbox.read_recent(self.tx, limit=limit)
        ring = Backlog()
        ring.seed(events, floor)
        assert head == self.model.head
        assert len(events) <= limit
        for position in range(floor, head + 1):
            assert ring.covers(position)
            assert all(cut <= position for cut in self.model.cut.values())
            expected = [e.position for e in self.model.past(list(CHANNELS), position)]
            assert [e.position for e in ring.after(CHANNELS, position)] == expected

    @invariant()
    def positions_are_never_used_again(self) -> None:
        if not hasattr(self, "tx"):
            return
        with self.begin():
            assert outbox.head(self.tx)[0] == self.model.head


def test_event_log_matches_the_model(template: Path, tmp_path: Path, deep: bool) -> None:
    Log.template, Log.folder = template, tmp_path
    run_state_machine_as_test(
        Log,
        settings=settings(
            max_examples=30 if deep else 20,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def put(tx: Connection, channel: str, n: int = 1, subject: str | None = None) -> str:
    for _ in range(n):
        outbox.append(tx, channel, "t", {}, now=0, subject=subject)
    return outbox.next_cursor(tx)


async def test_history_implements_the_realtime_port(database: Database) -> None:
    history: ports.History = History(database)
    await database.write(put, "jobs", 3)
    await database.write(put, "user:a", 2)
    page = await history.read_after(("jobs", "user:a"), 1, 3)
    assert [event.position for event in page.events] == [2, 3, 4]
    assert page.next_position == 4
    missed = await history.count_missed(("jobs", "user:a"), "user:a", 0, own_limit=5, shared_limit=1)
    assert missed == ports.MissedCounts(own=2, shared=2, trimmed=False, head=5)


async def test_backlog_is_seeded_with_the_newest_events_past_trim_marks(database: Database) -> None:
    for _ in range(5):
        await database.write(put, "user:a")
        await database.write(put, "jobs")
    # The busy channel was trimmed at 6. Event 5 of user:a still exists, but below the mark no reader is complete.
    await database.write(log_retention.delete_and_mark, rows=[("jobs", 2), ("jobs", 4), ("jobs", 6)])
    events, floor, head = await History(database).load_recent(100)
    assert (floor, head) == (6, 10)
    assert [event.position for event in events] == [7, 8, 9, 10]
    ring = Backlog()
    ring.seed(events, floor)
    assert not ring.covers(5)


async def test_repeated_channel_skips_no_event(database: Database) -> None:
    await database.write(put, "jobs", 3)
    page = await History(database).read_after(("jobs", "jobs"), 0, 2)
    assert [event.position for event in page.events] == [1, 2]
    assert page.next_position == 2


async def test_many_channels_are_read_like_one(database: Database) -> None:
    for n in range(12):
        await database.write(put, f"user:{n}", 2)
    page = await History(database).read_after([f"user:{n}" for n in range(11)], 1, 30)
    assert [event.position for event in page.events] == list(range(2, 23))
    assert page.next_position == 24


@pytest.mark.parametrize("trims", [[[("jobs", 4)], [("jobs", 2)]], [[("jobs", 4), ("jobs", 2)]]], ids=["two", "one"])
async def test_trim_mark_never_decreases(database: Database, trims: list[list[tuple[str, int]]]) -> None:
    await database.write(put, "jobs", 5)
    for rows in trims:
        await database.write(log_retention.delete_and_mark, rows=rows)
    missed = await History(database).count_missed(("jobs",), "", 3, own_limit=0, shared_limit=9)
    assert missed == ports.MissedCounts(own=0, shared=1, trimmed=True, head=5)


async def test_position_in_a_response_is_never_reused(database: Database) -> None:
    def append_and_forget(tx: Connection) -> str:
        answer = put(tx, "jobs", subject="x")
        outbox.forget(tx, "x")
        return answer

    epoch = await History(database).epoch()
    assert await database.write(append_and_forget) == f"{epoch}.1"
    assert await database.write(put, "jobs") == f"{epoch}.2"


async def test_new_store_has_its_own_epoch(template: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    upgrade(other)
    epochs = []
    for path in (template, other):
        engine = sqlite_engine.writer_engine(path)
        with engine.connect() as tx, tx.begin():
            epochs.append(outbox.head(tx)[1])
        engine.dispose()
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("name", ["ix_events_channel_position", "ix_events_subject", "ix_events_created_at"])
def test_hot_queries_use_an_index(tx: Connection, name: str) -> None:
    queries: dict[str, tuple[str, tuple[Any, ...]]] = {
        "ix_events_channel_position": (
            "SELECT position FROM events WHERE channel = ? AND position > ? ORDER BY position LIMIT 9",
            ("jobs", 1),
        ),
        "ix_events_subject": ("DELETE FROM events WHERE subject IN (?, ?)", ("x", "y")),
        "ix_events_created_at": (
            "SELECT channel, position FROM events WHERE created_at < ? ORDER BY created_at LIMIT 9",
            (1,),
        ),
    }
    plan = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {queries[name][0]}", queries[name][1]).all()
    text = " ".join(row[3] for row in plan)
    assert name in text
    assert "TEMP B-TREE" not in text
