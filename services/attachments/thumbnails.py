"""Looks at images in a thread of its own: whether they are what they seem, how large, and what they look like small."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from anyio import CapacityLimiter, to_thread

from services.errors import Overloaded

# More would take seconds and hundreds of megabytes to look at; cameras make less.
PIXELS: Final = 40_000_000
BOX: Final = (480, 480)
# One at a time: an image of the most pixels takes 160 MB while it is looked at.
THREADS: Final = 1
WAITING: Final = 32

# Only these decoders are ever given a stranger's bytes.
FORMATS: Final[Mapping[str, str]] = {"image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WEBP"}
_ORIENTATION = 0x0112
_LYING = range(5, 9)


class NotAnImage(Exception):
    """It is damaged, no such image, or larger than anybody looks at."""


class ImageInfo(NamedTuple):
    """An image's size in pixels as it is shown, the same image small, as WebP, and which side its file says is up."""

    width: int
    height: int
    thumbnail: bytes
    orientation: int | None


class Thumbnails:
    """Bounded in threads, in those who wait, and in pixels."""

    def __init__(self) -> None:
        self._threads = CapacityLimiter(THREADS)
        self._inside = 0

    async def look(self, path: Path, type: str) -> ImageInfo:
        """Look at an image file. Raises NotAnImage, and Overloaded when too many wait."""
        if self._inside >= THREADS + WAITING:
            raise Overloaded
        self._inside += 1
        try:
            return await to_thread.run_sync(inspect, path, type, limiter=self._threads)
        finally:
            self._inside -= 1


def inspect(path: Path, type: str) -> ImageInfo:
    """The same here and now. Blocks."""
    try:
        return _look(path, FORMATS[type])
    # What a decoder raises about bytes that were made to confuse it is not to be foreseen.
    except Exception as error:
        raise NotAnImage from error


def _look(path: Path, form: str) -> ImageInfo:
    # Not before the first image: 2 MB.
    from PIL import Image, ImageOps

    with Image.open(path, formats=[form]) as image:
        # Before anything is decoded: the header alone says how much that would be.
        if image.width * image.height > PIXELS:
            raise NotAnImage
        image.verify()
    with Image.open(path, formats=[form]) as image:
        width, height = image.size
        orientation = image.getexif().get(_ORIENTATION)
        if orientation in _LYING:
            width, height = height, width
        # JPEG can be decoded small in the first place.
        image.draft("RGB", (BOX[0] * 2, BOX[1] * 2))
        image.thumbnail(BOX, reducing_gap=2.0)
        upright = ImageOps.exif_transpose(image)
        plain = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
        # A new image of pixels alone: nothing that came along in the file goes on.
        made = io.BytesIO()
        plain.save(made, "WEBP", quality=75, exif=b"", icc_profile=b"", xmp=b"")
        return ImageInfo(width, height, made.getvalue(), orientation)
