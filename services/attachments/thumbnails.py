"""Validates images and makes thumbnails in a thread pool."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from anyio import CapacityLimiter, to_thread

from services.errors import Overloaded

# Larger images would take seconds and hundreds of megabytes to decode; cameras produce smaller ones.
MAX_PIXELS: Final = 40_000_000
THUMBNAIL_SIZE: Final = (480, 480)
# One thread, because decoding an image of `MAX_PIXELS` takes 160 MB.
MAX_THREADS: Final = 1
MAX_WAITING: Final = 32

# Pillow may use only these decoders for uploaded bytes.
FORMATS: Final[Mapping[str, str]] = {"image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WEBP"}
_ORIENTATION = 0x0112
_SIDEWAYS = range(5, 9)


class NotAnImage(Exception):
    """The file is damaged, has another type, or has more than `MAX_PIXELS`."""


class ImageInfo(NamedTuple):
    """Size in pixels after rotation, thumbnail as WebP, and the Exif orientation of the file."""

    width: int
    height: int
    thumbnail: bytes
    orientation: int | None


class Thumbnails:
    """Inspects images with bounded threads, waiting calls and pixels."""

    def __init__(self) -> None:
        self._threads = CapacityLimiter(MAX_THREADS)
        self._calls = 0

    async def inspect(self, path: Path, type: str) -> ImageInfo:
        """Inspect an image file in a thread. Raises NotAnImage, and Overloaded when too many calls wait."""
        if self._calls >= MAX_THREADS + MAX_WAITING:
            raise Overloaded
        self._calls += 1
        try:
            return await to_thread.run_sync(inspect, path, type, limiter=self._threads)
        finally:
            self._calls -= 1


def inspect(path: Path, type: str) -> ImageInfo:
    """Validate an image file and return its size and thumbnail; blocks. Raises NotAnImage."""
    try:
        return _decode(path, FORMATS[type])
    # Decoders raise many exception types for malformed bytes.
    except Exception as error:
        raise NotAnImage from error


def _decode(path: Path, format: str) -> ImageInfo:
    # Imported on first use, because it takes 2 MB.
    from PIL import Image, ImageOps

    with Image.open(path, formats=[format]) as image:
        # The header alone gives the size, so nothing is decoded yet.
        if image.width * image.height > MAX_PIXELS:
            raise NotAnImage
        image.verify()
    with Image.open(path, formats=[format]) as image:
        width, height = image.size
        orientation = image.getexif().get(_ORIENTATION)
        if orientation in _SIDEWAYS:
            width, height = height, width
        # JPEG can be decoded at a reduced size.
        image.draft("RGB", (THUMBNAIL_SIZE[0] * 2, THUMBNAIL_SIZE[1] * 2))
        image.thumbnail(THUMBNAIL_SIZE, reducing_gap=2.0)
        upright = ImageOps.exif_transpose(image)
        pixels = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
        # The thumbnail gets pixels only, no metadata of the file.
        buffer = io.BytesIO()
        pixels.save(buffer, "WEBP", quality=75, exif=b"", icc_profile=b"", xmp=b"")
        return ImageInfo(width, height, buffer.getvalue(), orientation)
