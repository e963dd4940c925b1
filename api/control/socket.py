"""Unix socket through which commands reach the running hub.

Each connection carries one request and one response, each a line of JSON: `{"action": …, "arguments": …}`, then
`{"result": …}` or `{"code", "message"}`. The data directory belongs to its owner alone, the kernel names the peer's
user, and only the actions of a fixed table can be requested.
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

SOCKET_NAME: Final = "hub.sock"
# The longest request is a batch of demo users and jobs; the longest response is the list of API keys.
MAX_REQUEST_BYTES: Final = 256 * 1024
MAX_RESPONSE_BYTES: Final = 8 * 1024 * 1024
# For sending a request or receiving a response.
IO_TIMEOUT_SECONDS: Final = 5.0
# For the action itself; longer than a full queue of the writer takes.
ACTION_TIMEOUT_SECONDS: Final = 30.0
# Concurrent commands. More of them are a script out of control.
MAX_CONNECTIONS: Final = 16
# The size of sockaddr_un.sun_path on Linux, without the final zero byte.
_MAX_PATH_BYTES: Final = 107


class ControlRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The request of a command."""

    action: str
    arguments: msgspec.Raw


class ControlResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of the action, or the code and message of an error."""

    result: msgspec.Raw = msgspec.Raw(b"")
    code: str = ""
    message: str = ""


_BUSY: Final = ControlResponse(code=Overloaded.code, message="Too many commands run at once. Try again later.")


class NoHubRunning(OSError):
    """No hub listens in this data directory; the message is one sentence."""


class NoResponse(OSError):
    """The hub did not respond, so it is unknown whether the action was executed; the message is one sentence."""


class ControlSocket:
    """The hub's end of the socket. Its owner must hold the lock of the data directory."""

    def __init__(self, settings: Settings, hub: Hub) -> None:
        self._folder = settings.database_file.parent
        self._context = ActionContext(hub.database, hub.clock, hub)
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._log = structlog.get_logger("control")

    async def start(self) -> None:
        """Listen. Raises OSError."""
        listener = socket.socket(socket.AF_UNIX)
        with _socket_path(self._folder) as path:
            # This process holds the lock, so an existing file was left by a killed hub.
            with suppress(FileNotFoundError):
                os.unlink(path)
            listener.bind(path)
        self._server = await asyncio.start_unix_server(
            self._accept, sock=listener, limit=MAX_REQUEST_BYTES, backlog=MAX_CONNECTIONS
        )

    async def stop(self) -> None:
        """Accept no new connections and finish the current ones, within their timeouts."""
        if self._server is None:
            return
        self._server.close()
        with suppress(FileNotFoundError):
            os.unlink(self._folder / SOCKET_NAME)
        if self._connections:
            await asyncio.wait(self._connections)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if not _is_authorized(writer):
            self._log.warning("control_peer_rejected")
        elif len(self._connections) >= MAX_CONNECTIONS:
            writer.write(msgspec.json.encode(_BUSY) + b"\n")
        else:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
            # The peer disconnected, sent too much or was too slow: no response can reach it.
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await self._serve(reader, writer)
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(IO_TIMEOUT_SECONDS):
            line = await reader.readuntil(b"\n")
        writer.write(msgspec.json.encode(await self._respond(line)) + b"\n")
        async with asyncio.timeout(IO_TIMEOUT_SECONDS):
            await writer.drain()

    async def _respond(self, line: bytes) -> ControlResponse:
        try:
            request = msgspec.json.decode(line, type=ControlRequest)
            async with asyncio.timeout(ACTION_TIMEOUT_SECONDS):
                result = await execute(self._context, request.action, bytes(request.arguments))
            self._log.info("command", action=request.action)
            return ControlResponse(result=msgspec.Raw(result))
        except DomainError as error:
            return ControlResponse(code=error.code, message=error.message)
        except msgspec.DecodeError as error:
            return ControlResponse(code="INVALID_JSON", message=str(error))
        except TimeoutError:
            return ControlResponse(code=StorageUnavailable.code, message=StorageUnavailable().message)
        except Exception:
            self._log.exception("command_failed")
            return ControlResponse(code="INTERNAL", message="The hub could not execute the command. See its log.")


def send_request(folder: Path, action: str, arguments: bytes) -> ControlResponse:
    """Send one request to the running hub and return its response; blocks. Raises NoHubRunning and NoResponse."""
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(IO_TIMEOUT_SECONDS)
        try:
            with _socket_path(folder) as path:
                connection.connect(path)
        except OSError as error:
            raise NoHubRunning(f"No hub answers in {folder} ({error.strerror or error}).") from error
        try:
            # A busy hub responds at once, without reading the request.
            with suppress(BrokenPipeError):
                connection.sendall(msgspec.json.encode(ControlRequest(action, msgspec.Raw(arguments))) + b"\n")
            connection.settimeout(ACTION_TIMEOUT_SECONDS + IO_TIMEOUT_SECONDS)
            with connection.makefile("rb") as file:
                return msgspec.json.decode(file.readline(MAX_RESPONSE_BYTES), type=ControlResponse)
        except (OSError, msgspec.DecodeError) as error:
            raise NoResponse(
                f"The hub in {folder} did not answer: it is unknown whether the command was executed."
            ) from error


def _is_authorized(writer: asyncio.StreamWriter) -> bool:
    """Return whether the peer runs as the hub's own user or as root, who could read the store anyway."""
    credentials = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    _pid, uid, _gid = struct.unpack("3i", credentials)
    return uid in (0, os.getuid())


@contextmanager
def _socket_path(folder: Path) -> Generator[str, None, None]:
    """Yield the path of the socket; relative to an open folder where the full path is too long for the kernel."""
    path = folder / SOCKET_NAME
    if len(os.fsencode(path)) <= _MAX_PATH_BYTES:
        yield str(path)
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_NAME}"
    finally:
        os.close(descriptor)
