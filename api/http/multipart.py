"""One file out of a multipart/form-data body (RFC 7578), written to disk as it comes and never held in memory."""

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
# What goes to disk in one step, in a thread.
STEP: Final = 256 * 1024
# Between two pieces of a body, and for all of it: a sender who is slower than that holds a place from others.
PIECE_SECONDS: Final = 30.0
WHOLE_SECONDS: Final = 600.0
# Boundaries, headers and a line end or two around the file itself.
WRAPPING: Final = 16 * 1024


class _Form:
    """What the parser calls back: the one part that is expected, anything else refused."""

    def __init__(self, limit: int) -> None:
        self.name: str | None = None
        self.waiting = bytearray()
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
            raise UnknownField(f"/{field[:80]}", f"This takes one file, in the field {FIELD!r}.")
        self.name = options.get(b"filename", b"").decode("utf-8", "replace")

    def data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._size > self._limit:
            raise BodyTooLarge(self._limit)
        self.waiting += data[start:end]

    def end(self) -> None:
        self.complete = True

    def take(self) -> bytes:
        """What waits to be written."""
        taken = bytes(self.waiting)
        self.waiting.clear()
        return taken


async def receive_file(request: Request, draft: TemporaryFile, limit: int) -> str:
    """Write the file of a request into `draft`, at most `limit` bytes; its name as the sender calls it.

    Raises UnsupportedMediaType, BodyTooLarge, UnknownField, InvalidField (broken, empty or too slow) and StorageFull.
    """
    form = _Form(limit)
    parser = _parser(request, form)
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit + WRAPPING:
        raise BodyTooLarge(limit)
    try:
        async with asyncio.timeout(WHOLE_SECONDS):
            async for chunk in _pieces(request, limit + WRAPPING):
                parser.write(chunk)
                if len(form.waiting) >= STEP:
                    await to_thread.run_sync(draft.write, form.take())
        parser.finalize()
    except FormParserError:
        raise _broken("The body is not the multipart/form-data that it says it is.") from None
    except ClientDisconnect:
        raise _broken("The connection ended in the middle of the file.") from None
    except TimeoutError:
        raise _broken("The file came too slowly.") from None
    if form.name is None or not form.complete:
        raise _broken(f"There is no complete file in the field {FIELD!r}.")
    await to_thread.run_sync(draft.write, form.take())
    if not draft.size:
        raise InvalidField(f"/{FIELD}", "length", "The file is empty.")
    return form.name


async def _pieces(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body as it comes, what is wrapped around the file included: a preamble may be as long as it likes."""
    stream, size = request.stream(), 0
    while True:
        async with asyncio.timeout(PIECE_SECONDS):
            chunk = await anext(stream, None)
        if chunk is None:
            return
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(limit)
        yield chunk


def _parser(request: Request, form: _Form) -> MultipartParser:
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 1 <= len(boundary) <= 70:
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


def _broken(why: str) -> InvalidField:
    return InvalidField(f"/{FIELD}", "type", why)
