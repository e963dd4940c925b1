"""Writes are synced before a response or an event leaves the process, as strace sees it.

After a kill the kernel still has unsynced data, so only the order of system calls shows what a power cut would lose.
"""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from anyio import create_task_group, open_process, to_thread

from services.store.migrate import upgrade
from tests.support.hub import Hub, Person
from tests.support.server import ROOT
from tests.support.timeouts import TIMEOUT_SECONDS

SYSCALLS = "trace=pwrite64,fdatasync,fsync,ftruncate,unlink,write,writev,sendto,sendmsg"
# A response or an event in the output of the writer process.
OUTPUT = r"(ack|published \d+) NAME\b"
_LINE = re.compile(r"(?P<pid>\d+) +(?P<resumed><\.\.\. )?(?P<name>\w+)(?P<rest>.*)")
_FILE = re.compile(r"\(\d+<(?P<file>[^>]*)>")


@dataclass(frozen=True, slots=True)
class Call:
    """A system call, with the lines of the trace where it started and returned."""

    name: str
    file: str
    text: str
    start: int
    end: int

    @property
    def failed(self) -> bool:
        return " = -1 " in self.text

    @property
    def syncs_log(self) -> bool:
        return self.name in ("fdatasync", "fsync") and self.file.endswith("-wal") and not self.failed

    @property
    def writes_log(self) -> bool:
        return self.name == "pwrite64" and self.file.endswith("-wal")

    @property
    def writes_output(self) -> bool:
        return self.name in ("write", "writev", "sendto", "sendmsg")


def parse_calls(trace: Path) -> list[Call]:
    """Return the calls of all threads in the order of their start."""
    calls: list[Call] = []
    open_calls: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(trace.read_text(errors="replace").splitlines()):
        match = _LINE.match(line)
        if match is None:
            continue
        start, text = number, line
        if match["resumed"]:
            start, before = open_calls.pop(match["pid"])
            text = before + line
        elif line.endswith("<unfinished ...>"):
            open_calls[match["pid"]] = (number, line)
            continue
        file = _FILE.search(text)
        calls.append(Call(match["name"], file["file"] if file else "", text, start, number))
    return sorted(calls, key=lambda call: call.start)


def find_unsynced(trace: Path, names: list[str], row_pattern: str, output_pattern: str) -> list[str]:
    """Return the names that the process output before a sync that started after their write to the log.

    The patterns are regular expressions that contain `NAME`.
    """
    calls = parse_calls(trace)
    unsynced = []
    for name in names:
        row, output = (re.compile(pattern.replace("NAME", name)) for pattern in (row_pattern, output_pattern))
        written = next(call for call in calls if call.writes_log and row.search(call.text))
        sent = next(call for call in calls if call.writes_output and output.search(call.text))
        if not any(call.syncs_log and written.end <= call.start and call.end <= sent.start for call in calls):
            unsynced.append(name)
    return unsynced


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A migrated store on a real disk, where a sync has an effect."""
    path = tmp_path / "hub.db"
    upgrade(path)
    return path


@pytest.fixture(autouse=True)
def strace() -> None:
    """Skip the tests if processes cannot be traced."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("strace is not allowed to trace processes")


