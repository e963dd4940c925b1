"""Repeated SIGKILL under load, checked against a record of acknowledged writes and published events.

I1: every acknowledged write is on disk, and every row on disk was sent. I3: every published event is on disk,
unchanged, at the same position. I4: a key has one effect, and every repetition gets the same response. Without
--deep, the kills are fewer.
"""

import json
import random
import signal
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
from tests.support.processes.writer import CALLER_COUNT
from tests.support.server import ROOT
from tests.support.stream_client import StreamClient
from tests.support.timeouts import TIMEOUT_SECONDS

StartHub = Callable[..., Awaitable[Hub]]

DEEP_CYCLES: Final = 200
STORE_CYCLES: Final = 8
HUB_CYCLES: Final = 10
# A cycle first waits for this many new responses, so that a slow machine makes no cycle empty.
STORE_RESPONSES: Final = 20
HUB_RESPONSES: Final = 5
# The kill comes at a random moment within this time after them, in the hub also at once.
KILL_SECONDS: Final = 0.2


@dataclass
class Oracle:
    """Everything that callers and streams have received from the store."""

    sent: set[str] = field(default_factory=set)
    # Name → its responses, which must all be equal.
    responses: dict[str, set[str]] = field(default_factory=dict)
    # Position → the names published there.
    published: dict[str, set[str]] = field(default_factory=dict)

    @property
    def unanswered(self) -> list[str]:
        return sorted(self.sent - self.responses.keys())

    @property
    def published_names(self) -> set[str]:
        return {name for names in self.published.values() for name in names}

    def record_response(self, name: str, response: str) -> None:
        self.responses.setdefault(name, set()).add(response)

    def record_published(self, position: str, name: str) -> None:
        self.published.setdefault(position, set()).add(name)

    def check(self, rows: list[str], events: dict[str, str]) -> None:
        """Compare with the disk: `rows` are the stored names, `events` the name at each position."""
        counts = Counter(rows)
        assert set(self.responses) - set(counts) == set(), "acknowledged, but lost"
        assert set(counts) - self.sent == set(), "stored, but never sent"
        assert [name for name, count in counts.items() if count > 1] == [], "one key, two effects"
        different = [name for name, responses in self.responses.items() if len(responses) > 1]
        assert different == [], "one key, two responses"
        assert [position for position, names in self.published.items() if len(names) > 1] == [], "two events"
        missing = {position: names for position, names in self.published.items() if {events.get(position)} != names}
        assert missing == {}, "published, but not stored"
        assert sorted(events.values()) == sorted(rows), "each row has one event"


def check_integrity(connection: sqlite3.Connection) -> None:
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


# The store alone: fast, and nearly every kill interrupts a write.


def test_killed_store_keeps_all_acknowledged_writes(tmp_path: Path, deep: bool) -> None:
    store = tmp_path / "hub.db"
    upgrade(store)
    oracle, dice = Oracle(), random.Random(11)
    for _ in range(DEEP_CYCLES if deep else STORE_CYCLES):
        flood(store, oracle, seconds=dice.uniform(0, KILL_SECONDS))
        with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
            check_integrity(connection)
            rows = [name for (name,) in connection.execute("SELECT id FROM announcements")]
            event_rows = connection.execute("SELECT position, data FROM events").fetchall()
            events = {str(position): str(json.loads(data)["name"]) for position, data in event_rows}
        oracle.check(rows, events)
        # The next cycle repeats the unanswered writes. Some of them are already on disk.
        assert len(oracle.unanswered) <= CALLER_COUNT
    assert oracle.published


def flood(store: Path, oracle: Oracle, seconds: float) -> None:
    """Run the writer process, kill it some time after it got responses, and record what it printed."""
    command = [sys.executable, "-m", "tests.support.processes.writer", "flood", str(store), *oracle.unanswered]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        kill_timer = Timer(seconds, process.kill)
        enough = len(oracle.responses) + STORE_RESPONSES
        # The pipe still contains all lines that were printed before the kill.
        for line in process.stdout:
            match line.split():
                case ["sent", name]:
                    oracle.sent.add(name)
                case ["ack", name, response]:
                    oracle.record_response(name, response)
                case ["published", position, name]:
                    oracle.record_published(position, name)
                case ["batch", _]:
                    pass
                case other:
                    raise AssertionError(other)
            if len(oracle.responses) >= enough and kill_timer.ident is None:
                kill_timer.start()
        assert kill_timer.ident is not None, "the writer ended by itself"
        kill_timer.join()


# The hub: responses over HTTP, events over a stream that reconnects with its cursor.


