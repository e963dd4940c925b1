"""`hub backup` and `hub restore`: consistent copies, push keys, resets of cursors of other histories."""

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
    response = await client.post("/api/realtime/notifications/send", json=body)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


async def titles(hub: Hub, person: Person) -> list[str]:
    async with hub.client(person) as client:
        return [item["title"] for item in (await client.get("/api/notifications?limit=100")).json()["items"]]


def notification_ids(file: Path) -> list[str]:
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [row[0] for row in connection.execute("SELECT id FROM notifications ORDER BY seq")]


async def test_backup_during_writes_is_consistent(hub: Hub, tmp_path: Path) -> None:
    person, key = await hub.signup("client"), await hub.api_key("notify")
    sent_ids: list[str] = []
    async with hub.client(key) as client:
        sent_ids += [await send(client, person, "before") for _ in range(20)]
        copied = anyio.Event()

        async def write() -> None:
            while not copied.is_set():
                sent_ids.append(await send(client, person, "meanwhile"))

        async with anyio.create_task_group() as group:
            group.start_soon(write)
            copies = [tmp_path / f"copy{number}.db" for number in range(3)]
            for copy in copies:
                done = await hub.cli("backup", str(copy), "--json")
                assert done.returncode == 0, done.stderr
                assert json.loads(done.stdout)["bytes"] == copy.stat().st_size
            copied.set()
    for copy in copies:
        # The copy contains the first of the acknowledged notifications, at least those sent before the backup.
        copied_ids = notification_ids(copy)
        assert copied_ids == sent_ids[: len(copied_ids)]
        assert len(copied_ids) >= 20
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert len(notification_ids(copies[-1])) > len(notification_ids(copies[0]))
    # No log and no temporary file remains.
    assert {*os.listdir(tmp_path)} - {hub.data_dir.name} == {copy.name for copy in copies}


async def test_backup_does_not_overwrite_a_file(hub: Hub, tmp_path: Path) -> None:
    existing = tmp_path / "existing"
    existing.write_text("content")
    refused = await hub.cli("backup", str(existing))
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
    assert existing.read_text() == "content"
    assert (await hub.cli("backup", str(tmp_path / "missing" / "folder" / "copy.db"))).returncode == 1
    assert (await hub.cli("backup")).returncode == 2


async def test_restore_replaces_the_store_and_resets_old_cursors(hub: Hub, tmp_path: Path) -> None:
    person, key = await hub.signup("client"), await hub.api_key("notify")
    async with hub.client(key) as client:
        await send(client, person, "in the backup")
        assert (await hub.cli("backup", str(tmp_path / "copy.db"))).returncode == 0
        async with hub.stream(person) as stream:
            await send(client, person, "after the backup")
            cursor = (await stream.next_event("notification")).last_event_id
    refused = await hub.cli("restore", str(tmp_path / "copy.db"))
    assert refused.returncode == 1
    assert str(hub.server.pid) in refused.stderr
    assert await hub.stop() == 0
    before = notification_ids(tmp_path / "copy.db")
    assert (await hub.cli("restore", str(tmp_path / "copy.db"))).returncode == 0
    assert notification_ids(tmp_path / "copy.db") == before
    assert len(notification_ids(hub.data_dir / "hub.before-restore")) == 2
    await hub.restart()
    assert await titles(hub, person) == ["in the backup"]
    async with hub.stream(person, cursor=cursor) as stream:
        assert (await stream.next_event("reset")).data["reason"] == "epoch_changed"
    assert hub.lines("epoch_renewed") == []


async def push_key(hub: Hub) -> str:
    async with hub.client(await hub.signup()) as client:
        return str((await client.get("/api/push/key")).json()["key"])


async def test_restore_replaces_the_push_key_if_the_backup_has_one(hub: Hub, tmp_path: Path) -> None:
    assert (await hub.cli("backup", str(tmp_path / "before.db"))).returncode == 0
    assert not (tmp_path / "before.vapid").exists()
    backup_key = await push_key(hub)
    assert (await hub.cli("backup", str(tmp_path / "copy.db"))).returncode == 0
    assert stat.S_IMODE((tmp_path / "copy.vapid").stat().st_mode) == 0o600
    # The hub of another machine, with its own push key.
    await hub.stop()
    (hub.data_dir / "vapid.key").unlink()
    await hub.restart()
    assert await push_key(hub) != backup_key
    await hub.stop()
    for copy in ("copy.db", "before.db"):
        done = await hub.cli("restore", str(tmp_path / copy))
        assert done.returncode == 0, done.stderr
    await hub.restart()
    assert await push_key(hub) == backup_key
    assert stat.S_IMODE((hub.data_dir / "vapid.key").stat().st_mode) == 0o600


