"""The files of web/ as they are sent: few, small, compressed, and named by a hash of all of them.

A module and what it imports are sent as one file, with short names for what nothing outside can see (`short_names`)
and without comments, spaces and line ends that mean nothing (`compact`), so that a page asks for three small files and
not for thirty. That is all that is done to them.
"""

import hashlib
import mimetypes
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deflate import gzip_compress

from api.compact import compact

# Modules that are asked for by name; each is sent with what it imports, unless that is in one before it.
ENTRIES = ("client.js", "worker.js", "react.js", "elements.js", "app.js", "docs.js")
# Where a page writes the address of a file, the hash is put in.
_PLAIN, _RELEASE = "/static/", "{release}"
# Already compressed, or too small to gain.
_DENSE = (".png", ".woff2")
# They are packed once and sent often. (libdeflate makes files 3.6 % smaller here than zlib's best.)
_SMALLEST: Final = 12

_IMPORT = re.compile(r'^import (?:(?P<names>\{[^}]*\}) from )?"\./(?P<file>[\w.-]+)";\n', re.MULTILINE)
_PASS_ON = re.compile(r'^export \{[^}]*\} from "\./(?P<file>[\w.-]+)";\n', re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*(?:/\*\*.*?\*/[ \t]*|//[^\n]*)\n", re.MULTILINE | re.DOTALL)
_STYLE = re.compile(r"\bsheet\(`[^`]*`\)")
_AROUND = re.compile(r"\s*([{};,>])\s*|(?<=:) ")
_MARGIN = re.compile(r"^[ \t]+|\n(?=\n)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent; `packed` is the same in gzip, where that is smaller."""

    media_type: str
    plain: bytes
    packed: bytes | None
    etag: str


@dataclass(frozen=True, slots=True)
class Assets:
    """All files by name; `release` changes when any of them does."""

    release: str
    files: Mapping[str, Asset]


def read(web: Path, shortened: Callable[[str], str] = str) -> Assets:
    """Everything below `web`. Raises OSError, and ValueError where a module imports one that is not there."""
    texts = {path.name: path.read_text() for path in sorted(web.glob("*.js"))}
    sent = {path.relative_to(web).as_posix(): path.read_bytes() for path in sorted(web.rglob("*")) if path.is_file()}
    sent = {name: content for name, content in sent.items() if name not in texts}
    sent |= {name: compact(shortened(code)).encode() for name, code in bundles(texts).items()}
    release = hashlib.sha256(b"\0".join(name.encode() + b"\0" + sent[name] for name in sorted(sent))).hexdigest()[:12]
    return Assets(release, {name: _asset(name, content, release) for name, content in sent.items()})


def bundles(texts: Mapping[str, str]) -> dict[str, str]:
    """The modules that pages ask for, each as one text; a module nobody's entry needs is sent by itself."""
    home: dict[str, str] = {}
    parts: dict[str, list[str]] = {}
    for entry in [name for name in ENTRIES if name in texts]:
        parts[entry] = [name for name in _needed(entry, texts) if name not in home]
        home |= dict.fromkeys(parts[entry], entry)
    for name in texts:
        if name not in home:
            parts[name], home[name] = [name], name
    return {entry: _bundle(entry, modules, texts, home) for entry, modules in parts.items()}


def _needed(entry: str, texts: Mapping[str, str]) -> Iterator[str]:
    """What `entry` imports, directly or not, each after what it needs itself; `entry` comes last."""
    seen: set[str] = set()

    def visit(name: str) -> Iterator[str]:
        if name in seen:
            return
        seen.add(name)
        if name not in texts:
            raise ValueError(f"web/ has no {name}, which a module imports")
        for found in (*_IMPORT.finditer(texts[name]), *_PASS_ON.finditer(texts[name])):
            yield from visit(found["file"])
        yield name

    return visit(entry)


def _bundle(entry: str, modules: Sequence[str], texts: Mapping[str, str], home: Mapping[str, str]) -> str:
    """The modules one after the other; what they import from other bundles stands at the top, once."""
    wanted: dict[str, set[str]] = {}
    for name in modules:
        for found in _IMPORT.finditer(texts[name]):
            if home[found["file"]] != entry:
                names = {each.strip() for each in (found["names"] or "{}")[1:-1].split(",")}
                wanted.setdefault(home[found["file"]], set()).update(names - {""})
    imports = [_import(sorted(names), file) for file, names in wanted.items()]
    passed = [
        found[0].replace(found["file"], home[found["file"]])
        for name in modules
        for found in _PASS_ON.finditer(texts[name])
        if home[found["file"]] != entry
    ]
    bodies = [_PASS_ON.sub("", _IMPORT.sub("", texts[name])) for name in modules]
    code = _COMMENT.sub("", "".join([*imports, *passed, *bodies]))
    return _STYLE.sub(lambda style: _AROUND.sub(r"\1", style[0]).replace(";}", "}"), _MARGIN.sub("", code))


def _import(names: Sequence[str], file: str) -> str:
    return f'import {{ {", ".join(names)} }} from "./{file}";\n' if names else f'import "./{file}";\n'


def _asset(name: str, content: bytes, release: str) -> Asset:
    if name.endswith((".html", "sw.js", ".webmanifest")):
        content = content.replace(_PLAIN.encode(), f"{_PLAIN}{release}/".encode())
        content = content.replace(_RELEASE.encode(), release.encode())
    packed = None if name.endswith(_DENSE) else bytes(gzip_compress(content, _SMALLEST))
    if packed is not None and len(packed) >= len(content):
        packed = None
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    return Asset(_media_type(name), content, packed, etag)


def _media_type(name: str) -> str:
    known = {".webmanifest": "application/manifest+json", ".ts": "text/plain; charset=utf-8", ".woff2": "font/woff2"}
    found = known.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    if found in ("text/javascript", "application/javascript"):
        return "text/javascript; charset=utf-8"
    return f"{found}; charset=utf-8" if found in ("text/html", "text/css", "text/plain") else found
