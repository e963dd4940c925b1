"""The files of web/dist, read once, compressed, and named by a hash of all of them."""

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# In these files the server inserts the release: into the addresses of other files and where the text asks for it.
_WITH_RELEASE: Final = (".html", "sw.js", ".webmanifest")
_ADDRESS, _RELEASE = "/static/", "{release}"
_ALREADY_COMPRESSED: Final = (".png", ".woff2")
_MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".ts": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file; `compressed` is its gzip form, None where that is not smaller."""

    media_type: str
    content: bytes
    compressed: bytes | None
    etag: str


@dataclass(frozen=True, slots=True)
class StaticFiles:
    """All files by their path below the folder; `release` changes when any of them changes."""

    release: str
    by_path: Mapping[str, StaticFile]


def load_static_files(folder: Path) -> StaticFiles:
    """Return all files below the folder. Raises FileNotFoundError when it has no index.html."""
    contents = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    if "index.html" not in contents:
        raise FileNotFoundError(f"{folder} has no index.html; run `make web`.")
    named = b"\0".join(name.encode() + b"\0" + contents[name] for name in sorted(contents))
    release = hashlib.sha256(named).hexdigest()[:12]
    return StaticFiles(release, {name: _static_file(name, content, release) for name, content in contents.items()})


def _static_file(name: str, content: bytes, release: str) -> StaticFile:
    if name.endswith(_WITH_RELEASE):
        content = content.replace(_ADDRESS.encode(), f"{_ADDRESS}{release}/".encode())
        content = content.replace(_RELEASE.encode(), release.encode())
    compressed = None if name.endswith(_ALREADY_COMPRESSED) else gzip.compress(content, 9, mtime=0)
    if compressed is not None and len(compressed) >= len(content):
        compressed = None
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    return StaticFile(_media_type(name), content, compressed, etag)


def _media_type(name: str) -> str:
    known = _MEDIA_TYPES.get(Path(name).suffix)
    return known or mimetypes.guess_type(name)[0] or "application/octet-stream"
