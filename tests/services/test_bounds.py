"""Bounds: full queues reject or drop the next item, and slow transfers end."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from api.http import multipart, upload_slots
from api.http.upload_slots import UploadSlots
from realtime.cursor import Cursor
from services.attachments import thumbnails
from services.attachments.file_store import FileStore, TemporaryFile
from services.attachments.thumbnails import ImageInfo, Thumbnails
from services.database.database import Database
from services.delivery import smtp_client
from services.delivery.smtp_client import SmtpClient, SmtpSettings
from services.errors import InvalidField, Overloaded
from services.presence import acknowledgements
from services.presence.acknowledgements import Acknowledgements
from tests.support.mail_server import LocalMailServer
from tests.support.timeouts import TIMEOUT_SECONDS


async def test_upload_slots_are_bounded_per_user_and_in_total(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upload_slots, "MAX_TOTAL", upload_slots.MAX_PER_USER + 1)
    places = UploadSlots()
    async with AsyncExitStack() as inside:
        for _ in range(upload_slots.MAX_PER_USER):
            await inside.enter_async_context(places.acquire("ann"))
        with pytest.raises(Overloaded):
            await inside.enter_async_context(places.acquire("ann"))
        await inside.enter_async_context(places.acquire("bob"))
        with pytest.raises(Overloaded):
            await inside.enter_async_context(places.acquire("eve"))
    async with places.acquire("ann"), places.acquire("eve"):
        pass


@pytest.fixture
def draft(tmp_path: Path) -> Iterator[TemporaryFile]:
    files = FileStore(tmp_path / "hub.files")
    files.prepare()
    made = files.create_temporary()
    yield made
    made.finish()
    made.discard()


def request(pieces: Callable[[], AsyncIterator[bytes]]) -> Request:
    """An upload whose body arrives in these parts."""
    body = pieces()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": await anext(body), "more_body": True}

    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


async def test_upload_without_data_times_out(draft: TemporaryFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "CHUNK_TIMEOUT_SECONDS", 0.05)

    async def empty_body() -> AsyncIterator[bytes]:
        yield b"--x\r\n"
        await asyncio.Event().wait()

    async with asyncio.timeout(TIMEOUT_SECONDS):
        with pytest.raises(InvalidField, match="too slowly"):
            await multipart.receive_file(request(empty_body), draft, 10_000_000)


async def test_slow_upload_times_out(draft: TemporaryFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "UPLOAD_TIMEOUT_SECONDS", 0.2)

    async def slow_body() -> AsyncIterator[bytes]:
        yield b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
        while True:
            await asyncio.sleep(0.001)
            yield b"."

    async with asyncio.timeout(TIMEOUT_SECONDS):
        with pytest.raises(InvalidField, match="too slowly"):
            await multipart.receive_file(request(slow_body), draft, 10_000_000)


async def test_acknowledgements_are_bounded(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(acknowledgements, "MAX_WAITING_USERS", 2)
    reports = Acknowledgements(database, "e", lambda: 0)
    for user_id in ("ann", "bob", "eve"):
        reports.acknowledge(user_id, Cursor("e", 7), head=9)
    assert [reports.acknowledged_position(each) for each in ("ann", "bob", "eve")] == [7, 7, 0]
    await reports.run_once()
    reports.acknowledge("ann", Cursor("e", 8), head=9)
    reports.acknowledge("eve", Cursor("e", 8), head=9)
    assert [reports.acknowledged_position(each) for each in ("ann", "bob", "eve")] == [8, 0, 8]
    reports.forget(["ann", "bob"])
    assert [reports.acknowledged_position(each) for each in ("ann", "eve")] == [0, 8]


async def test_image_inspection_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "MAX_WAITING", 2)
    begun, go_on, running, most = threading.Event(), threading.Event(), 0, 0

    def inspect(path: Path, type: str) -> ImageInfo:
        nonlocal running, most
        running += 1
        most = max(most, running)
        begun.set()
        go_on.wait(TIMEOUT_SECONDS)
        running -= 1
        return ImageInfo(1, 1, b"", None)

    monkeypatch.setattr(thumbnails, "inspect", inspect)
    inspecting = Thumbnails()
    async with asyncio.timeout(TIMEOUT_SECONDS), asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(inspecting.inspect(Path("a"), "image/png"))
        await asyncio.to_thread(begun.wait, TIMEOUT_SECONDS)
        with pytest.raises(Overloaded):
            await inspecting.inspect(Path("a"), "image/png")
        go_on.set()
    assert most == 1
    assert (await inspecting.inspect(Path("a"), "image/png")).width == 1


async def test_background_email_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp_client, "MAX_QUEUED", 2)
    async with LocalMailServer() as server:
        sending = SmtpClient(SmtpSettings.from_url(server.url))
        for number in range(3):
            sending.send_in_background(mail(number))
        await server.wait_for(2)
        while sending._tasks:  # noqa: ASYNC110 (there is no event to wait on)
            await asyncio.sleep(0)
        sending.send_in_background(mail(3))
        got = await server.wait_for(3)
        await sending.stop()
    assert sorted(message["subject"] for _, message in got) == ["0", "1", "3"]


def mail(number: int) -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "hub@example.org", "ann@example.org", str(number)
    made.set_content("hello")
    return made
