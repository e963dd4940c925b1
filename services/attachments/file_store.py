"""Content-addressed files on disk, written atomically."""

import errno
import hashlib
import os
import re
import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from services.errors import StorageFull

# The first bytes of a file, from which its media type is detected.
HEAD_BYTES: Final = 8 * 1024
# A file without a row is not deleted for this time, because an upload may be about to insert its row.
GRACE_SECONDS: Final = 3_600.0

_HASH = re.compile(r"[0-9a-f]{64}")
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class TemporaryFile:
    """A file that is being written. All methods block; call them in a thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.head = b""
        self._digest = hashlib.sha256()
        with _translate_disk_full():
            self._file = open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")  # noqa: SIM115

    @property
    def hash(self) -> str:
        """The SHA-256 of the bytes written so far, in hexadecimal."""
        return self._digest.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Append a chunk. Raises StorageFull."""
        self.size += len(chunk)
        self.head += chunk[: HEAD_BYTES - len(self.head)]
        self._digest.update(chunk)
        with _translate_disk_full():
            self._file.write(chunk)

    def finish(self) -> None:
        """Close the file after its last chunk. Raises StorageFull."""
        with _translate_disk_full():
            self._file.close()

    def discard(self) -> None:
        """Delete the file unless it was committed."""
        with suppress(OSError):
            self._file.close()
        self.path.unlink(missing_ok=True)


class FileStore:
    """The folder of all files. All methods block; call them in a thread. Only one process may use the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._temporary = folder / "drafts"
        # A commit must not replace a file between the check of its age and its deletion.
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Create the folder and delete temporary files of an earlier process."""
        self._temporary.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in self._temporary.iterdir():
            path.unlink(missing_ok=True)

    def create_temporary(self) -> TemporaryFile:
        """Create a temporary file, which cannot be downloaded. Raises StorageFull."""
        return TemporaryFile(self._temporary / secrets.token_hex(16))

    def rewrite(self, file: TemporaryFile, chunks: Iterable[bytes]) -> TemporaryFile:
        """Return a finished file of these chunks and discard `file`. Raises StorageFull."""
        new_file = self.create_temporary()
        try:
            for chunk in chunks:
                new_file.write(chunk)
            new_file.finish()
        except BaseException:
            new_file.discard()
            raise
        file.discard()
        return new_file

    def path(self, hash: str, *, thumbnail: bool = False) -> Path:
        """Return the path of a file or of its thumbnail. Raises ValueError for an invalid hash."""
        if not _HASH.fullmatch(hash):
            raise ValueError("not a SHA-256 in hexadecimal")
        return self.folder / hash[:2] / (f"{hash}.thumb" if thumbnail else hash)

    def commit(self, file: TemporaryFile, thumbnail: bytes | None) -> None:
        """Move a finished file to its final path; it is durable when this returns. Its row must be inserted later.

        An existing file with the same content is replaced, so that its age starts again. Raises StorageFull.
        """
        target = self.path(file.hash)
        with _translate_disk_full():
            target.parent.mkdir(exist_ok=True, mode=0o700)
            _sync(self.folder)
            if thumbnail is not None:
                self._write(thumbnail, self.path(file.hash, thumbnail=True))
            _sync(file.path)
            os.utime(file.path)
            with self._lock:
                os.replace(file.path, target)
            _sync(target.parent)

    def list_shard(self, shard: int) -> list[str]:
        """Return the hashes of files older than `GRACE_SECONDS` in one of the 256 shards."""
        before = time.time() - GRACE_SECONDS
        names = {path.name.removesuffix(".thumb") for path in self._shard_paths(shard) if path.stat().st_mtime < before}
        return [name for name in names if _HASH.fullmatch(name)]

    def delete(self, hashes: Iterable[str]) -> int:
        """Delete these files unless they were replaced within `GRACE_SECONDS`; return the number of deleted files."""
        before, deleted = time.time() - GRACE_SECONDS, 0
        for hash in hashes:
            with self._lock:
                path = self.path(hash)
                if not path.exists() or path.stat().st_mtime < before:
                    path.unlink(missing_ok=True)
                    self.path(hash, thumbnail=True).unlink(missing_ok=True)
                    deleted += 1
        return deleted

    def list_paths(self) -> Iterator[Path]:
        """Yield the paths of all files and thumbnails."""
        for shard in range(256):
            yield from self._shard_paths(shard)

    def _shard_paths(self, shard: int) -> list[Path]:
        try:
            return sorted((self.folder / f"{shard:02x}").iterdir())
        except FileNotFoundError:
            return []

    def _write(self, content: bytes, target: Path) -> None:
        file = self.create_temporary()
        try:
            file.write(content)
            file.finish()
            _sync(file.path)
            with self._lock:
                os.replace(file.path, target)
        finally:
            file.discard()


@contextmanager
def _translate_disk_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise StorageFull from error
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
