"""Killed with -9 under load, again and again, with an oracle of what was acknowledged.

I1: what was acknowledged is on disk, and what is on disk was asked for. I3: what was told is on disk, unchanged, at the
same position. I4: one key has one effect, and every repeat gets the same answer.
"""

import json
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Timer
from typing import Final

import anyio
import httpx2
import pytest

from services.store.migrate import upgrade
from tests.support.hub import Hub, Person
from tests.support.processes.writer import CALLERS
from tests.support.server import ROOT
from tests.support.stream_client import StreamClient

StartHub = Callable[..., Awaitable[Hub]]

CYCLES: Final = 30
# A cycle's load lasts so long, in seconds; the kill comes at any moment of it.
LOAD: Final = (0.05, 0.4)


@dataclass
class Oracle:
    """What the outside has been told."""

    sent: set[str] = field(default_factory=set)
    # name → the answers it got, all of which must be the same
    answers: dict[str, set[str]] = field(default_factory=dict)
    # position → what was told there
    told: dict[str, set[str]] = field(default_factory=dict)

    @property
    def unanswered(self) -> list[str]:
        return sorted(self.sent - self.answers.keys())

    @property
    def heard(self) -> set[str]:
        return {what for several in self.told.values() for what in several}

    def answer(self, name: str, answer: str) -> None:
        self.answers.setdefault(name, set()).add(answer)

    def tell(self, position: str, what: str) -> None:
        self.told.setdefault(position, set()).add(what)

    def check(self, rows: list[str], events: dict[str, str]) -> None:
        """`rows` are the names on disk, `events` position → name there."""
        counts = Counter(rows)
        assert set(self.answers) - set(counts) == set(), "acknowledged, and lost"
        assert set(counts) - self.sent == set(), "nobody asked for it"
        assert [name for name, count in counts.items() if count > 1] == [], "one key, two effects"
        assert [name for name, answers in self.answers.items() if len(answers) > 1] == [], "one key, two answers"
        assert [at for at, what in self.told.items() if len(what) > 1] == [], "one position, two events"
        assert {at: what for at, what in self.told.items() if {events.get(at)} != what} == {}, "told, and not there"
        assert sorted(events.values()) == sorted(rows), "rows and events belong together"


def healthy(connection: sqlite3.Connection) -> None:
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


# The store alone: quick, and the kill finds the writer at work nearly always.


def test_a_killed_store_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    store = tmp_path / "hub.db"
    upgrade(store)
    oracle, chance = Oracle(), random.Random(11)
    for _ in range(CYCLES):
        flood(store, oracle, seconds=chance.uniform(*LOAD))
        with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
            healthy(connection)
            rows = [name for (name,) in connection.execute("SELECT id FROM announcements")]
            found = connection.execute("SELECT position, data FROM events").fetchall()
            events = {str(position): str(json.loads(data)["name"]) for position, data in found}
        oracle.check(rows, events)
        # What was never answered is repeated in the next cycle; some of it is on disk already.
        assert len(oracle.unanswered) <= CALLERS
    assert len(oracle.answers) > 20 * CYCLES
    assert oracle.told


def flood(store: Path, oracle: Oracle, seconds: float) -> None:
    """One life of the writer process."""
    command = [sys.executable, "-m", "tests.support.processes.writer", "flood", str(store), *oracle.unanswered]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        end = Timer(seconds, process.kill)
        end.start()
        # What it had said before it died is still in the pipe, and counts.
        for line in process.stdout:
            match line.split():
                case ["sent", name]:
                    oracle.sent.add(name)
                case ["ack", name, answer]:
                    oracle.answer(name, answer)
                case ["told", position, name]:
                    oracle.tell(position, name)
                case ["batch", _]:
                    pass
                case other:
                    raise AssertionError(other)
        end.join()


# The hub: answers over HTTP, events over a stream that comes back with its cursor.