def run(store: Path, mode: str, *options: str, unsafe: bool = False) -> tuple[list[list[str]], Path]:
    """Run the writer process under strace; return the words of each output line, and the trace."""
    trace = store.with_name("trace")
    command = ["strace", "-f", "-y", "-s", "5000", "-o", str(trace), "-e", SYSCALLS, *options]
    done = subprocess.run(
        [*command, sys.executable, "-m", "tests.support.processes.writer", mode, str(store)],
        cwd=ROOT,
        env=os.environ | ({"HUB_TEST_UNSAFE": "1"} if unsafe else {}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines, done.stderr
    assert lines[-1] == ["stopped"], done.stdout + done.stderr
    return lines, trace


def acknowledged(lines: list[list[str]]) -> list[str]:
    return [line[1] for line in lines if line[0] == "ack"]


def test_writes_are_synced_before_responses_and_events(store: Path) -> None:
    lines, trace = run(store, "rounds")
    names = acknowledged(lines)
    assert len(names) == 160
    assert find_unsynced(trace, names, "<NAME>", OUTPUT) == []


def test_batch_needs_one_sync(store: Path) -> None:
    lines, trace = run(store, "rounds")
    calls = parse_calls(trace)
    last_output = next(call.start for call in calls if call.writes_output and '"rows ' in call.text)
    syncs = sum(1 for call in calls if call.syncs_log and call.start < last_output)
    batches = sum(line[0] == "batch" for line in lines)
    # A new log needs one more sync, for its header.
    assert batches <= syncs <= batches + 1
    assert syncs <= 160 / 2


def test_trace_detects_a_missing_sync(store: Path) -> None:
    lines, trace = run(store, "rounds", unsafe=True)
    names = acknowledged(lines)
    assert len(names) == 160
    assert len(find_unsynced(trace, names, "<NAME>", OUTPUT)) > 100


@pytest.mark.parametrize("when", ["20", "20+"], ids=["once", "always"])
def test_failed_sync_stops_all_writes_even_if_the_next_one_succeeds(store: Path, when: str) -> None:
    lines, trace = run(store, "singles", "-e", f"inject=fdatasync,fsync:error=EIO:when={when}")
    names = acknowledged(lines)
    rejected = [line[1:] for line in lines if line[0] == "rejected"]
    # All writes before the failure are acknowledged, all others are rejected.
    assert names == [f"{number:02}" for number in range(len(names))]
    assert rejected == [[f"{number:02}", "StorageUnavailable"] for number in range(len(names), 60)]
    assert 10 < len(names) < 21
    assert [line[0] for line in lines].count("storage-failed") == 1
    # Reads still work and do not see the rejected writes, and no event of them was published.
    assert ["rows", str(len(names))] in lines
    assert [line[2] for line in lines if line[0] == "published"] == names
    # Nothing was written to the store after the failure, not even during the stop.
    calls = parse_calls(trace)
    failure = next(call.end for call in calls if "EIO" in call.text)
    changes = [call.text for call in calls if call.start > failure and call.name in ("pwrite64", "ftruncate", "unlink")]
    assert [text for text in changes if "hub.db" in text] == []
    # The store contains all acknowledged writes, and of the others at most the one whose outcome is unknown.
    with closing(sqlite3.connect(store)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        stored = [name for (name,) in connection.execute("SELECT id FROM announcements ORDER BY id")]
    assert stored[: len(names)] == names
    assert stored[len(names) :] in ([], rejected[0][:1])


def notification(reader: Person, title: str) -> dict[str, str]:
    return {"userId": reader.id, "type": "t", "title": title, "body": "b", "category": "system"}


@asynccontextmanager
async def trace_hub(hub: Hub, trace: Path, *options: str) -> AsyncIterator[None]:
    """Trace a running hub."""
    command = [
        "strace",
        "-f",
        "-y",
        "-s",
        "5000",
        "-e",
        SYSCALLS,
        *options,
        "-o",
        str(trace),
        "-p",
        str(hub.server.pid),
    ]
    async with await open_process(command, stderr=subprocess.PIPE) as tracer:
        assert tracer.stderr is not None
        assert b"attached" in await tracer.stderr.receive()
        yield
        with suppress(ProcessLookupError):
            tracer.send_signal(signal.SIGINT)
        await tracer.wait()


async def test_hub_syncs_before_it_sends_a_response_or_an_event(hub: Hub, tmp_path: Path) -> None:
    reader = await hub.signup()
    client = hub.client(await hub.api_key("notify"))
    trace = tmp_path / "trace"
    ids: list[str] = []

    async def send(number: int) -> None:
        response = await client.post("/api/realtime/notifications/send", json=notification(reader, str(number)))
        assert response.status_code == 201, response.text
        ids.append(response.json()["id"])

    async with hub.stream(reader) as stream, trace_hub(hub, trace):
        for _ in range(4):
            async with create_task_group() as group:
                for number in range(10):
                    group.start_soon(send, number)
        for _ in ids:
            await stream.next_event("notification")
    assert len(set(ids)) == 40
    assert find_unsynced(trace, ids, "NAME", "NAME") == []


async def test_hub_with_a_failed_disk_exits_and_keeps_acknowledged_writes(hub: Hub, tmp_path: Path) -> None:
    reader = await hub.signup()
    client = hub.client(await hub.api_key("notify"))
    for number in range(5):
        response = await client.post("/api/realtime/notifications/send", json=notification(reader, str(number)))
        assert response.status_code == 201, response.text
    failing_sync = trace_hub(hub, tmp_path / "trace", "-e", "inject=fdatasync,fsync:error=EIO")
    async with hub.stream(reader) as stream, failing_sync:
        response = await client.post("/api/realtime/notifications/send", json=notification(reader, "lost"))
        assert (response.status_code, response.json()["code"]) == (503, "STORAGE_UNAVAILABLE")
        await stream.wait_closed()
        assert await to_thread.run_sync(hub.server.wait) == 1
    assert "notification" not in stream.types()
    # The streams get a bye frame, as in every other stop.
    assert stream.types()[-1] == "bye"
    await to_thread.run_sync(hub.server.start)
    with closing(sqlite3.connect(f"file:{hub.data_dir / 'hub.db'}?mode=ro", uri=True)) as connection:
        titles = [title for (title,) in connection.execute("SELECT title FROM notifications ORDER BY seq")]
    acknowledged_titles = [str(number) for number in range(5)]
    assert titles in (acknowledged_titles, [*acknowledged_titles, "lost"])
