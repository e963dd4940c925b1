"""Image metadata: it is stripped and the image data is unchanged."""

import io
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms, ImageOps
from PIL.PngImagePlugin import PngInfo

from services.attachments import image_metadata
from services.attachments.image_metadata import UnsupportedImage, strip

TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
# Written into every kind of metadata that a format has.
SECRET = b"52 31 12 north"
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif(orientation: int | None = 6) -> Image.Exif:
    result = Image.Exif()
    if orientation is not None:
        result[0x0112] = orientation
    result[0x010E] = SECRET.decode()
    result.get_ifd(0x8825)[1] = "N"
    result.get_ifd(0x8825)[29] = SECRET.decode()
    return result


def photo(format: str, **options: Any) -> bytes:
    result = io.BytesIO()
    noise = Image.frombytes("RGB", (61, 40), random.Random(1).randbytes(61 * 40 * 3))
    noise.save(result, format, **({"exif": exif(), "icc_profile": ICC} | options))
    return result.getvalue()


def photo_with_metadata(format: str) -> bytes:
    if format == "PNG":
        info = PngInfo()
        info.add_text("Comment", SECRET.decode())
        info.add_itxt("XML:com.adobe.xmp", SECRET.decode())
        info.add(b"prVt", SECRET)
        return photo(format, pnginfo=info) + SECRET
    if format == "WEBP":
        return photo(format, xmp=SECRET, lossless=True)
    return photo(format, comment=SECRET, xmp=SECRET, progressive=True, quality=95) + SECRET


def strip_file(content: bytes, format: str, folder: Path, orientation: int | None = 6) -> bytes:
    path = folder / "file"
    path.write_bytes(content)
    return b"".join(strip(path, TYPES[format], orientation))


def pixels(content: bytes) -> tuple[bytes, Any]:
    with Image.open(io.BytesIO(content)) as image:
        return ImageOps.exif_transpose(image).tobytes(), image.info.get("icc_profile")


@pytest.mark.parametrize("format", TYPES)
def test_metadata_is_stripped_and_pixels_are_unchanged(format: str, tmp_path: Path) -> None:
    before = photo_with_metadata(format)
    assert SECRET in before
    after = strip_file(before, format, tmp_path)
    assert SECRET not in after
    assert pixels(after) == pixels(before)
    with Image.open(io.BytesIO(after)) as image:
        assert dict(image.getexif()) == {0x0112: 6}
        assert image.info["icc_profile"] == ICC
    assert strip_file(after, format, tmp_path) == after, "stripping is idempotent"


@pytest.mark.parametrize("format", TYPES)
def test_image_without_metadata_is_not_changed(format: str, tmp_path: Path) -> None:
    plain = photo(format, exif=b"", icc_profile=None)
    assert strip_file(plain, format, tmp_path, orientation=None) == plain


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_animation_is_kept(format: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (9, 9), color) for color in ("red", "green", "blue")]
    result = io.BytesIO()
    frames[0].save(result, format, save_all=True, append_images=frames[1:], exif=exif(None), duration=90)
    after = strip_file(result.getvalue(), format, tmp_path, orientation=None)
    assert SECRET not in after
    with Image.open(io.BytesIO(after)) as image:
        assert getattr(image, "n_frames", 1) == 3
        assert not image.getexif()


@pytest.mark.parametrize("format", TYPES)
def test_damaged_file_is_stripped_or_rejected(format: str, tmp_path: Path) -> None:
    random_source, original = random.Random(2), photo_with_metadata(format)
    for _ in range(300):
        broken = bytearray(original[: random_source.randrange(20, len(original))])
        for _ in range(random_source.randrange(4)):
            broken[random_source.randrange(len(broken))] = random_source.randrange(256)
        with suppress(UnsupportedImage):
            assert len(strip_file(bytes(broken), format, tmp_path)) <= len(broken) + 60


@pytest.mark.parametrize("format", TYPES)
def test_output_has_small_chunks_and_too_many_parts_are_rejected(
    format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(photo(format))
    monkeypatch.setattr(image_metadata, "CHUNK_BYTES", 1_000)
    chunks = list(strip(tmp_path / "file", TYPES[format], 6))
    assert max(len(chunk) for chunk in chunks) == 1_000
    monkeypatch.setattr(image_metadata, "MAX_PARTS", 2)
    with pytest.raises(UnsupportedImage):
        list(strip(tmp_path / "file", TYPES[format], 6))
