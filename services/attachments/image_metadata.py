"""Strips metadata from JPEG, PNG and WebP without re-encoding.

The output keeps the image data, the color information, the animation and the orientation. All functions block and map
the file into memory instead of reading it; call them in a thread.
"""

import mmap
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

# Size of an output chunk.
CHUNK_BYTES: Final = 256 * 1024
# Segments or chunks of one file: ten times as many as in an animation of 25 MB. More would take seconds.
MAX_PARTS: Final = 32_768

# Exif 2.32, 4.6.4: orientation 1 is upright, and so is an image without one.
_ROTATED = range(2, 9)
_ORIENTATION = 0x0112

# ITU-T T.81, B.1.1.2: the marker that ends entropy-coded data; not a stuffed byte, a restart or a fill byte.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_ANY_MARKER = re.compile(rb"\xff[^\x00\xff]")
_JPEG_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD8)))
_JPEG_END, _JPEG_SCAN = 0xD9, 0xDA
# Application segments and comments, and those application segments that define the colors.
_JPEG_METADATA = frozenset((*range(0xE0, 0xF0), 0xFE))
_JPEG_KEPT = ((0xE0, b"JFIF\0"), (0xE2, b"ICC_PROFILE\0"), (0xEE, b"Adobe"))

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# PNG, third edition, 4.7: the names of critical chunks begin with a capital letter; these chunks are ancillary.
_PNG_KEPT = frozenset(b"tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI bKGD hIST pHYs sPLT acTL fcTL fdAT".split())

_WEBP_KEPT = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"))
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04


class UnsupportedImage(Exception):
    """The structure of the file is invalid."""


def strip(path: Path, type: str, orientation: int | None) -> Iterator[bytes]:
    """Yield the image file without metadata in chunks of at most `CHUNK_BYTES`; `type` is one of `SUPPORTED`.

    `orientation` is the Exif orientation, which is kept. Raises UnsupportedImage, possibly after some chunks.
    """
    kept_orientation = orientation if orientation in _ROTATED else None
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            yield from _STRIP_BY_TYPE[type](data, kept_orientation)
        except (struct.error, IndexError) as error:
            raise UnsupportedImage from error


def _jpeg(data: mmap.mmap, orientation: int | None) -> Iterator[bytes]:
    """Strip a JPEG file (ITU-T T.81, annex B): segments, and entropy-coded data after each start of scan."""
    if data[:2] != b"\xff\xd8":
        raise UnsupportedImage
    yield b"\xff\xd8"
    if orientation is not None:
        exif = b"Exif\0\0" + _exif(orientation)
        yield b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    offset = 2
    for _ in range(MAX_PARTS):
        match = _ANY_MARKER.search(data, offset)
        offset, marker = (match.start(), data[match.start() + 1]) if match else (offset, _JPEG_END)
        if marker == _JPEG_END:
            break
        end = (
            offset + 2 if marker in _JPEG_WITHOUT_LENGTH else offset + 2 + struct.unpack_from(">H", data, offset + 2)[0]
        )
        if marker == _JPEG_SCAN:
            next_marker = _MARKER.search(data, end)
            end = next_marker.start() if next_marker else len(data)
        if marker not in _JPEG_METADATA or _defines_colors(marker, data, offset + 4):
            yield from _chunks(data, offset, end)
        offset = end
    else:
        raise UnsupportedImage
    # Bytes after the end belong to another file, such as a video or a second photo with its own metadata.
    yield b"\xff\xd9"


def _defines_colors(marker: int, data: mmap.mmap, offset: int) -> bool:
    return any(
        marker == kept_marker and data[offset : offset + len(prefix)] == prefix for kept_marker, prefix in _JPEG_KEPT
    )


def _png(data: mmap.mmap, orientation: int | None) -> Iterator[bytes]:
    """Strip a PNG file (third edition, 5): chunks of a length, a name, data and a checksum."""
    if data[:8] != _PNG_SIGNATURE:
        raise UnsupportedImage
    yield _PNG_SIGNATURE
    offset = 8
    for _ in range(MAX_PARTS):
        (size,), name = struct.unpack_from(">I", data, offset), data[offset + 4 : offset + 8]
        if name[:1].isupper() or name in _PNG_KEPT:
            yield from _chunks(data, offset, offset + 12 + size)
        if name == b"IHDR" and orientation is not None:
            chunk = b"eXIf" + _exif(orientation)
            yield struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        if name == b"IEND":
            return
        offset += 12 + size
    raise UnsupportedImage


def _webp(data: mmap.mmap, orientation: int | None) -> Iterator[bytes]:
    """Strip a WebP file (RFC 9649, 2): a RIFF chunk that contains chunks padded to an even length."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise UnsupportedImage
    size = sum(len(chunk) for chunk in _webp_chunks(data, orientation))
    yield b"RIFF" + struct.pack("<I", 4 + size) + b"WEBP"
    yield from _webp_chunks(data, orientation)


def _webp_chunks(data: mmap.mmap, orientation: int | None) -> Iterator[bytes]:
    offset, end, extended = 12, min(len(data), 8 + struct.unpack_from("<I", data, 4)[0]), False
    for _ in range(MAX_PARTS):
        if offset >= end:
            break
        name, (size,) = data[offset : offset + 4], struct.unpack_from("<I", data, offset + 4)
        next_offset = offset + 8 + size + size % 2
        if name == b"VP8X":
            extended = True
            flags = data[offset + 8] & ~(_WEBP_EXIF | _WEBP_XMP) | (_WEBP_EXIF if orientation is not None else 0)
            yield data[offset : offset + 8] + bytes([flags]) + data[offset + 9 : next_offset]
        elif name in _WEBP_KEPT:
            yield from _chunks(data, offset, next_offset)
        offset = next_offset
    else:
        raise UnsupportedImage
    if orientation is not None and extended:
        exif = _exif(orientation)
        yield b"EXIF" + struct.pack("<I", len(exif)) + exif


def _exif(orientation: int) -> bytes:
    """Return Exif data with the orientation only: a TIFF 6.0 directory with one SHORT entry."""
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, _ORIENTATION, 3, 1, orientation, 0, 0)


def _chunks(data: mmap.mmap, start: int, end: int) -> Iterator[bytes]:
    if end > len(data):
        raise UnsupportedImage
    for offset in range(start, end, CHUNK_BYTES):
        yield data[offset : min(offset + CHUNK_BYTES, end)]


_STRIP_BY_TYPE: Final[dict[str, Callable[[mmap.mmap, int | None], Iterator[bytes]]]] = {
    "image/jpeg": _jpeg,
    "image/png": _png,
    "image/webp": _webp,
}
SUPPORTED: Final = frozenset(_STRIP_BY_TYPE)
