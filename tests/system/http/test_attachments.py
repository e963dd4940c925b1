"""Attachments: accepted and rejected uploads, downloads, access, quota, crash recovery and backup."""

import asyncio
import io
import json
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from tests.support.hub import Hub, Person
from tests.support.timeouts import TIMEOUT_SECONDS
from tests.system.conftest import StartHub
from tests.system.marketplace.test_messages import SEND, create_group, get_json, problem_fields, send_message

PATH = "/api/attachments"


def create_image(image_format: str = "PNG", size: tuple[int, int] = (900, 600), **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize(size).convert("RGB").save(buffer, image_format, **options)
    return buffer.getvalue()


def create_zip(content: bytes = b"hello") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a", content)
    return buffer.getvalue()


def create_incomplete_png(width: int, height: int) -> bytes:
    """Return a PNG whose header declares this size but whose pixel data is incomplete."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    body = zlib.compress(bytes(1_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def create_large_image() -> bytes:
    """Return a valid PNG of 49 megapixels in 7 KB."""
    buffer = io.BytesIO()
    Image.new("1", (7_000, 7_000)).save(buffer, "PNG")
    return buffer.getvalue()


PDF = b"%PDF-1.7\n" + b"x" * 100_000


async def post_file(hub: Hub, user: Person, content: bytes, name: str = "a.bin") -> httpx2.Response:
    return await hub.client(user).post(PATH, files={"file": (name, content, "image/png")})


async def upload(hub: Hub, user: Person, content: bytes, name: str = "a.bin") -> dict[str, Any]:
    response = await post_file(hub, user, content, name)
    assert response.status_code == 201, response.text
    return dict(response.json())


async def send(hub: Hub, user: Person, file: dict[str, Any], type: str = "file", **to: Any) -> dict[str, Any]:
    body = {"content": "", "type": type, "attachmentIds": [file["id"]], **to}
    response = await hub.client(user).post(SEND, json=body)
    assert response.status_code == 201, response.text
    return dict(response.json())


def list_files(hub: Hub) -> list[Path]:
    return sorted(path for path in (hub.data_dir / "hub.files").rglob("*") if path.is_file())


async def test_image_is_sent_with_a_message_as_original_and_thumbnail(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    content = create_image("JPEG", exif=_exif())
    file = await upload(shared_hub, ann, content, "C:\\photos\\мост.jpg")
    assert file | {"id": ""} == {
        "id": "",
        "name": "мост.jpg",
        "type": "image/jpeg",
        "size": file["size"],
        "width": 600,
        "height": 900,
        "thumbnail": True,
    }
    sent = await send(shared_hub, ann, file, "image", recipientId=bob.id)
    assert sent["attachments"] == [file]
    path = f"{PATH}/{file['id']}"
    original = await shared_hub.client(bob).get(path)
    assert (original.status_code, len(original.content)) == (200, file["size"])
    assert b"where I live" in content
    assert b"where I live" not in original.content
    assert _decode(original.content) == _decode(content)
    assert original.headers["content-type"] == "image/jpeg"
    assert original.headers["content-disposition"].startswith("inline; filename*=utf-8''%D0%BC")
    thumbnail = await shared_hub.client(bob).get(path, params={"size": "thumb"})
    assert (thumbnail.status_code, thumbnail.headers["content-type"]) == (200, "image/webp")
    with Image.open(io.BytesIO(thumbnail.content)) as image:
        assert image.size == (320, 480)
        assert not image.getexif()
    for response in (original, thumbnail):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert response.headers["cache-control"] == "private, no-cache"
        repeated = await shared_hub.client(bob).get(response.url, headers={"if-none-match": response.headers["etag"]})
        assert (repeated.status_code, repeated.content) == (304, b"")
    history = await get_json(shared_hub, bob, f"/api/conversations/{sent['conversationId']}/messages")
    assert history["items"] == [sent]


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "where I live"
    return exif


def _decode(content: bytes) -> tuple[int, bytes]:
    with Image.open(io.BytesIO(content)) as image:
        return image.getexif()[0x0112], image.tobytes()


# Contents are created in the test, because every process collects this file.
@pytest.mark.parametrize(
    ("create_content", "name", "type"),
    [
        (lambda: PDF, "a.pdf", "application/pdf"),
        (lambda: create_zip(), "a.zip", "application/zip"),
        # 300 MB of zeros in 300 KB. The hub stores the archive and never unpacks it.
        (lambda: create_zip(bytes(300_000_000)), "bomb.zip", "application/zip"),
        (lambda: "Größe,Preis\n1,2\n".encode(), "liste.csv", "text/plain"),
    ],
    ids=["pdf", "zip", "zip_bomb", "csv"],
)
async def test_other_files_are_served_only_as_downloads(
    shared_hub: Hub, create_content: Callable[[], bytes], name: str, type: str
) -> None:
    content = create_content()
    ann = await shared_hub.signup()
    file = await upload(shared_hub, ann, content, name)
    assert (file["type"], file["size"], file["thumbnail"]) == (type, len(content), False)
    response = await shared_hub.client(ann).get(f"{PATH}/{file['id']}")
    assert response.content == content
    assert response.headers["content-disposition"] == f'attachment; filename="{name}"'
    thumbnail = await shared_hub.client(ann).get(f"{PATH}/{file['id']}", params={"size": "thumb"})
    assert problem_fields(thumbnail)[:2] == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("create_content", "name"),
    [
        (lambda: b"<!doctype html><script>alert(1)</script>", "a.png"),
        (lambda: b"\n\n <svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "a.svg"),
        (lambda: b"\xef\xbb\xbf<?xml version='1.0'?><x/>", "a.txt"),
        (lambda: b"\x89PNG\r\n\x1a\n<script>alert(1)</script>", "a.png"),
        (lambda: b"GIF89a<script>alert(1)</script>" + b"x" * 100, "a.gif"),
        (lambda: create_image("JPEG")[:2_000], "cut.jpg"),
        (lambda: create_image("PNG")[:-20], "cut.png"),
        (lambda: create_incomplete_png(50_000, 50_000), "bomb.png"),
        (lambda: create_large_image(), "large.png"),
        (lambda: b"MZ\x90\x00" + b"\x00" * 100, "a.exe"),
        (lambda: b"\x7fELF" + b"\x00" * 100, "a.out"),
        (lambda: create_image("TIFF"), "a.tiff"),
        (lambda: b"\x00\x01\x02\x03", "a.txt"),
    ],
    ids=[
        "html_as_png",
        "svg",
        "xml_as_text",
        "html_after_png_signature",
        "html_after_gif_signature",
        "cut_jpeg",
        "cut_png",
        "png_bomb",
        "too_many_pixels",
        "exe",
        "elf",
        "tiff",
        "binary_as_text",
    ],
)
async def test_upload_with_unsupported_content_is_rejected_and_leaves_no_file(
    shared_hub: Hub, create_content: Callable[[], bytes], name: str
) -> None:
    ann = await shared_hub.signup()
    before = list_files(shared_hub)
    rejected = await post_file(shared_hub, ann, create_content(), name)
    assert problem_fields(rejected)[:2] == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert list_files(shared_hub) == before


@pytest.mark.parametrize(
    ("name", "stored_name"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a\x00b.txt", "ab.txt"),
        ("..", "file"),
        ("", "file"),
        ('a"b\r\nx: y.txt', 'a"bx: y.txt'),
        ("x" * 500, "x" * 200),
        ("invoice\u202egnp.exe", "invoicegnp.exe"),
    ],
    ids=[
        "parent_folders",
        "backslashes",
        "nul",
        "dots",
        "empty",
        "header_injection",
        "too_long",
        "bidi_override",
    ],
)
async def test_file_name_is_sanitized(shared_hub: Hub, name: str, stored_name: str) -> None:
    ann = await shared_hub.signup()
    quoted = name.replace('"', '\\"').replace("\r\n", "").encode()
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\n\r\nhello\r\n--b--\r\n' % quoted
    response = await shared_hub.client(ann).post(
        PATH, content=body, headers={"content-type": "multipart/form-data; boundary=b"}
    )
    assert (response.status_code, response.json().get("name")) == (201, stored_name)
    download = await shared_hub.client(ann).get(f"{PATH}/{response.json()['id']}")
    assert (download.content, download.headers.get_list("x")) == (b"hello", [])


PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhello\r\n'


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("multipart/form-data; boundary=b", PART, (422, "INVALID_FIELD", "/file", "type")),
        ("multipart/form-data; boundary=b", b"nothing of the kind", (422, "INVALID_FIELD", "/file", "type")),
        ("multipart/form-data; boundary=b", b"--b--\r\n", (422, "INVALID_FIELD", "/file", "type")),
        ("multipart/form-data; boundary=b", b"", (422, "INVALID_FIELD", "/file", "type")),
        ("multipart/form-data; boundary=b", PART * 2 + b"--b--", (422, "UNKNOWN_FIELD", "/file", "unknown field")),
        (
            "multipart/form-data; boundary=b",
            PART.replace(b'"file"', b'"other"') + b"--b--",
            (422, "UNKNOWN_FIELD", "/other", "unknown field"),
        ),
        (
            "multipart/form-data; boundary=b",
            PART.replace(b"hello", b"") + b"--b--",
            (422, "INVALID_FIELD", "/file", "length"),
        ),
        (
            "multipart/form-data; boundary=b",
            b"--b\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(50)) + b"\r\nhello\r\n--b--",
            (422, "INVALID_FIELD", "/file", "type"),
        ),
        ("multipart/form-data; boundary=b", b"--b\r\nX: " + b"y" * 9_000, (422, "INVALID_FIELD", "/file", "type")),
        ("multipart/form-data", PART, (415, "UNSUPPORTED_MEDIA_TYPE", None, None)),
        (f"multipart/form-data; boundary={'b' * 71}", PART, (415, "UNSUPPORTED_MEDIA_TYPE", None, None)),
        ("application/json", b"{}", (415, "UNSUPPORTED_MEDIA_TYPE", None, None)),
    ],
    ids=[
        "no_end",
        "no_boundary_in_body",
        "only_end",
        "empty_body",
        "two_parts",
        "unknown_field",
        "empty_file",
        "too_many_part_headers",
        "long_part_header",
        "no_boundary_in_header",
        "long_boundary",
        "json",
    ],
)
async def test_malformed_form_is_rejected_and_leaves_no_file(
    shared_hub: Hub, content_type: str, body: bytes, expected: tuple[Any, ...]
) -> None:
    ann = await shared_hub.signup()
    before = list_files(shared_hub)
    response = await shared_hub.client(ann).post(PATH, content=body, headers={"content-type": content_type})
    assert problem_fields(response) == expected
    assert list_files(shared_hub) == before


async def test_too_large_upload_is_rejected_with_and_without_content_length(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_ATTACHMENT_MB="1", HUB_ATTACHMENT_QUOTA_MB="2")
    ann = await hub.signup()
    large = PDF + bytes(1024 * 1024)
    assert problem_fields(await post_file(hub, ann, large))[:2] == (413, "BODY_TOO_LARGE")

    async def stream_form(content: bytes, prefix: bytes = b"") -> Any:
        yield prefix + PART.replace(b"hello\r\n", b"")
        for at in range(0, len(content), 100_000):
            yield content[at : at + 100_000]
        yield b"\r\n--b--"

    for body in (stream_form(large), stream_form(b"hello", b"--b" + b"x" * 1_100_000 + b"\r\n")):
        assert await post_form(hub, ann, body) in (413, 422, None)
    assert list_files(hub) == []
    allowed = PDF + bytes(900_000)
    for _ in range(2):
        await upload(hub, ann, allowed)
    full = await post_file(hub, ann, allowed)
    assert (problem_fields(full)[:2], full.json()["quota"]) == ((413, "BODY_TOO_LARGE"), 2 * 1024 * 1024)
    # The same content is stored in one file.
    assert len(list_files(hub)) == 1


async def post_form(hub: Hub, user: Person, body: Any) -> int | None:
    """Return the status, or None when the hub closed the connection before it had read the body."""
    try:
        headers = {"content-type": "multipart/form-data; boundary=b"}
        return (await hub.client(user).post(PATH, content=body, headers=headers)).status_code
    except httpx2.TransportError:
        return None


async def test_attachment_is_served_only_to_current_members(shared_hub: Hub) -> None:
    ann, bob, eve = [await shared_hub.signup() for _ in range(3)]
    file = await upload(shared_hub, ann, PDF)
    path = f"{PATH}/{file['id']}"
    clients = {user.id: shared_hub.client(user) for user in (ann, bob, eve)}

    async def users_with_access() -> set[str]:
        responses = {id: await client.get(path) for id, client in clients.items()}
        assert {response.status_code for response in responses.values()} <= {200, 404}
        return {id for id, response in responses.items() if response.status_code == 200}

    assert await users_with_access() == {ann.id}
    conversation_id = await create_group(shared_hub, ann, bob)
    rejected = await clients[bob.id].post(
        SEND, json={"type": "file", "attachmentIds": [file["id"]], "content": "", "conversationId": conversation_id}
    )
    assert problem_fields(rejected) == (422, "INVALID_FIELD", "/attachmentIds/0", "range")
    sent = await send(shared_hub, ann, file, conversationId=conversation_id)
    assert await users_with_access() == {ann.id, bob.id}
    await clients[ann.id].post(
        f"/api/conversations/{conversation_id}/members", json={"userIds": [eve.id], "history": False}
    )
    assert await users_with_access() == {ann.id, bob.id}
    await clients[bob.id].delete(f"/api/conversations/{conversation_id}/members/{bob.id}")
    assert await users_with_access() == {ann.id}
    repeated = await clients[ann.id].post(
        SEND, json={"type": "file", "attachmentIds": [file["id"]], "content": "", "conversationId": conversation_id}
    )
    assert problem_fields(repeated) == (422, "INVALID_FIELD", "/attachmentIds/0", "range")
    assert (await clients[ann.id].delete(f"/api/messages/{sent['id']}")).status_code == 204
    assert await users_with_access() == set()
    assert (await shared_hub.client().get(path)).status_code == 401


@pytest.mark.parametrize(
    ("range_header", "status", "expected"),
    [
        ("bytes=0-3", 206, PDF[:4]),
        ("bytes=100000-", 206, PDF[100_000:]),
        ("bytes=-5", 206, PDF[-5:]),
        ("bytes=999999999-", 200, PDF),
        ("bytes=5-3", 200, PDF),
        ("bytes=-0", 200, PDF),
        ("bytes=0-1,4-5", 200, PDF),
        ("lines=1-2", 200, PDF),
        ("bytes=" + "0-1," * 1_000, 200, PDF),
    ],
    ids=[
        "first_bytes",
        "from_offset",
        "last_bytes",
        "beyond_end",
        "end_before_start",
        "last_zero",
        "two_ranges",
        "unknown_unit",
        "too_many_ranges",
    ],
)
async def test_range_request_returns_the_part_or_the_whole_file(
    shared_hub: Hub, range_header: str, status: int, expected: bytes
) -> None:
    ann = await shared_hub.signup()
    file = await upload(shared_hub, ann, PDF)
    response = await shared_hub.client(ann).get(f"{PATH}/{file['id']}", headers={"range": range_header})
    assert (response.status_code, response.content) == (status, expected)


async def test_upload_cut_by_the_client_leaves_no_file(hub: Hub) -> None:
    ann = await hub.signup()
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.server.port)
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ann.token}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 5000000\r\n\r\n"
    )
    writer.write(head.encode() + PART + b"x" * 1_000_000)
    await writer.drain()
    await _wait_until(lambda: len(list_files(hub)) == 1)
    writer.close()
    await _wait_until(lambda: list_files(hub) == [])
    assert reader is not None


async def test_upload_cut_by_a_crash_leaves_no_file(hub: Hub) -> None:
    ann, bob = await hub.signup(), await hub.signup()
    file = await upload(hub, ann, PDF)
    await send(hub, ann, file, recipientId=bob.id)
    _, writer = await asyncio.open_connection("127.0.0.1", hub.server.port)
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ann.token}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 5000000\r\n\r\n"
    )
    writer.write(head.encode() + PART + b"x" * 1_000_000)
    await writer.drain()
    await _wait_until(lambda: len(list_files(hub)) == 2)
    await hub.kill()
    writer.close()
    await hub.restart()
    await _wait_until(lambda: len(list_files(hub)) == 1)
    download = await hub.client(bob).get(f"{PATH}/{file['id']}")
    assert download.content == PDF


async def test_upload_is_idempotent_with_a_key(shared_hub: Hub) -> None:
    ann = await shared_hub.signup()
    client = shared_hub.client(ann, headers={"idempotency-key": "k"})
    responses = [await client.post(PATH, files={"file": ("a.pdf", PDF)}) for _ in range(2)]
    assert responses[0].json() == responses[1].json()
    other = await client.post(PATH, files={"file": ("a.pdf", PDF + b"x")})
    assert problem_fields(other)[:2] == (422, "IDEMPOTENCY_KEY_REUSED")


async def test_message_type_must_match_its_attachments(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    file = await upload(shared_hub, ann, PDF)
    body = {"content": "x", "type": "image", "attachmentIds": [file["id"]], "recipientId": bob.id}
    rejected = await shared_hub.client(ann).post(SEND, json=body)
    assert problem_fields(rejected) == (422, "INVALID_FIELD", "/attachmentIds/0", "type")
    await send_message(shared_hub, ann, recipientId=bob.id)
    await send(shared_hub, ann, file, recipientId=bob.id)
    (notification,) = (await get_json(shared_hub, bob, "/api/notifications"))["items"]
    assert (notification["body"], notification["data"]["unread"]) == ("Sent a file.", 2)


async def _wait_until(condition: Any) -> None:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not condition():  # noqa: ASYNC110  # a folder has no event to wait for
            await asyncio.sleep(0.02)


async def test_backup_contains_files_and_restore_brings_them_back(hub: Hub, tmp_path: Path) -> None:
    ann, bob = await hub.signup(), await hub.signup()
    file, image = await upload(hub, ann, PDF), await upload(hub, ann, create_image())
    for attachment in (file, image):
        await send(hub, ann, attachment, recipientId=bob.id)
    await upload(hub, ann, PDF + b"unsent")
    copy = tmp_path / "copy.db"
    result = await hub.cli("backup", str(copy), "--json")
    assert (result.returncode, json.loads(result.stdout)["files"]) == (0, 4), result.stderr
    await hub.stop()
    for path in hub.data_dir.glob("hub.*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert (await hub.cli("restore", str(copy))).returncode == 0
    await hub.restart()
    client = hub.client(bob)
    assert (await client.get(f"{PATH}/{file['id']}")).content == PDF
    assert (await client.get(f"{PATH}/{image['id']}", params={"size": "thumb"})).status_code == 200
    # The store that a restore sets aside keeps its files and can be restored, too.
    newer = await upload(hub, ann, PDF + b"newer")
    await hub.stop()
    assert (await hub.cli("restore", str(copy))).returncode == 0
    for path in (hub.data_dir / "hub.files").glob("*/*"):
        path.unlink()
    assert (await hub.cli("restore", str(hub.data_dir / "hub.before-restore"))).returncode == 0
    await hub.restart()
    assert (await hub.client(ann).get(f"{PATH}/{newer['id']}")).content == PDF + b"newer"
