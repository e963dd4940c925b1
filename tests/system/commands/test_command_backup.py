"""`hub backup` and `hub restore`: whole copies while serving, and no stream that takes one history for another."""

import json
import os
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import anyio
import httpx2
import pytest

from tests.support.hub import Hub, Person
from tests.support.server import Server


async def send(client: httpx2.AsyncClient, person: Person, title: str) -> str:
    body = {"userId": person.id, "type": "note", "category": "system", "title": title, "body": "b"}
    answer = await client.post("/api/realtime/notifications/send", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def titles(hub: Hub, person: Person) -> list[str]:
    async with hub.client(person) as client:
        return [item["title"] for item in (await client.get("/api/notifications?limit=100")).json()["items"]]


def ids(file: Path) -> list[str]:
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [row[0] for row in connection.execute("SELECT id FROM notifications ORDER BY seq")]


async def test_a_backup_made_while_writing_is_one_moment_of_the_store(hub: Hub, tmp_path: Path) -> None:
    person, key = await hub.signup("client"), await hub.api_key("notify")
    sent: list[str] = []
    async with hub.client(key) as client:
        sent += [await send(client, person, "before") for _ in range(20)]
        copied = anyio.Event()

        async def write() -> None:
            while not copied.is_set():
                sent.append(await send(client, person, "meanwhile"))

        async with anyio.create_task_group() as group:
            group.start_soon(write)
            copies = [tmp_path / f"copy{n}.db" for n in range(3)]
            for copy in copies:
                done = await hub.cli("backup", str(copy), "--json")
                assert done.returncode == 0, done.stderr
                assert json.loads(done.stdout)["bytes"] == copy.stat().st_size
            copied.set()
    for copy in copies:
        # What is in it was sent first: a beginning of what was acknowledged, and at least what came before.
        kept = ids(copy)
        assert kept == sent[: len(kept)]
        assert len(kept) >= 20
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert len(ids(copies[-1])) > len(ids(copies[0]))
    # Nothing else is left: no log, no half a file.
    assert {*os.listdir(tmp_path)} - {hub.data_dir.name} == {copy.name for copy in copies}


async def test_a_backup_overwrites_nothing(hub: Hub, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    refused = await hub.cli("backup", str(precious))
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
    assert precious.read_text() == "mine"
    assert (await hub.cli("backup", str(tmp_path / "no" / "such" / "folder"))).returncode == 1
    assert (await hub.cli("backup")).returncode == 2


async def test_a_restored_store_is_as_it_was_and_old_cursors_start_over(hub: Hub, tmp_path: Path) -> None:
    person, key = await hub.signup("client"), await hub.api_key("notify")
    async with hub.client(key) as client:
        await send(client, person, "kept")
        assert (await hub.cli("backup", str(tmp_path / "copy.db"))).returncode == 0
        async with hub.stream(person) as stream:
            await send(client, person, "lost")
            cursor = (await stream.next_event("notification")).last_event_id
    refused = await hub.cli("restore", str(tmp_path / "copy.db"))
    assert refused.returncode == 1
    assert str(hub.server.pid) in refused.stderr
    assert await hub.stop() == 0
    before = ids(tmp_path / "copy.db")
    assert (await hub.cli("restore", str(tmp_path / "copy.db"))).returncode == 0
    assert ids(tmp_path / "copy.db") == before
    assert len(ids(hub.data_dir / "hub.before-restore")) == 2
    await hub.restart()
    assert await titles(hub, person) == ["kept"]
    async with hub.stream(person, cursor=cursor) as stream:
        assert (await stream.next_event("reset")).data["reason"] == "epoch_changed"
    assert hub.lines("epoch_renewed") == []


async def push_key(hub: Hub) -> str:
    async with hub.client(await hub.signup()) as client:
        return str((await client.get("/api/push/key")).json()["key"])


async def test_a_restored_hub_signs_pushes_with_the_key_that_browsers_subscribed_to(hub: Hub, tmp_path: Path) -> None:
    assert (await hub.cli("backup", str(tmp_path / "before.db"))).returncode == 0
    assert not (tmp_path / "before.vapid").exists()
    theirs = await push_key(hub)
    assert (await hub.cli("backup", str(tmp_path / "copy.db"))).returncode == 0
    assert stat.S_IMODE((tmp_path / "copy.vapid").stat().st_mode) == 0o600
    # Another machine, on which browsers have subscribed, too.
    await hub.stop()
    (hub.data_dir / "vapid.key").unlink()
    await hub.restart()
    ours = await push_key(hub)
    assert ours != theirs
    await hub.stop()
    for copy in ("copy.db", "before.db"):
        done = await hub.cli("restore", str(tmp_path / copy))
        assert done.returncode == 0, done.stderr
    await hub.restart()
    assert await push_key(hub) == theirs
    assert stat.S_IMODE((hub.data_dir / "vapid.key").stat().st_mode) == 0o600


async def test_a_restore_that_is_refused_leaves_the_push_key_and_one_that_is_not_keeps_it(
    hub: Hub, tmp_path: Path
) -> None:
    ours = await push_key(hub)
    assert (await hub.cli("backup", str(tmp_path / "ours.db"))).returncode == 0
    (tmp_path / "bad.db").write_text("no store")
    for name in ("bad", "good"):
        (tmp_path / f"{name}.vapid").write_text("a key of another hub, as long as one is")
    shutil.copy(tmp_path / "ours.db", tmp_path / "good.db")
    await hub.stop()
    assert (await hub.cli("restore", str(tmp_path / "bad.db"))).returncode == 1
    key = (hub.data_dir / "vapid.key").read_text()
    assert key == (tmp_path / "ours.vapid").read_text()
    assert (await hub.cli("restore", str(tmp_path / "good.db"))).returncode == 0
    assert (hub.data_dir / "hub.before-restore.vapid").read_text() == key
    assert (await hub.cli("restore", str(hub.data_dir / "hub.before-restore"))).returncode == 0
    await hub.restart()
    assert await push_key(hub) == ours
    (tmp_path / "new.vapid").write_text("somebody else's")
    refused = await hub.cli("backup", str(tmp_path / "new.db"))
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
    assert (tmp_path / "new.vapid").read_text() == "somebody else's"


async def test_a_killed_hubs_store_is_settled_before_it_is_replaced(hub: Hub, tmp_path: Path) -> None:
    person, key = await hub.signup("client"), await hub.api_key("notify")
    assert (await hub.cli("backup", str(tmp_path / "empty.db"))).returncode == 0
    async with hub.client(key) as client:
        sent = [await send(client, person, "in the log only") for _ in range(10)]
    await hub.kill()
    assert (hub.data_dir / "hub.db-wal").stat().st_size > 0
    assert (await hub.cli("restore", str(tmp_path / "empty.db"))).returncode == 0
    # Not only moved away: had the power failed in between, the old store would still have been whole.
    assert [name for name in os.listdir(hub.data_dir) if name.endswith("-wal")] == []
    assert ids(hub.data_dir / "hub.db") == []
    assert ids(hub.data_dir / "hub.before-restore") == sent


@pytest.mark.parametrize("clean", [True, False])
async def test_an_older_file_copied_back_is_noticed(hub: Hub, tmp_path: Path, clean: bool) -> None:
    person, key = await hub.signup("client"), await hub.api_key("notify")
    assert (await hub.cli("backup", str(tmp_path / "old.db"))).returncode == 0
    async with hub.client(key) as client, hub.stream(person) as stream:
        await send(client, person, "will be lost")
        cursor = (await stream.next_event("notification")).last_event_id
    if clean:
        await hub.stop()
    else:
        while cursor not in (hub.data_dir / "hub.position").read_text():  # noqa: ASYNC110  # another process writes it
            await anyio.sleep(0.05)
        await hub.kill()
    for leftover in hub.data_dir.glob("hub.db*"):
        leftover.unlink()
    shutil.copy(tmp_path / "old.db", hub.data_dir / "hub.db")
    await hub.restart()
    assert len(hub.lines("epoch_renewed")) == 1
    # Under the old epoch, this one would get the position that the cursor already has.
    async with hub.client(key) as client, hub.stream(person, cursor=cursor) as stream:
        assert (await stream.next_event("reset")).data["reason"] == "epoch_changed"
        await send(client, person, "new")
        assert (await stream.next_event("notification")).data["title"] == "new"
    await hub.restart()
    assert len(hub.lines("epoch_renewed")) == 1


async def test_a_cursor_ahead_of_the_store_starts_over(hub: Hub) -> None:
    person = await hub.signup("client")
    async with hub.stream(person) as stream:
        epoch, _, position = (await stream.next_event("connection_confirmed")).last_event_id.partition(".")
    async with hub.stream(person, cursor=f"{epoch}.{int(position) + 1}") as stream:
        assert (await stream.next_event("reset")).data["reason"] == "ahead"


def test_what_is_no_backup_is_refused_and_the_store_stays(data_dir: Path, tmp_path: Path) -> None:
    closed = Server(data_dir)
    assert closed.cli("keys", "create", "a", "--scope", "notify").returncode == 0
    good, broken, text = tmp_path / "good.db", tmp_path / "broken.db", tmp_path / "text.db"
    assert closed.cli("backup", str(good)).returncode == 0
    before = (data_dir / "hub.db").read_bytes()
    pages = bytearray(good.read_bytes())
    pages[8_192:16_384] = b"\xaa" * 8_192
    broken.write_bytes(pages)
    text.write_text("no database " * 100)
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE t (x)")
    for wrong in (broken, text, tmp_path / "other.db", tmp_path / "missing.db", data_dir / "hub.db", tmp_path):
        refused = closed.cli("restore", str(wrong))
        assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1), refused
        assert (data_dir / "hub.db").read_bytes() == before
    assert [path.name for path in data_dir.iterdir() if "restore" in path.name or path.name.startswith(".")] == []


def test_a_backup_can_be_brought_to_another_machine(data_dir: Path, tmp_path: Path) -> None:
    here, there = Server(data_dir), Server(tmp_path / "elsewhere" / "data")
    assert here.cli("keys", "create", "a", "--scope", "notify").returncode == 0
    assert here.cli_in_fresh_process("backup", str(tmp_path / "copy.db")).returncode == 0
    assert json.loads(there.cli_in_fresh_process("restore", str(tmp_path / "copy.db"), "--json").stdout)["kept"] is None
    assert [key["name"] for key in json.loads(there.cli("keys", "list", "--json").stdout)] == ["a"]
