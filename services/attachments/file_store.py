"""Uploaded files on disk, each under the hash of its content: whole or not there at all, whenever the power goes."""

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

# The first bytes of a file, by which its type is known.
HEAD: Final = 8 * 1024
# A file that no row names is left alone for so long: its row may be on its way.
GRACE_SECONDS: Final = 3_600.0

_HASH = re.compile(r"[0-9a-f]{64}")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class TemporaryFile:
    """A file that is being written. Everything blocks: call it in a thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.head = b""
        self._digest = hashlib.sha256()
        with _no_room():
            self._file = open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")  # noqa: SIM115

    @property
    def hash(self) -> str:
        """SHA-256 of what was written so far, in hexadecimal."""
        return self._digest.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Raises StorageFull."""
        self.size += len(chunk)
        self.head += chunk[: HEAD - len(self.head)]
        self._digest.update(chunk)
        with _no_room():
            self._file.write(chunk)

    def finish(self) -> None:
        """Nothing more comes. Raises StorageFull."""
        with _no_room():
            self._file.close()

    def discard(self) -> None:
        """Leave nothing behind; no harm if it was kept."""
        with suppress(OSError):
            self._file.close()
        self.path.unlink(missing_ok=True)


class FileStore:
    """The folder of the files. Everything blocks: call it in a thread. One process at a time uses it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._drafts = folder / "drafts"
        # Whoever drops a file has just looked how old it is: nobody puts it back in place in between.
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Make the folder, and throw away what was being written when the hub last ended."""
        self._drafts.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in self._drafts.iterdir():
            left.unlink(missing_ok=True)

    def draft(self) -> TemporaryFile:
        """A new file that nobody can fetch yet. Raises StorageFull."""
        return TemporaryFile(self._drafts / secrets.token_hex(16))

    def rewrite(self, draft: TemporaryFile, pieces: Iterable[bytes]) -> TemporaryFile:
        """A finished draft of these pieces in the place of another one, which is gone then. Raises StorageFull."""
        made = self.draft()
        try:
            for piece in pieces:
                made.write(piece)
            made.finish()
        except BaseException:
            made.discard()
            raise
        draft.discard()
        return made

    def path(self, hash: str, *, thumbnail: bool = False) -> Path:
        """Where a file is, or its thumbnail. Raises ValueError for what is no hash."""
        if not _HASH.fullmatch(hash):
            raise ValueError("not a SHA-256 in hexadecimal")
        return self.folder / hash[:2] / (f"{hash}.thumb" if thumbnail else hash)

    def commit(self, draft: TemporaryFile, thumbnail: bytes | None) -> None:
        """Put a finished draft in its place; on disk when this returns, and before its row is written.

        Raises StorageFull. In place of the same file as before, too, so that it counts as new.
        """
        target = self.path(draft.hash)
        with _no_room():
            target.parent.mkdir(exist_ok=True, mode=0o700)
            _sync(self.folder)
            if thumbnail is not None:
                self._place(thumbnail, self.path(draft.hash, thumbnail=True))
            _sync(draft.path)
            os.utime(draft.path)
            with self._lock:
                os.replace(draft.path, target)
            _sync(target.parent)

    def list_shard(self, shelf: int) -> list[str]:
        """The hashes on one of 256 shelves of files that have been there for longer than a row takes."""
        before = time.time() - GRACE_SECONDS
        found = {path.name.removesuffix(".thumb") for path in self._on(shelf) if path.stat().st_mtime < before}
        return [name for name in found if _HASH.fullmatch(name)]

    def delete(self, hashes: Iterable[str]) -> int:
        """Remove files that no row names, if they are still as old as they were; returns how many."""
        before, dropped = time.time() - GRACE_SECONDS, 0
        for hash in hashes:
            with self._lock:
                path = self.path(hash)
                if not path.exists() or path.stat().st_mtime < before:
                    path.unlink(missing_ok=True)
                    self.path(hash, thumbnail=True).unlink(missing_ok=True)
                    dropped += 1
        return dropped

    def all(self) -> Iterator[Path]:
        """Every file and thumbnail."""
        for shelf in range(256):
            yield from self._on(shelf)

    def _on(self, shelf: int) -> list[Path]:
        try:
            return sorted((self.folder / f"{shelf:02x}").iterdir())
        except FileNotFoundError:
            return []

    def _place(self, content: bytes, target: Path) -> None:
        draft = self.draft()
        try:
            draft.write(content)
            draft.finish()
            _sync(draft.path)
            with self._lock:
                os.replace(draft.path, target)
        finally:
            draft.discard()


@contextmanager
def _no_room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull from error
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
