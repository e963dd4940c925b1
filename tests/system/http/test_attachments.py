"""Files that are sent, on a real hub: what may come in, who may have it, and what attackers try."""

import asyncio
import io
import json
import shutil
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from tests.support.hub import Hub, Person
from tests.system.conftest import StartHub
from tests.system.marketplace.test_messages import SEND, create_group, get_json, problem_fields, send_message

PATH = "/api/attachments"


def picture(form: str = "PNG", size: tuple[int, int] = (900, 600), **more: Any) -> bytes:
    made = io.BytesIO()
    Image.radial_gradient("L").resize(size).convert("RGB").save(made, form, **more)
    return made.getvalue()


def archive(content: bytes = b"hello") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a", content)
    return made.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is large, and has nothing to show for it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    body = zlib.compress(bytes(1_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def large_image() -> bytes:
    """Good in every way but its 49 megapixels, in 7 KB."""
    made = io.BytesIO()
    Image.new("1", (7_000, 7_000)).save(made, "PNG")
    return made.getvalue()


PDF = b"%PDF-1.7\n" + b"x" * 100_000


async def put(hub: Hub, who: Person, content: bytes, name: str = "a.bin") -> httpx2.Response:
    return await hub.client(who).post(PATH, files={"file": (name, content, "image/png")})


async def uploaded(hub: Hub, who: Person, content: bytes, name: str = "a.bin") -> dict[str, Any]:
    answer = await put(hub, who, content, name)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def send(hub: Hub, who: Person, file: dict[str, Any], type: str = "file", **to: Any) -> dict[str, Any]:
    body = {"content": "", "type": type, "attachmentIds": [file["id"]], **to}
    answer = await hub.client(who).post(SEND, json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def kept(hub: Hub) -> list[Path]:
    return sorted(path for path in (hub.data_dir / "hub.files").rglob("*") if path.is_file())


async def test_an_image_goes_out_with_a_message_and_is_seen_small_and_whole(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    content = picture("JPEG", exif=_lying())
    file = await uploaded(shared_hub, ann, content, "C:\\photos\\мост.jpg")
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
    whole = await shared_hub.client(bob).get(path)
    assert (whole.status_code, len(whole.content)) == (200, file["size"])
    assert b"where I live" in content
    assert b"where I live" not in whole.content
    assert _shown(whole.content) == _shown(content)
    assert whole.headers["content-type"] == "image/jpeg"
    assert whole.headers["content-disposition"].startswith("inline; filename*=utf-8''%D0%BC")
    small = await shared_hub.client(bob).get(path, params={"size": "thumb"})
    assert (small.status_code, small.headers["content-type"]) == (200, "image/webp")
    with Image.open(io.BytesIO(small.content)) as image:
        assert image.size == (320, 480)
        assert not image.getexif()
    for answer in (whole, small):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers["cache-control"] == "private, no-cache"
        again = await shared_hub.client(bob).get(answer.url, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    history = await get_json(shared_hub, bob, f"/api/conversations/{sent['conversationId']}/messages")
    assert history["items"] == [sent]


def _lying() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "where I live"
    return exif


def _shown(content: bytes) -> tuple[int, bytes]:
    with Image.open(io.BytesIO(content)) as image:
        return image.getexif()[0x0112], image.tobytes()


@pytest.mark.parametrize(
    ("content", "name", "type"),
    [
        (PDF, "a.pdf", "application/pdf"),
        (archive(), "a.zip", "application/zip"),
        # 300 MB of zeros in 300 KB: it is kept as it came, and nobody here opens it.
        (archive(bytes(300_000_000)), "bomb.zip", "application/zip"),
        ("Größe,Preis\n1,2\n".encode(), "liste.csv", "text/plain"),
    ],
    ids=["pdf", "zip", "zip bomb", "csv"],
)
async def test_other_files_are_only_ever_downloaded(shared_hub: Hub, content: bytes, name: str, type: str) -> None:
    ann = await shared_hub.signup()
    file = await uploaded(shared_hub, ann, content, name)
    assert (file["type"], file["size"], file["thumbnail"]) == (type, len(content), False)
    answer = await shared_hub.client(ann).get(f"{PATH}/{file['id']}")
    assert answer.content == content
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    small = await shared_hub.client(ann).get(f"{PATH}/{file['id']}", params={"size": "thumb"})
    assert problem_fields(small)[:2] == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"<!doctype html><script>alert(1)</script>", "a.png"),
        (b"\n\n <svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "a.svg"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><x/>", "a.txt"),
        (b"\x89PNG\r\n\x1a\n<script>alert(1)</script>", "a.png"),
        (b"GIF89a<script>alert(1)</script>" + b"x" * 100, "a.gif"),
        (picture("JPEG")[:2_000], "cut.jpg"),
        (picture("PNG")[:-20], "cut.png"),
        (png_header(50_000, 50_000), "bomb.png"),
        (large_image(), "large.png"),
        (b"MZ\x90\x00" + b"\x00" * 100, "a.exe"),
        (b"\x7fELF" + b"\x00" * 100, "a.out"),
        (picture("TIFF"), "a.tiff"),
        (b"\x00\x01\x02\x03", "a.txt"),
    ],
    ids=str,
)
async def test_what_is_not_what_it_seems_is_refused_and_leaves_nothing(
    shared_hub: Hub, content: bytes, name: str
) -> None:
    ann = await shared_hub.signup()
    before = kept(shared_hub)
    refused = await put(shared_hub, ann, content, name)
    assert problem_fields(refused)[:2] == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert kept(shared_hub) == before


@pytest.mark.parametrize(
    ("name", "shown"),
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
)
async def test_a_name_is_only_a_label(shared_hub: Hub, name: str, shown: str) -> None:
    ann = await shared_hub.signup()
    quoted = name.replace('"', '\\"').replace("\r\n", "").encode()
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\n\r\nhello\r\n--b--\r\n' % quoted
    answer = await shared_hub.client(ann).post(
        PATH, content=body, headers={"content-type": "multipart/form-data; boundary=b"}
    )
    assert (answer.status_code, answer.json().get("name")) == (201, shown)
    got = await shared_hub.client(ann).get(f"{PATH}/{answer.json()['id']}")
    assert (got.content, got.headers.get_list("x")) == (b"hello", [])


PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhello\r\n'


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
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
)
async def test_a_broken_form_is_refused_and_leaves_nothing(
    shared_hub: Hub, kind: str, body: bytes, expected: tuple[Any, ...]
) -> None:
    ann = await shared_hub.signup()
    before = kept(shared_hub)
    answer = await shared_hub.client(ann).post(PATH, content=body, headers={"content-type": kind})
    assert problem_fields(answer) == expected
    assert kept(shared_hub) == before


async def test_what_is_too_large_is_refused_announced_or_not(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_ATTACHMENT_MB="1", HUB_ATTACHMENT_QUOTA_MB="2")
    ann = await hub.signup()
    large = PDF + bytes(1024 * 1024)
    assert problem_fields(await put(hub, ann, large))[:2] == (413, "BODY_TOO_LARGE")

    async def pieces(content: bytes, wrapping: bytes = b"") -> Any:
        yield wrapping + PART.replace(b"hello\r\n", b"")
        for at in range(0, len(content), 100_000):
            yield content[at : at + 100_000]
        yield b"\r\n--b--"

    for body in (pieces(large), pieces(b"hello", b"--b" + b"x" * 1_100_000 + b"\r\n")):
        assert await refusal(hub, ann, body) in (413, 422, None)
    assert kept(hub) == []
    fits = PDF + bytes(900_000)
    for _ in range(2):
        await uploaded(hub, ann, fits)
    full = await put(hub, ann, fits)
    assert (problem_fields(full)[:2], full.json()["quota"]) == ((413, "BODY_TOO_LARGE"), 2 * 1024 * 1024)
    # One file on disk: the same content is kept once.
    assert len(kept(hub)) == 1


async def refusal(hub: Hub, who: Person, body: Any) -> int | None:
    """The status; None where the hub did not listen to the end of what it refuses."""
    try:
        kind = {"content-type": "multipart/form-data; boundary=b"}
        return (await hub.client(who).post(PATH, content=body, headers=kind)).status_code
    except httpx2.TransportError:
        return None


async def test_a_file_is_for_who_is_a_member_now(shared_hub: Hub) -> None:
    ann, bob, eve = [await shared_hub.signup() for _ in range(3)]
    file = await uploaded(shared_hub, ann, PDF)
    path = f"{PATH}/{file['id']}"
    clients = {each.id: shared_hub.client(each) for each in (ann, bob, eve)}

    async def who() -> set[str]:
        answers = {id: await client.get(path) for id, client in clients.items()}
        assert {answer.status_code for answer in answers.values()} <= {200, 404}
        return {id for id, answer in answers.items() if answer.status_code == 200}

    assert await who() == {ann.id}
    place = await create_group(shared_hub, ann, bob)
    refused = await clients[bob.id].post(
        SEND, json={"type": "file", "attachmentIds": [file["id"]], "content": "", "conversationId": place}
    )
    assert problem_fields(refused) == (422, "INVALID_FIELD", "/attachmentIds/0", "range")
    sent = await send(shared_hub, ann, file, conversationId=place)
    assert await who() == {ann.id, bob.id}
    await clients[ann.id].post(f"/api/conversations/{place}/members", json={"userIds": [eve.id], "history": False})
    assert await who() == {ann.id, bob.id}
    await clients[bob.id].delete(f"/api/conversations/{place}/members/{bob.id}")
    assert await who() == {ann.id}
    again = await clients[ann.id].post(
        SEND, json={"type": "file", "attachmentIds": [file["id"]], "content": "", "conversationId": place}
    )
    assert problem_fields(again) == (422, "INVALID_FIELD", "/attachmentIds/0", "range")
    assert (await clients[ann.id].delete(f"/api/messages/{sent['id']}")).status_code == 204
    assert await who() == set()
    assert (await shared_hub.client().get(path)).status_code == 401


@pytest.mark.parametrize(
    ("asked", "status", "part"),
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
)
async def test_a_part_can_be_asked_for(shared_hub: Hub, asked: str, status: int, part: bytes) -> None:
    ann = await shared_hub.signup()
    file = await uploaded(shared_hub, ann, PDF)
    answer = await shared_hub.client(ann).get(f"{PATH}/{file['id']}", headers={"range": asked})
    assert (answer.status_code, answer.content) == (status, part)


async def test_a_client_that_goes_in_the_middle_leaves_nothing(hub: Hub) -> None:
    ann = await hub.signup()
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.server.port)
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ann.token}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 5000000\r\n\r\n"
    )
    writer.write(head.encode() + PART + b"x" * 1_000_000)
    await writer.drain()
    await _until(lambda: len(kept(hub)) == 1)
    writer.close()
    await _until(lambda: kept(hub) == [])
    assert reader is not None


