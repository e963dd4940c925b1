"""The Unix socket in the data folder through which commands have the running hub write for them.

One line of JSON each way and a connection: `{"act": …, "arguments": …}`, then `{"answer": …}` or `{"code", "message"}`.
The folder is the owner's alone and the kernel says who asks; only acts of a fixed table are done.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
import structlog

from api.config.settings import Settings
from api.control.actions import ActionContext, execute
from api.hub import Hub
from services.errors import DomainError, Overloaded, StorageUnavailable

NAME: Final = "hub.sock"
# A demo's batch of users and jobs is the longest request; the list of keys is the longest answer.
REQUEST_BYTES: Final = 256 * 1024
ANSWER_BYTES: Final = 8 * 1024 * 1024
# To send the request or take the answer, and to do the act: beyond a full writer's queue.
TALK_SECONDS: Final = 5.0
ACT_SECONDS: Final = 30.0
# Commands at once; one more is a script that has gone wild.
CONNECTIONS: Final = 16
# What fits into sockaddr_un, its final zero left out.
_LONGEST_PATH: Final = 107


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a command asks for."""

    act: str
    arguments: msgspec.Raw


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What it is told: an answer, or why not."""

    answer: msgspec.Raw = msgspec.Raw(b"")
    code: str = ""
    message: str = ""


_BUSY: Final = Answer(code=Overloaded.code, message="Too many commands at once.")


class NoHubRunning(OSError):
    """Nobody serves from this folder; the message is one sentence."""


class NoResponse(OSError):
    """The hub was asked and did not answer: whether it did it is unknown. The message is one sentence."""


class ControlSocket:
    """The running hub's side. Whoever makes it holds the data folder's lock."""

    def __init__(self, settings: Settings, hub: Hub) -> None:
        self._folder = settings.database_file.parent
        self._place = ActionContext(hub.database, hub.clock, hub)
        self._talks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._log = structlog.get_logger("control")

    async def start(self) -> None:
        """Listen. Raises OSError."""
        listener = socket.socket(socket.AF_UNIX)
        with _address(self._folder) as address:
            # The lock is ours, so a file of that name is what a killed hub has left.
            with suppress(FileNotFoundError):
                os.unlink(address)
            listener.bind(address)
        self._server = await asyncio.start_unix_server(
            self._accept, sock=listener, limit=REQUEST_BYTES, backlog=CONNECTIONS
        )

    async def stop(self) -> None:
        """Take no new requests, and finish those that run; bounded by their own times."""
        if self._server is None:
            return
        self._server.close()
        with suppress(FileNotFoundError):
            os.unlink(self._folder / NAME)
        if self._talks:
            await asyncio.wait(self._talks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if not _is_trusted(writer):
            self._log.warning("stranger refused")
        elif len(self._talks) >= CONNECTIONS:
            writer.write(msgspec.json.encode(_BUSY) + b"\n")
        else:
            self._talks.add(task)
            task.add_done_callback(self._talks.discard)
            # Cut off, too long or too slow: there is nobody to tell.
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await self._talk(reader, writer)
        writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(TALK_SECONDS):
            line = await reader.readuntil(b"\n")
        writer.write(msgspec.json.encode(await self._answer(line)) + b"\n")
        async with asyncio.timeout(TALK_SECONDS):
            await writer.drain()

    async def _answer(self, line: bytes) -> Answer:
        try:
            request = msgspec.json.decode(line, type=Request)
            async with asyncio.timeout(ACT_SECONDS):
                answer = await execute(self._place, request.act, bytes(request.arguments))
            self._log.info("command", act=request.act)
            return Answer(answer=msgspec.Raw(answer))
        except DomainError as error:
            return Answer(code=error.code, message=error.message)
        except msgspec.DecodeError as error:
            return Answer(code="INVALID_JSON", message=str(error))
        except TimeoutError:
            return Answer(code=StorageUnavailable.code, message=StorageUnavailable().message)
        except Exception:
            self._log.exception("command failed")
            return Answer(code="INTERNAL", message="The hub failed to do that; its log says why.")


def ask(folder: Path, act: str, arguments: bytes) -> Answer:
    """The command's side: one request, one answer. Blocks. Raises NobodyAnswers and Unanswered."""
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(TALK_SECONDS)
        try:
            with _address(folder) as address:
                connection.connect(address)
        except OSError as error:
            raise NoHubRunning(f"No hub answers in {folder} ({error.strerror or error}).") from error
        try:
            # One who is busy answers at once and does not read.
            with suppress(BrokenPipeError):
                connection.sendall(msgspec.json.encode(Request(act, msgspec.Raw(arguments))) + b"\n")
            connection.settimeout(ACT_SECONDS + TALK_SECONDS)
            with connection.makefile("rb") as file:
                return msgspec.json.decode(file.readline(ANSWER_BYTES), type=Answer)
        except (OSError, msgspec.DecodeError) as error:
            raise NoResponse(f"The hub in {folder} did not answer: whether it was done is unknown.") from error


def _is_trusted(writer: asyncio.StreamWriter) -> bool:
    """Our own user, and root, who could read the store as well."""
    credentials = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    _pid, uid, _gid = struct.unpack("3i", credentials)
    return uid in (0, os.getuid())


@contextmanager
def _address(folder: Path) -> Generator[str, None, None]:
    """The socket's path; by way of an open folder where it is too long for the kernel."""
    path = folder / NAME
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)
