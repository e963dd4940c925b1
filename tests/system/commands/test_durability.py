"""On disk before anybody is told: strace watches what a process writes to its log, syncs, and says.

kill -9 cannot tell a synced file from one that only the kernel has, so this is what stands for a power cut.
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

SYSCALLS = "trace=pwrite64,fdatasync,fsync,ftruncate,unlink,write,writev,sendto,sendmsg"
# How the writer process tells or answers.
WORD = r"(ack|told \d+) NAME\b"
_LINE = re.compile(r"(?P<pid>\d+) +(?P<resumed><\.\.\. )?(?P<name>\w+)(?P<rest>.*)")
_FILE = re.compile(r"\(\d+<(?P<file>[^>]*)>")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call: it began at line `start` of the trace and had its answer at line `end`."""

    name: str
    file: str
    text: str
    start: int
    end: int

    @property
    def failed(self) -> bool:
        return " = -1 " in self.text

    @property
    def syncs_the_log(self) -> bool:
        return self.name in ("fdatasync", "fsync") and self.file.endswith("-wal") and not self.failed

    @property
    def writes_the_log(self) -> bool:
        return self.name == "pwrite64" and self.file.endswith("-wal")

    @property
    def speaks(self) -> bool:
        return self.name in ("write", "writev", "sendto", "sendmsg")


def calls(trace: Path) -> list[Call]:
    """The calls of all threads, in the order in which they began."""
    found: list[Call] = []
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
        found.append(Call(match["name"], file["file"] if file else "", text, start, number))
    return sorted(found, key=lambda call: call.start)


def told_too_early(trace: Path, names: list[str], written_as: str, said_as: str) -> list[str]:
    """Those names that left the process before a sync that began after they were written to the log.

    The forms are regular expressions with `NAME` in them.
    """
    all_calls = calls(trace)
    early = []
    for name in names:
        row, word = (re.compile(form.replace("NAME", name)) for form in (written_as, said_as))
        written = next(call for call in all_calls if call.writes_the_log and row.search(call.text))
        said = next(call for call in all_calls if call.speaks and word.search(call.text))
        if not any(c.syncs_the_log and written.end <= c.start and c.end <= said.start for c in all_calls):
            early.append(name)
    return early


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A migrated store on a real disk: sync has to mean something."""
    path = tmp_path / "hub.db"
    upgrade(path)
    return path


@pytest.fixture(autouse=True)
def strace() -> None:
    """Skips where processes cannot be watched."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("strace may not watch processes here")