@pytest.mark.fresh_process
async def test_killed_hub_keeps_all_acknowledged_notifications(start_hub: StartHub, deep: bool) -> None:
    hub = await start_hub(HUB_BACKLOG="100000", HUB_CONNECT_RATE_LIMIT="0")
    reader = await hub.signup()
    key = await hub.api_key("notify")
    oracle, dice, cursor = Oracle(), random.Random(12), ""
    for cycle in range(DEEP_CYCLES if deep else HUB_CYCLES):
        stream = hub.stream(reader, cursor=cursor or None)
        async with stream:
            await stream.next_event("connection_confirmed")
            clients = [hub.client(key) for _ in range(CALLER_COUNT)]
            for client in clients:
                # Connect before the load: a kill during a connect is an AttributeError in the HTTP client.
                assert (await client.get("/api/health")).status_code == 200
            async with anyio.create_task_group() as group:
                repeated = iter(oracle.unanswered)
                enough = len(oracle.responses) + dice.randint(HUB_RESPONSES, 2 * CALLER_COUNT)
                # Each second kill comes with a response, before its caller can send the next request.
                kill_at = None if cycle % 2 else enough
                for caller, client in enumerate(clients):
                    group.start_soon(send, hub, client, reader, oracle, repeated, f"{cycle}-{caller}", kill_at)
                with anyio.fail_after(TIMEOUT_SECONDS):
                    while len(oracle.responses) < enough:  # noqa: ASYNC110 (sixteen callers wait for responses)
                        await anyio.sleep(0.005)
                await anyio.sleep(dice.uniform(0, KILL_SECONDS))
                await hub.kill()
            await stream.wait_closed()
        cursor = record_events(stream, oracle) or cursor
        check_disk(hub, reader, oracle)
        await anyio.to_thread.run_sync(hub.server.start)
    # The reader receives the rest now, once and in order. Then it has received everything.
    async with hub.stream(reader, cursor=cursor) as stream:
        missing = {name for name, _ in load_rows(hub, reader)} - oracle.published_names
        for _ in missing:
            await stream.next_event("notification")
    record_events(stream, oracle)
    assert oracle.published_names == {name for name, _ in load_rows(hub, reader)}
    check_disk(hub, reader, oracle)


async def send(
    hub: Hub,
    client: httpx2.AsyncClient,
    reader: Person,
    oracle: Oracle,
    repeated: Iterator[str],
    prefix: str,
    kill_at: int | None,
) -> None:
    """Send until the hub is killed: first the unanswered notifications, then new ones.

    Response number `kill_at` kills the hub.
    """
    numbers = count()
    while True:
        name = next(repeated, None) or f"{prefix}-{next(numbers)}"
        oracle.sent.add(name)
        body = {"userId": reader.id, "type": "t", "title": name, "body": "b", "category": "system"}
        try:
            response = await client.post(
                "/api/realtime/notifications/send", json=body, headers={"idempotency-key": name}
            )
        except httpx2.TransportError:
            return
        assert response.status_code == 201, response.text
        oracle.record_response(name, response.json()["id"])
        if len(oracle.responses) == kill_at:
            hub.server.process.send_signal(signal.SIGKILL)


def record_events(stream: StreamClient, oracle: Oracle) -> str:
    """Record the events that a stream has received, and return its last cursor."""
    assert "reset" not in stream.types()
    positions = []
    for event in stream.events:
        if event.type == "notification":
            assert event.id is not None
            positions.append(int(event.id.split(".")[1]))
            oracle.record_published(str(positions[-1]), event.data["title"])
    assert positions == sorted(set(positions)), "out of order, or repeated"
    earlier = {int(position) for position in oracle.published} - set(positions)
    assert not positions or not earlier or max(earlier) < positions[0], "repeated after a reconnect"
    return stream.last_event_id


def load_rows(hub: Hub, reader: Person) -> list[tuple[str, str]]:
    """Return title and id of the reader's notifications on disk, oldest first."""
    with closing(sqlite3.connect(f"file:{hub.data_dir / 'hub.db'}?mode=ro", uri=True)) as connection:
        return connection.execute(
            "SELECT title, id FROM notifications WHERE user_id = ? ORDER BY seq", (reader.id,)
        ).fetchall()


def check_disk(hub: Hub, reader: Person, oracle: Oracle) -> None:
    """Compare the store on disk with the oracle while the hub is not running."""
    with closing(sqlite3.connect(f"file:{hub.data_dir / 'hub.db'}?mode=ro", uri=True)) as connection:
        check_integrity(connection)
        event_rows = connection.execute(
            "SELECT position, data FROM events WHERE channel = ? AND type = 'notification'", (f"user:{reader.id}",)
        ).fetchall()
        inbox = connection.execute("SELECT seq, unread FROM inboxes WHERE user_id = ?", (reader.id,)).fetchone()
    rows = load_rows(hub, reader)
    oracle.check(
        [name for name, _ in rows], {str(position): json.loads(data)["title"] for position, data in event_rows}
    )
    assert {name: {id} for name, id in rows if name in oracle.responses} == oracle.responses
    assert inbox is None or inbox == (len(rows), len(rows))
