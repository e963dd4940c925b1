"""FileStore: atomic writes, cleanup of unreferenced files, and media types."""

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
    files = FileStore(tmp_path / "hub.files")
    files.prepare()
    return files


def write_temporary(files: FileStore, content: bytes) -> TemporaryFile:
    temporary = files.create_temporary()
    temporary.write(content)
    temporary.finish()
    return temporary


def store_file(files: FileStore, content: bytes, *, thumbnail: bytes | None = None, age: float = 0.0) -> str:
    temporary = write_temporary(files, content)
    files.commit(temporary, thumbnail)
    temporary.discard()
    for path in (files.path(temporary.hash), files.path(temporary.hash, thumbnail=True)):
        if path.exists():
            os.utime(path, (time.time() - age, time.time() - age))
    return temporary.hash


def insert_row(hash: str) -> Callable[[Connection], str]:
    def unit(tx: Connection) -> str:
        owner = users.create(tx, email=None, password_hash=None, name="Ann", role="client", now=0).id
        file = StoredFile(hash=hash, name="a", type="text/plain", size=1)
        return records.create(tx, owner_id=owner, file=file, quota=0, now=0).id

    return unit


def test_file_has_its_final_path_only_after_commit(files: FileStore) -> None:
    temporary = write_temporary(files, b"hello")
    assert not files.path(temporary.hash).exists()
    files.commit(temporary, b"small")
    assert files.path(temporary.hash).read_bytes() == b"hello"
    assert files.path(temporary.hash, thumbnail=True).read_bytes() == b"small"
    assert [path for path in files.folder.rglob("*") if path.stat().st_mode & 0o077 and path.is_file()] == []


def test_prepare_deletes_temporary_files(files: FileStore) -> None:
    temporary = write_temporary(files, b"incomplete")
    files.prepare()
    assert not temporary.path.exists()
    temporary.discard()


@pytest.mark.parametrize(
    "name",
    ["", "..", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n"],
    ids=["empty", "parent", "path", "upper case", "too short", "line feed"],
)
def test_path_is_rejected_for_anything_but_a_hash(files: FileStore, name: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        files.path(name)


async def test_cleanup_deletes_unreferenced_files_but_not_recent_ones(files: FileStore, database: Database) -> None:
    referenced, recent = store_file(files, b"referenced", age=2 * HOUR), store_file(files, b"recent", age=HOUR / 2)
    orphan = store_file(files, b"orphan", thumbnail=b"small", age=2 * HOUR)
    incomplete = store_file(files, b"incomplete", thumbnail=b"small", age=2 * HOUR)
    files.path(incomplete).unlink()
    id = await database.write(insert_row(referenced))
    cleanup = FileCleanup(files, database)

    async def run_cleanup() -> set[str]:
        for shard in range(256):
            await cleanup.clean_shard(shard)
        return {path.name for path in files.list_paths()}

    assert await run_cleanup() == {referenced, recent}
    assert orphan not in {path.name for path in files.list_paths()}
    await database.write(lambda tx: records.delete_unsent(tx, found=[id], now=0))
    assert await run_cleanup() == {recent}


def test_file_uploaded_again_during_cleanup_is_kept(files: FileStore) -> None:
    hash = store_file(files, b"again", age=2 * HOUR)
    assert files.list_shard(int(hash[:2], 16)) == [hash]
    store_file(files, b"again")
    assert files.delete([hash]) == 0
    assert files.path(hash).exists()


def test_unsent_file_is_found_after_one_day(tx: Connection) -> None:
    id = insert_row("a" * 64)(tx)
    assert records.find_unsent(tx, now=records.UNSENT_MS, limit=10) == []
    assert records.find_unsent(tx, now=records.UNSENT_MS + 1, limit=10) == [id]


def test_full_disk_raises_storage_full(files: FileStore) -> None:
    with pytest.raises(StorageFull), file_store._translate_disk_full():
        raise OSError(28, "No space left on device")
    full_device = Path("/dev/full")
    if full_device.exists():
        temporary = files.create_temporary()
        temporary._file.close()
        temporary._file = open(full_device, "wb")  # noqa: SIM115
        temporary.write(b"x")
        with pytest.raises(StorageFull):
            temporary.finish()
        temporary.discard()


HEADS = {
    "ASCII": (b"plain", "text/plain"),
    "cut UTF-8": ("größer".encode()[:3], "text/plain"),
    "Latin-1": ("größer".encode("latin-1"), None),
    "NUL": (b"a\x00b", None),
    "HTML": (b" \n<a>", None),
    "empty": (b"", "text/plain"),
    "PDF": (b"%PDF-1.4", "application/pdf"),
    "OLE without a known type": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", None),
}


@pytest.mark.parametrize(("head", "type"), HEADS.values(), ids=HEADS)
def test_media_type_is_detected_from_the_content(head: bytes, type: str | None) -> None:
    assert media_types.detect(head) == type