async def test_push_key_survives_a_rejected_restore_and_is_saved_by_a_restore(hub: Hub, tmp_path: Path) -> None:
    original_key = await push_key(hub)
    assert (await hub.cli("backup", str(tmp_path / "own.db"))).returncode == 0
    (tmp_path / "bad.db").write_text("no store")
    for name in ("bad", "good"):
        (tmp_path / f"{name}.vapid").write_text("a key of another hub, as long as one is")
    shutil.copy(tmp_path / "own.db", tmp_path / "good.db")
    await hub.stop()
    assert (await hub.cli("restore", str(tmp_path / "bad.db"))).returncode == 1
    key = (hub.data_dir / "vapid.key").read_text()
    assert key == (tmp_path / "own.vapid").read_text()
    assert (await hub.cli("restore", str(tmp_path / "good.db"))).returncode == 0
    assert (hub.data_dir / "hub.before-restore.vapid").read_text() == key
    assert (await hub.cli("restore", str(hub.data_dir / "hub.before-restore"))).returncode == 0
    await hub.restart()
    assert await push_key(hub) == original_key
    (tmp_path / "new.vapid").write_text("another key")
    refused = await hub.cli("backup", str(tmp_path / "new.db"))
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
    assert (tmp_path / "new.vapid").read_text() == "another key"


async def test_restore_writes_back_the_log_of_a_killed_hub_first(hub: Hub, tmp_path: Path) -> None:
    person, key = await hub.signup("client"), await hub.api_key("notify")
    assert (await hub.cli("backup", str(tmp_path / "empty.db"))).returncode == 0
    async with hub.client(key) as client:
        sent_ids = [await send(client, person, "in the log only") for _ in range(10)]
    await hub.kill()
    assert (hub.data_dir / "hub.db-wal").stat().st_size > 0
    assert (await hub.cli("restore", str(tmp_path / "empty.db"))).returncode == 0
    # The log was written back, not only moved. A power cut during the restore would have left a complete old store.
    assert [name for name in os.listdir(hub.data_dir) if name.endswith("-wal")] == []
    assert notification_ids(hub.data_dir / "hub.db") == []
    assert notification_ids(hub.data_dir / "hub.before-restore") == sent_ids


@pytest.mark.parametrize("clean", [True, False], ids=["after_a_stop", "after_a_kill"])
async def test_older_database_file_copied_back_renews_the_epoch(hub: Hub, tmp_path: Path, clean: bool) -> None:
    person, key = await hub.signup("client"), await hub.api_key("notify")
    assert (await hub.cli("backup", str(tmp_path / "old.db"))).returncode == 0
    async with hub.client(key) as client, hub.stream(person) as stream:
        await send(client, person, "after the copy")
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
    # In the old epoch, the next event would get the position of the cursor.
    async with hub.client(key) as client, hub.stream(person, cursor=cursor) as stream:
        assert (await stream.next_event("reset")).data["reason"] == "epoch_changed"
        await send(client, person, "new")
        assert (await stream.next_event("notification")).data["title"] == "new"
    await hub.restart()
    assert len(hub.lines("epoch_renewed")) == 1


async def test_cursor_ahead_of_the_store_is_reset(hub: Hub) -> None:
    person = await hub.signup("client")
    async with hub.stream(person) as stream:
        epoch, _, position = (await stream.next_event("connection_confirmed")).last_event_id.partition(".")
    async with hub.stream(person, cursor=f"{epoch}.{int(position) + 1}") as stream:
        assert (await stream.next_event("reset")).data["reason"] == "ahead"


def test_restore_rejects_invalid_files_and_keeps_the_store(data_dir: Path, tmp_path: Path) -> None:
    server = Server(data_dir)
    assert server.cli("keys", "create", "a", "--scope", "notify").returncode == 0
    good, broken, text = tmp_path / "good.db", tmp_path / "broken.db", tmp_path / "text.db"
    assert server.cli("backup", str(good)).returncode == 0
    before = (data_dir / "hub.db").read_bytes()
    pages = bytearray(good.read_bytes())
    pages[8_192:16_384] = b"\xaa" * 8_192
    broken.write_bytes(pages)
    text.write_text("not a database " * 100)
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE t (x)")
    for source in (broken, text, tmp_path / "other.db", tmp_path / "missing.db", data_dir / "hub.db", tmp_path):
        refused = server.cli("restore", str(source))
        assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1), refused
        assert (data_dir / "hub.db").read_bytes() == before
    assert [path.name for path in data_dir.iterdir() if "restore" in path.name or path.name.startswith(".")] == []


def test_backup_can_be_restored_to_another_data_directory(data_dir: Path, tmp_path: Path) -> None:
    source, target = Server(data_dir), Server(tmp_path / "elsewhere" / "data")
    assert source.cli("keys", "create", "a", "--scope", "notify").returncode == 0
    assert source.cli_in_fresh_process("backup", str(tmp_path / "copy.db")).returncode == 0
    assert (
        json.loads(target.cli_in_fresh_process("restore", str(tmp_path / "copy.db"), "--json").stdout)["kept"] is None
    )
    assert [key["name"] for key in json.loads(target.cli("keys", "list", "--json").stdout)] == ["a"]
