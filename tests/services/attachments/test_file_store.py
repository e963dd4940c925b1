"""Files on disk: whole or not there, kept while a row names them, dropped when none does."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection

from services.accounts import users
from services.attachments import file_store, media_types, records
from services.attachments.file_store import FileStore, TemporaryFile
from services.attachments.records import StoredFile
from services.database.database import Database
from services.errors import StorageFull
from services.maintenance.file_cleanup import FileCleanup

HOUR = 3_600.0


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    made = FileStore(tmp_path / "hub.files")
    made.prepare()
    return made


def drafted(files: FileStore, content: bytes) -> TemporaryFile:
    draft = files.draft()
    draft.write(content)
    draft.finish()
    return draft


def keep(files: FileStore, content: bytes, *, thumbnail: bytes | None = None, age: float = 0.0) -> str:
    draft = drafted(files, content)
    files.commit(draft, thumbnail)
    draft.discard()
    for path in (files.path(draft.hash), files.path(draft.hash, thumbnail=True)):
        if path.exists():
            os.utime(path, (time.time() - age, time.time() - age))
    return draft.hash


def noted(hash: str) -> Callable[[Connection], str]:
    def note(tx: Connection) -> str:
        owner = users.create(tx, email=None, password_hash=None, name="Ann", role="client", now=0).id
        file = StoredFile(hash=hash, name="a", type="text/plain", size=1)
        return records.create(tx, owner_id=owner, file=file, quota=0, now=0).id

    return note


def test_a_file_is_in_its_place_only_when_it_is_whole(files: FileStore) -> None:
    draft = drafted(files, b"hello")
    assert not files.path(draft.hash).exists()
    files.commit(draft, b"small")
    assert files.path(draft.hash).read_bytes() == b"hello"
    assert files.path(draft.hash, thumbnail=True).read_bytes() == b"small"
    assert [path for path in files.folder.rglob("*") if path.stat().st_mode & 0o077 and path.is_file()] == []


def test_what_was_being_written_when_the_hub_ended_is_gone_when_it_starts(files: FileStore) -> None:
    draft = drafted(files, b"half")
    files.prepare()
    assert not draft.path.exists()
    draft.discard()


@pytest.mark.parametrize("name", ["", "..", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_only_a_hash_is_a_place(files: FileStore, name: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        files.path(name)


async def test_what_no_row_names_is_dropped_but_never_what_is_on_its_way(files: FileStore, database: Database) -> None:
    named, young = keep(files, b"named", age=2 * HOUR), keep(files, b"young", age=HOUR / 2)
    orphan = keep(files, b"orphan", thumbnail=b"small", age=2 * HOUR)
    half = keep(files, b"half", thumbnail=b"small", age=2 * HOUR)
    files.path(half).unlink()
    id = await database.write(noted(named))
    collector = FileCleanup(files, database)

    async def collect() -> set[str]:
        for shelf in range(256):
            await collector.collect(shelf)
        return {path.name for path in files.all()}

    assert await collect() == {named, young}
    assert orphan not in {path.name for path in files.all()}
    await database.write(lambda tx: records.delete_unsent(tx, found=[id], now=0))
    assert await collect() == {young}


def test_a_file_that_is_uploaded_again_while_it_is_looked_at_stays(files: FileStore) -> None:
    hash = keep(files, b"again", age=2 * HOUR)
    assert files.list_shard(int(hash[:2], 16)) == [hash]
    keep(files, b"again")
    assert files.delete([hash]) == 0
    assert files.path(hash).exists()


def test_what_was_not_sent_within_a_day_is_forgotten(tx: Connection) -> None:
    id = noted("a" * 64)(tx)
    assert records.find_unsent(tx, now=records.UNSENT_MS, limit=10) == []
    assert records.find_unsent(tx, now=records.UNSENT_MS + 1, limit=10) == [id]


def test_a_full_disk_is_said_to_be_full(files: FileStore) -> None:
    with pytest.raises(StorageFull), file_store._no_room():
        raise OSError(28, "No space left on device")
    full = Path("/dev/full")
    if full.exists():
        draft = files.draft()
        draft._file.close()
        draft._file = open(full, "wb")  # noqa: SIM115
        draft.write(b"x")
        with pytest.raises(StorageFull):
            draft.finish()
        draft.discard()


@pytest.mark.parametrize(
    ("head", "type"),
    [
        (b"plain", "text/plain"),
        ("größer".encode()[:3], "text/plain"),
        ("größer".encode("latin-1"), None),
        (b"a\x00b", None),
        (b" \n<a>", None),
        (b"", "text/plain"),
        (b"%PDF-1.4", "application/pdf"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", None),
    ],
)
def test_a_type_is_known_by_the_content(head: bytes, type: str | None) -> None:
    assert media_types.detect(head) == type
