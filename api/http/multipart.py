"""Reads one uploaded file from multipart/form-data (RFC 7578)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from anyio import to_thread
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from api.http.problems import BodyTooLarge, UnsupportedMediaType
from services.attachments.file_store import TemporaryFile
from services.errors import InvalidField, UnknownField

FIELD: Final = "file"
# Bytes that a thread writes to disk at once.
WRITE_STEP_BYTES: Final = 256 * 1024
# Limits between two chunks and for the whole body, because a slow upload occupies a slot.
CHUNK_TIMEOUT_SECONDS: Final = 30.0
UPLOAD_TIMEOUT_SECONDS: Final = 600.0
# For boundaries, headers and line ends around the file.
MAX_OVERHEAD_BYTES: Final = 16 * 1024


class _Form:
    """Callbacks of the parser: accepts one part named `file` and rejects every other one."""

    def __init__(self, limit: int) -> None:
        self.name: str | None = None
        self.buffer = bytearray()
        self.complete = False
        self._limit, self._size = limit, 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._field, self._value = b"", b""

    def begin(self) -> None:
        self._headers = []

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        self._headers.append((self._field.lower(), self._value))
        self._field, self._value = b"", b""

    def headers_finished(self) -> None:
        _, options = parse_options_header(dict(self._headers).get(b"content-disposition", b""))
        field = options.get(b"name", b"").decode("utf-8", "replace")
        if field != FIELD or self.name is not None:
            raise UnknownField(f"/{field[:80]}", f"Send exactly one file, in the field {FIELD!r}.")
        self.name = options.get(b"filename", b"").decode("utf-8", "replace")

    def data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._size > self._limit:
            raise BodyTooLarge(self._limit)
        self.buffer += data[start:end]

    def end(self) -> None:
        self.complete = True

    def take_buffer(self) -> bytes:
        """Return and clear the bytes to write."""
        content = bytes(self.buffer)
        self.buffer.clear()
        return content


async def receive_file(request: Request, file: TemporaryFile, limit: int) -> str:
    """Write the uploaded file, at most `limit` bytes, into `file`; return the file name that the client sent.

    Raises UnsupportedMediaType, BodyTooLarge, UnknownField, InvalidField (broken, empty or too slow) and StorageFull.
    """
    form = _Form(limit)
    parser = _parser(request, form)
    content_length = request.headers.get("content-length", "0")
    if content_length.isdecimal() and int(content_length) > limit + MAX_OVERHEAD_BYTES:
        raise BodyTooLarge(limit)
    try:
        async with asyncio.timeout(UPLOAD_TIMEOUT_SECONDS):
            async for chunk in _read_chunks(request, limit + MAX_OVERHEAD_BYTES):
                parser.write(chunk)
                if len(form.buffer) >= WRITE_STEP_BYTES:
                    await to_thread.run_sync(file.write, form.take_buffer())
        parser.finalize()
    except FormParserError:
        raise _invalid_file("The body is not valid multipart/form-data.") from None
    except ClientDisconnect:
        raise _invalid_file("The connection ended in the middle of the file.") from None
    except TimeoutError:
        raise _invalid_file("The file arrived too slowly.") from None
    if form.name is None or not form.complete:
        raise _invalid_file(f"There is no complete file in the field {FIELD!r}.")
    await to_thread.run_sync(file.write, form.take_buffer())
    if not file.size:
        raise InvalidField(f"/{FIELD}", "length", "The file is empty.")
    return form.name


async def _read_chunks(request: Request, limit: int) -> AsyncIterator[bytes]:
    """Yield the chunks of the body. Raises BodyTooLarge, because a preamble is not limited by the parser."""
    stream, size = request.stream(), 0
    while True:
        async with asyncio.timeout(CHUNK_TIMEOUT_SECONDS):
            chunk = await anext(stream, None)
        if chunk is None:
            return
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(limit)
        yield chunk


def _parser(request: Request, form: _Form) -> MultipartParser:
    media_type, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary", b"")
    if media_type != b"multipart/form-data" or not 1 <= len(boundary) <= 70:
        raise UnsupportedMediaType(f"Send the file as multipart/form-data, in the field {FIELD!r}.")
    return MultipartParser(
        boundary,
        {
            "on_part_begin": form.begin,
            "on_header_field": form.header_field,
            "on_header_value": form.header_value,
            "on_header_end": form.header_end,
            "on_headers_finished": form.headers_finished,
            "on_part_data": form.data,
            "on_end": form.end,
        },
        max_header_count=8,
        max_header_size=4 * 1024,
    )


def _invalid_file(message: str) -> InvalidField:
    return InvalidField(f"/{FIELD}", "type", message)
