"""What a camera wrote into a photo does not go on; the picture does, bit for bit."""

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
# In each of the ways in which a file can carry it.
SECRET = b"52 31 12 north"
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif(orientation: int | None = 6) -> Image.Exif:
    made = Image.Exif()
    if orientation is not None:
        made[0x0112] = orientation
    made[0x010E] = SECRET.decode()
    made.get_ifd(0x8825)[1] = "N"
    made.get_ifd(0x8825)[29] = SECRET.decode()
    return made


def photo(form: str, **more: Any) -> bytes:
    made = io.BytesIO()
    noise = Image.frombytes("RGB", (61, 40), random.Random(1).randbytes(61 * 40 * 3))
    noise.save(made, form, **({"exif": exif(), "icc_profile": ICC} | more))
    return made.getvalue()


def with_everything(form: str) -> bytes:
    if form == "PNG":
        info = PngInfo()
        info.add_text("Comment", SECRET.decode())
        info.add_itxt("XML:com.adobe.xmp", SECRET.decode())
        info.add(b"prVt", SECRET)
        return photo(form, pnginfo=info) + SECRET
    if form == "WEBP":
        return photo(form, xmp=SECRET, lossless=True)
    return photo(form, comment=SECRET, xmp=SECRET, progressive=True, quality=95) + SECRET


def clean(content: bytes, form: str, folder: Path, orientation: int | None = 6) -> bytes:
    path = folder / "file"
    path.write_bytes(content)
    return b"".join(strip(path, TYPES[form], orientation))


def pixels(content: bytes) -> tuple[bytes, Any]:
    with Image.open(io.BytesIO(content)) as image:
        return ImageOps.exif_transpose(image).tobytes(), image.info.get("icc_profile")


@pytest.mark.parametrize("form", TYPES)
def test_what_is_not_the_picture_is_left_out_and_the_picture_stays_bit_for_bit(form: str, tmp_path: Path) -> None:
    before = with_everything(form)
    assert SECRET in before
    after = clean(before, form, tmp_path)
    assert SECRET not in after
    assert pixels(after) == pixels(before)
    with Image.open(io.BytesIO(after)) as image:
        assert dict(image.getexif()) == {0x0112: 6}
        assert image.info["icc_profile"] == ICC
    assert clean(after, form, tmp_path) == after, "the same file again has the same name"


@pytest.mark.parametrize("form", TYPES)
def test_a_picture_without_anything_else_is_not_changed(form: str, tmp_path: Path) -> None:
    plain = photo(form, exif=b"", icc_profile=None)
    assert clean(plain, form, tmp_path, orientation=None) == plain


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_an_animation_goes_on(form: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "green", "blue")]
    made = io.BytesIO()
    frames[0].save(made, form, save_all=True, append_images=frames[1:], exif=exif(None), duration=90)
    after = clean(made.getvalue(), form, tmp_path, orientation=None)
    assert SECRET not in after
    with Image.open(io.BytesIO(after)) as image:
        assert getattr(image, "n_frames", 1) == 3
        assert not image.getexif()


@pytest.mark.parametrize("form", TYPES)
def test_whatever_the_bytes_are_it_ends_and_says_so(form: str, tmp_path: Path) -> None:
    dice, whole = random.Random(2), with_everything(form)
    for _ in range(300):
        broken = bytearray(whole[: dice.randrange(20, len(whole))])
        for _ in range(dice.randrange(4)):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        with suppress(UnsupportedImage):
            assert len(clean(bytes(broken), form, tmp_path)) <= len(broken) + 60


@pytest.mark.parametrize("form", TYPES)
def test_it_goes_on_in_small_pieces_and_what_has_too_many_parts_is_refused(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(photo(form))
    monkeypatch.setattr(image_metadata, "STEP", 1_000)
    found = list(strip(tmp_path / "file", TYPES[form], 6))
    assert max(len(piece) for piece in found) == 1_000
    monkeypatch.setattr(image_metadata, "PARTS", 2)
    with pytest.raises(UnsupportedImage):
        list(strip(tmp_path / "file", TYPES[form], 6))
