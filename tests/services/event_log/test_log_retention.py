"""LogRetention: events past the limits, the order of the search, and trim marks."""

from collections.abc import Sequence

import pytest
from sqlalchemy import Connection, func, select

from services.database import outbox
from services.database.database import Database
from services.event_log import log_retention
from services.event_log.log_retention import LogRetention
from services.maintenance.tasks import RetentionPolicy, all_tasks
from services.tables import events
from tests.support.periodic_tasks import NOW, fill, run_tasks, wait_until


def event_counts(tx: Connection) -> dict[str, int]:
    return {
        row.channel: row.n
        for row in tx.execute(select(events.c.channel, func.count().label("n")).group_by(events.c.channel))
    }


async def test_channel_keeps_its_newest_events_and_a_trim_mark(database: Database) -> None:
    await database.write(fill, channel="jobs", count=2_500, now=NOW)
    await database.write(fill, channel="user:1", count=5, now=NOW)
    tasks = [task for task in all_tasks(RetentionPolicy(log_events=10, log_ms=0, inbox_ms=0)) if task.name == "log"]
    async with run_tasks(database, tasks):
        await wait_until(lambda tx: event_counts(tx) == {"jobs": 10, "user:1": 5}, database)
        await database.write(fill, channel="user:1", count=6, now=NOW)
        await wait_until(lambda tx: event_counts(tx) == {"jobs": 10, "user:1": 10}, database)
    missed = await database.read(
        outbox.count_missed, channels=["jobs"], own="user:1", position=2_489, own_limit=1, shared_limit=100
    )
    assert missed.trimmed
    missed = await database.read(
        outbox.count_missed, channels=["jobs"], own="user:1", position=2_490, own_limit=1, shared_limit=100
    )
    assert (missed.trimmed, missed.shared) == (False, 10)


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The channels of each search for events over the limit."""
    searches: list[list[str]] = []
    original = log_retention.find_over_limit

    def spy(tx: Connection, *, channels: Sequence[str], max_events: int, limit: int) -> list[tuple[str, int]]:
        searches.append(list(channels))
        return original(tx, channels=channels, max_events=max_events, limit=limit)

    monkeypatch.setattr(log_retention, "find_over_limit", spy)
    return searches


async def test_log_is_searched_once_and_then_only_in_written_channels(
    database: Database, searched: list[list[str]]
) -> None:
    trim = LogRetention(max_events=2_000, max_age_ms=0)
    names = [f"user:{number:02}" for number in range(45)]
    for name in names:
        await database.write(fill, channel=name, count=50, now=NOW)
    await database.read(trim.find_due, now=NOW, limit=10)
    # Every channel once, whatever its number of events. The last search finds no more channels.
    assert [channels for channels in searched if channels] == [names[:20], names[20:40], names[40:]]
    searched.clear()
    await database.read(trim.find_due, now=NOW, limit=10)
    await database.write(fill, channel="jobs", count=1, now=NOW)
    await database.read(trim.find_due, now=NOW, limit=10)
    assert [channels for channels in searched if channels] == [["jobs"]]


async def test_channels_written_during_the_search_are_searched_again(
    database: Database, searched: list[list[str]]
) -> None:
    trim = LogRetention(max_events=3, max_age_ms=0)
    for number in range(250):
        await database.write(fill, channel=f"user:{number:03}", count=1, now=NOW)
    await database.read(trim.find_due, now=NOW, limit=10)
    # The search has passed the first channels.
    assert searched[-1][-1] == "user:199"
    await database.write(fill, channel="user:000", count=4, now=NOW)
    found = await database.read(trim.find_due, now=NOW, limit=10)
    assert [channel for channel, _ in found] == ["user:000", "user:000"]


async def test_search_continues_after_found_events_are_deleted(database: Database) -> None:
    trim = LogRetention(max_events=5, max_age_ms=0)
    await database.write(fill, channel="jobs", count=12, now=NOW)
    await database.write(fill, channel="user:1", count=6, now=NOW)
    deleted: list[tuple[str, int]] = []
    while found := await database.read(trim.find_due, now=NOW, limit=4):
        assert len(found) <= 4
        await database.write(log_retention.delete_and_mark, rows=found)
        deleted += found
    assert deleted == [*(("jobs", position) for position in range(1, 8)), ("user:1", 13)]
