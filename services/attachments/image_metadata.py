"""Takes out of a photo what its camera and its owner wrote into it, the place foremost; the picture stays bit for bit.

Only what a decoder needs to show the picture goes on (its colours, its animation), and which side is up. Blocks, and
holds no file in memory: call it in a thread.
"""

import mmap
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

# What goes on in one piece.
STEP: Final = 256 * 1024
# Segments or chunks of one file: ten times what an animation of 25 MB has. More would be seconds of work.
PARTS: Final = 32_768

# Exif 2.32, 4.6.4: 1 is upright, and so is what says nothing.
_TURNED = range(2, 9)
_ORIENTATION = 0x0112

# ITU-T T.81, B.1.1.2: a marker within the picture's data, neither a stuffed byte, a restart nor a fill byte.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_ANY_MARKER = re.compile(rb"\xff[^\x00\xff]")
_JPEG_BARE = frozenset((0x01, *range(0xD0, 0xD8)))
_JPEG_END, _JPEG_SCAN = 0xD9, 0xDA
# Applications' segments and comments; of them only what says how the colours are meant.
_JPEG_EXTRA = frozenset((*range(0xE0, 0xF0), 0xFE))
_JPEG_KEPT = ((0xE0, b"JFIF\0"), (0xE2, b"ICC_PROFILE\0"), (0xEE, b"Adobe"))

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# PNG, third edition, 4.7: everything without which it cannot be shown begins with a capital.
_PNG_KEPT = frozenset(b"tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI bKGD hIST pHYs sPLT acTL fcTL fdAT".split())

_WEBP_KEPT = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"))
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04


class UnsupportedImage(Exception):
    """Its parts cannot be told from one another."""


def strip(path: Path, type: str, orientation: int | None) -> Iterator[bytes]:
    """The image file without what is not the picture, in small pieces; `type` is one of `CLEANED`.

    `orientation` is what its Exif data says, and goes on. Raises NotUnderstood, possibly after some pieces.
    """
    turned = orientation if orientation in _TURNED else None
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            yield from _CLEANERS[type](data, turned)
        except (struct.error, IndexError) as error:
            raise UnsupportedImage from error


def _jpeg(data: mmap.mmap, turned: int | None) -> Iterator[bytes]:
    """ITU-T T.81, annex B: segments, and the picture's data after each start of scan."""
    if data[:2] != b"\xff\xd8":
        raise UnsupportedImage
    yield b"\xff\xd8"
    if turned is not None:
        exif = b"Exif\0\0" + _exif(turned)
        yield b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    at = 2
    for _ in range(PARTS):
        found = _ANY_MARKER.search(data, at)
        at, marker = (found.start(), data[found.start() + 1]) if found else (at, _JPEG_END)
        if marker == _JPEG_END:
            break
        end = at + 2 if marker in _JPEG_BARE else at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        if marker == _JPEG_SCAN:
            after = _MARKER.search(data, end)
            end = after.start() if after else len(data)
        if marker not in _JPEG_EXTRA or _says_how_to_show(marker, data, at + 4):
            yield from _steps(data, at, end)
        at = end
    else:
        raise UnsupportedImage
    # Whatever comes after the end is another file: a film, or a second photo with data of its own.
    yield b"\xff\xd9"


def _says_how_to_show(marker: int, data: mmap.mmap, at: int) -> bool:
    return any(marker == kept and data[at : at + len(name)] == name for kept, name in _JPEG_KEPT)


def _png(data: mmap.mmap, turned: int | None) -> Iterator[bytes]:
    """PNG, third edition, 5: chunks of a length, a name, data and a checksum."""
    if data[:8] != _PNG_SIGNATURE:
        raise UnsupportedImage
    yield _PNG_SIGNATURE
    at = 8
    for _ in range(PARTS):
        (size,), name = struct.unpack_from(">I", data, at), data[at + 4 : at + 8]
        if name[:1].isupper() or name in _PNG_KEPT:
            yield from _steps(data, at, at + 12 + size)
        if name == b"IHDR" and turned is not None:
            chunk = b"eXIf" + _exif(turned)
            yield struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        if name == b"IEND":
            return
        at += 12 + size
    raise UnsupportedImage


def _webp(data: mmap.mmap, turned: int | None) -> Iterator[bytes]:
    """RFC 9649, 2: chunks of a name, a length and data, padded to an even length, in one that says how long it is."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise UnsupportedImage
    size = sum(len(piece) for piece in _webp_chunks(data, turned))
    yield b"RIFF" + struct.pack("<I", 4 + size) + b"WEBP"
    yield from _webp_chunks(data, turned)


def _webp_chunks(data: mmap.mmap, turned: int | None) -> Iterator[bytes]:
    at, end, extended = 12, min(len(data), 8 + struct.unpack_from("<I", data, 4)[0]), False
    for _ in range(PARTS):
        if at >= end:
            break
        name, (size,) = data[at : at + 4], struct.unpack_from("<I", data, at + 4)
        after = at + 8 + size + size % 2
        if name == b"VP8X":
            extended = True
            flags = data[at + 8] & ~(_WEBP_EXIF | _WEBP_XMP) | (_WEBP_EXIF if turned is not None else 0)
            yield data[at : at + 8] + bytes([flags]) + data[at + 9 : after]
        elif name in _WEBP_KEPT:
            yield from _steps(data, at, after)
        at = after
    else:
        raise UnsupportedImage
    if turned is not None and extended:
        exif = _exif(turned)
        yield b"EXIF" + struct.pack("<I", len(exif)) + exif


def _exif(orientation: int) -> bytes:
    """TIFF 6.0, 2: a directory with one entry, a short."""
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, _ORIENTATION, 3, 1, orientation, 0, 0)


def _steps(data: mmap.mmap, start: int, end: int) -> Iterator[bytes]:
    if end > len(data):
        raise UnsupportedImage
    for at in range(start, end, STEP):
        yield data[at : min(at + STEP, end)]


_CLEANERS: Final[dict[str, Callable[[mmap.mmap, int | None], Iterator[bytes]]]] = {
    "image/jpeg": _jpeg,
    "image/png": _png,
    "image/webp": _webp,
}
SUPPORTED: Final = frozenset(_CLEANERS)