async def test_a_crash_leaves_no_part_of_a_file(hub: Hub) -> None:
    ann, bob = await hub.signup(), await hub.signup()
    file = await uploaded(hub, ann, PDF)
    await send(hub, ann, file, recipientId=bob.id)
    _, writer = await asyncio.open_connection("127.0.0.1", hub.server.port)
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ann.token}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 5000000\r\n\r\n"
    )
    writer.write(head.encode() + PART + b"x" * 1_000_000)
    await writer.drain()
    await _until(lambda: len(kept(hub)) == 2)
    await hub.kill()
    writer.close()
    await hub.restart()
    await _until(lambda: len(kept(hub)) == 1)
    got = await hub.client(bob).get(f"{PATH}/{file['id']}")
    assert got.content == PDF


async def test_the_same_key_uploads_once(shared_hub: Hub) -> None:
    ann = await shared_hub.signup()
    client = shared_hub.client(ann, headers={"idempotency-key": "k"})
    answers = [await client.post(PATH, files={"file": ("a.pdf", PDF)}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    other = await client.post(PATH, files={"file": ("a.pdf", PDF + b"x")})
    assert problem_fields(other)[:2] == (422, "IDEMPOTENCY_KEY_REUSED")


async def test_words_and_files_go_together(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    file = await uploaded(shared_hub, ann, PDF)
    body = {"content": "x", "type": "image", "attachmentIds": [file["id"]], "recipientId": bob.id}
    refused = await shared_hub.client(ann).post(SEND, json=body)
    assert problem_fields(refused) == (422, "INVALID_FIELD", "/attachmentIds/0", "type")
    await send_message(shared_hub, ann, recipientId=bob.id)
    await send(shared_hub, ann, file, recipientId=bob.id)
    (notice,) = (await get_json(shared_hub, bob, "/api/notifications"))["items"]
    assert (notice["body"], notice["data"]["unread"]) == ("Sent a file.", 2)


async def _until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (a folder has no event to wait on)
            await asyncio.sleep(0.02)


async def test_a_backup_has_the_files_and_a_restore_brings_them_back(hub: Hub, tmp_path: Path) -> None:
    ann, bob = await hub.signup(), await hub.signup()
    file, image = await uploaded(hub, ann, PDF), await uploaded(hub, ann, picture())
    for each in (file, image):
        await send(hub, ann, each, recipientId=bob.id)
    await uploaded(hub, ann, PDF + b"unsent")
    copy = tmp_path / "copy.db"
    done = await hub.cli("backup", str(copy), "--json")
    assert (done.returncode, json.loads(done.stdout)["files"]) == (0, 4), done.stderr
    await hub.stop()
    for path in hub.data_dir.glob("hub.*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert (await hub.cli("restore", str(copy))).returncode == 0
    await hub.restart()
    client = hub.client(bob)
    assert (await client.get(f"{PATH}/{file['id']}")).content == PDF
    assert (await client.get(f"{PATH}/{image['id']}", params={"size": "thumb"})).status_code == 200
    # What is set aside keeps its files, too, and can be brought back.
    newer = await uploaded(hub, ann, PDF + b"newer")
    await hub.stop()
    assert (await hub.cli("restore", str(copy))).returncode == 0
    for path in (hub.data_dir / "hub.files").glob("*/*"):
        path.unlink()
    assert (await hub.cli("restore", str(hub.data_dir / "hub.before-restore"))).returncode == 0
    await hub.restart()
    assert (await hub.client(ann).get(f"{PATH}/{newer['id']}")).content == PDF + b"newer"