def run(store: Path, mode: str, *options: str, unsafe: bool = False) -> tuple[list[list[str]], Path]:
    """Run the writer process under strace: the words of its lines, and the trace."""
    trace = store.with_name("trace")
    command = ["strace", "-f", "-y", "-s", "5000", "-o", str(trace), "-e", SYSCALLS, *options]
    done = subprocess.run(
        [*command, sys.executable, "-m", "tests.support.processes.writer", mode, str(store)],
        cwd=ROOT,
        env=os.environ | ({"HUB_TEST_UNSAFE": "1"} if unsafe else {}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines, done.stderr
    assert lines[-1] == ["stopped"], done.stdout + done.stderr
    return lines, trace


def acknowledged(lines: list[list[str]]) -> list[str]:
    return [line[1] for line in lines if line[0] == "ack"]


def test_nothing_is_answered_or_told_before_its_sync(store: Path) -> None:
    lines, trace = run(store, "rounds")
    names = acknowledged(lines)
    assert len(names) == 160
    assert told_too_early(trace, names, "<NAME>", WORD) == []


def test_a_batch_costs_one_sync(store: Path) -> None:
    lines, trace = run(store, "rounds")
    closing_at = next(call.start for call in calls(trace) if call.speaks and '"rows ' in call.text)
    syncs = sum(1 for call in calls(trace) if call.syncs_the_log and call.start < closing_at)
    batches = sum(line[0] == "batch" for line in lines)
    # One more where a new log begins, for its header.
    assert batches <= syncs <= batches + 1
    assert syncs <= 160 / 2


def test_the_eyes_that_watch_would_see_a_missing_sync(store: Path) -> None:
    lines, trace = run(store, "rounds", unsafe=True)
    names = acknowledged(lines)
    assert len(names) == 160
    assert len(told_too_early(trace, names, "<NAME>", WORD)) > 100


@pytest.mark.parametrize("when", ["20", "20+"], ids=["once", "for ever"])
def test_a_failed_sync_ends_writing_whatever_the_next_one_says(store: Path, when: str) -> None:
    lines, trace = run(store, "singles", "-e", f"inject=fdatasync,fsync:error=EIO:when={when}")
    names = acknowledged(lines)
    refused = [line[1:] for line in lines if line[0] == "refused"]
    # Everything up to the failure is answered, everything from there on is refused.
    assert names == [f"{n:02}" for n in range(len(names))]
    assert refused == [[f"{n:02}", "StorageUnavailable"] for n in range(len(names), 60)]
    assert 10 < len(names) < 21
    assert [line[0] for line in lines].count("doubt") == 1
    # Reads go on, and see nothing of what was refused; nothing of it was told.
    assert ["rows", str(len(names))] in lines
    assert [line[2] for line in lines if line[0] == "told"] == names
    # Not one byte went into the store after the failure, not even by the stop.
    after = next(call.end for call in calls(trace) if "EIO" in call.text)
    touched = [c.text for c in calls(trace) if c.start > after and c.name in ("pwrite64", "ftruncate", "unlink")]
    assert [text for text in touched if "hub.db" in text] == []
    # Whoever opens it next finds all that was answered; of the rest at most the one whose outcome is unknown.
    with closing(sqlite3.connect(store)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found = [name for (name,) in connection.execute("SELECT id FROM announcements ORDER BY id")]
    assert found[: len(names)] == names
    assert found[len(names) :] in ([], refused[0][:1])


def notification(reader: Person, title: str) -> dict[str, str]:
    return {"userId": reader.id, "type": "t", "title": title, "body": "b", "category": "system"}


@asynccontextmanager
async def watched(hub: Hub, trace: Path, *options: str) -> AsyncIterator[None]:
    """Watches a hub that runs."""
    watch = ["strace", "-f", "-y", "-s", "5000", "-e", SYSCALLS, *options, "-o", str(trace), "-p", str(hub.server.pid)]
    async with await open_process(watch, stderr=subprocess.PIPE) as watcher:
        assert watcher.stderr is not None
        assert b"attached" in await watcher.stderr.receive()
        yield
        with suppress(ProcessLookupError):
            watcher.send_signal(signal.SIGINT)
        await watcher.wait()


async def test_a_hub_sends_neither_answer_nor_event_before_the_sync(hub: Hub, tmp_path: Path) -> None:
    reader = await hub.signup()
    client = hub.client(await hub.api_key("notify"))
    trace = tmp_path / "trace"
    ids: list[str] = []

    async def send(n: int) -> None:
        answer = await client.post("/api/realtime/notifications/send", json=notification(reader, str(n)))
        assert answer.status_code == 201, answer.text
        ids.append(answer.json()["id"])

    async with hub.stream(reader) as stream, watched(hub, trace):
        for _ in range(4):
            async with create_task_group() as group:
                for n in range(10):
                    group.start_soon(send, n)
        for _ in ids:
            await stream.next_event("notification")
    assert len(set(ids)) == 40
    assert told_too_early(trace, ids, "NAME", "NAME") == []


async def test_a_hub_whose_disk_fails_says_so_ends_and_has_all_it_acknowledged(hub: Hub, tmp_path: Path) -> None:
    reader = await hub.signup()
    client = hub.client(await hub.api_key("notify"))
    for n in range(5):
        answer = await client.post("/api/realtime/notifications/send", json=notification(reader, str(n)))
        assert answer.status_code == 201, answer.text
    failing = watched(hub, tmp_path / "trace", "-e", "inject=fdatasync,fsync:error=EIO")
    async with hub.stream(reader) as stream, failing:
        answer = await client.post("/api/realtime/notifications/send", json=notification(reader, "lost"))
        assert (answer.status_code, answer.json()["code"]) == (503, "STORAGE_UNAVAILABLE")
        await stream.wait_closed()
        assert await to_thread.run_sync(hub.server.wait) == 1
    assert "notification" not in stream.types()
    # No stop is an accident for the streams: they are told to come back.
    assert stream.types()[-1] == "bye"
    await to_thread.run_sync(hub.server.start)
    with closing(sqlite3.connect(f"file:{hub.data_dir / 'hub.db'}?mode=ro", uri=True)) as connection:
        found = [title for (title,) in connection.execute("SELECT title FROM notifications ORDER BY seq")]
    assert found in ([str(n) for n in range(5)], [*(str(n) for n in range(5)), "lost"])