@pytest.mark.fresh_process
async def test_a_killed_hub_keeps_what_it_acknowledged(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_BACKLOG="100000", HUB_CONNECT_RATE_LIMIT="0")
    reader = await hub.signup()
    key = await hub.api_key("notify")
    oracle, chance, cursor = Oracle(), random.Random(12), ""
    for cycle in range(CYCLES):
        stream = hub.stream(reader, cursor=cursor or None)
        async with stream:
            await stream.next_event("connection_confirmed")
            async with anyio.create_task_group() as group:
                again = iter(oracle.unanswered)
                for caller in range(CALLERS):
                    group.start_soon(send, hub, key, reader, oracle, again, f"{cycle}-{caller}")
                await anyio.sleep(chance.uniform(*LOAD))
                await hub.kill()
            await stream.wait_closed()
        cursor = listen(stream, oracle) or cursor
        look(hub, reader, oracle)
        await anyio.to_thread.run_sync(hub.server.start)
    # All of it reached the reader, and what the reader has not seen yet comes now: once, in order.
    async with hub.stream(reader, cursor=cursor) as stream:
        missing = {name for name, _ in rows_of(hub, reader)} - {
            name for names in oracle.told.values() for name in names
        }
        for _ in missing:
            await stream.next_event("notification")
    listen(stream, oracle)
    assert {name for names in oracle.told.values() for name in names} == {name for name, _ in rows_of(hub, reader)}
    assert len(oracle.answers) > 5 * CYCLES
    look(hub, reader, oracle)


async def send(hub: Hub, key: str, reader: Person, oracle: Oracle, again: Iterator[str], prefix: str) -> None:
    """Send until the hub is gone: first what was never answered, then news."""
    client, numbers = hub.client(key), count()
    while True:
        name = next(again, None) or f"{prefix}-{next(numbers)}"
        oracle.sent.add(name)
        body = {"userId": reader.id, "type": "t", "title": name, "body": "b", "category": "system"}
        try:
            answer = await client.post("/api/realtime/notifications/send", json=body, headers={"idempotency-key": name})
        except httpx2.TransportError:
            return
        assert answer.status_code == 201, answer.text
        oracle.answer(name, answer.json()["id"])


def listen(stream: StreamClient, oracle: Oracle) -> str:
    """Take down what a stream has heard; the cursor to come back with."""
    assert "reset" not in stream.types()
    positions = []
    for event in stream.events:
        if event.type == "notification":
            assert event.id is not None
            positions.append(int(event.id.split(".")[1]))
            oracle.tell(str(positions[-1]), event.data["title"])
    assert positions == sorted(set(positions)), "out of order, or twice"
    seen = {int(at) for at in oracle.told} - set(positions)
    assert not positions or not seen or max(seen) < positions[0], "told again after coming back"
    return stream.last_event_id


def rows_of(hub: Hub, reader: Person) -> list[tuple[str, str]]:
    """(title, id) of the reader's notifications on disk."""
    with closing(sqlite3.connect(f"file:{hub.data_dir / 'hub.db'}?mode=ro", uri=True)) as connection:
        return connection.execute(
            "SELECT title, id FROM notifications WHERE user_id = ? ORDER BY seq", (reader.id,)
        ).fetchall()


def look(hub: Hub, reader: Person, oracle: Oracle) -> None:
    """What is on disk, as the next start will find it."""
    with closing(sqlite3.connect(f"file:{hub.data_dir / 'hub.db'}?mode=ro", uri=True)) as connection:
        healthy(connection)
        found = connection.execute(
            "SELECT position, data FROM events WHERE channel = ? AND type = 'notification'", (f"user:{reader.id}",)
        ).fetchall()
        inbox = connection.execute("SELECT seq, unread FROM inboxes WHERE user_id = ?", (reader.id,)).fetchone()
    rows = rows_of(hub, reader)
    oracle.check([name for name, _ in rows], {str(at): json.loads(data)["title"] for at, data in found})
    assert {name: {id} for name, id in rows if name in oracle.answers} == oracle.answers
    assert inbox is None or inbox == (len(rows), len(rows))
