"""How the hub's process runs: lock, store, socket, server; what a signal does, and in which order all of it ends."""

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Final

import structlog
import uvicorn
import uvloop

from api.app import SHUTDOWN_GRACE_SECONDS, App, build
from api.config.settings import Settings
from api.control.socket import ControlSocket
from api.http.protocol import BoundedProtocol
from api.streams.responses import disable_sse_starlette_shutdown
from services.store.lock import DataDirLock
from services.store.position_writer import PositionWriter
from services.store.preparation import fix_store_currency, prepare

# A command that writes while nobody serves holds the lock for a moment; a second hub is refused after this long.
LOCK_TIMEOUT_SECONDS: Final = 2.0
# Connections that may wait to be accepted: a storm of streams that come back after a restart.
LISTEN_BACKLOG: Final = 2_048
# The kernel keeps about so much for a client that does not read, so that we notice early that it is slow.
SEND_BUFFER_BYTES: Final = 128 * 1024
# Longer than the minute for which proxies keep a connection, so that it is they who close it.
KEEP_ALIVE_SECONDS: Final = 75
# Farewells in a row; between them the requests that still run have their turn.
BYES_PER_STEP: Final = 256
# After this long a stop has failed: the process ends as if killed, which loses nothing that was answered.
STOP_TIMEOUT_SECONDS: Final = 60.0
# One for each stream; more streams than that want more than one process.
MAX_OPEN_FILES: Final = 65_536
# New objects between two looks for rings of garbage: 256 requests in flight hold thousands that are none, and at
# Python's 700 looking them through, again and again, is a tenth of all work.
GC_THRESHOLD: Final = 20_000
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C; the exit code. Raises Locked, CannotOpen and OSError before it is ready."""
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            return _serve(settings, stack)
    except KeyboardInterrupt:
        structlog.get_logger("serve").info("stopped", why="it was told to before it was ready")
        return 0


def _serve(settings: Settings, stack: ExitStack) -> int:
    path = settings.database_file
    for folder in (settings.data_dir, path.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = DataDirLock(path.parent)
    lock.acquire(timeout=LOCK_TIMEOUT_SECONDS)
    stack.callback(lock.release)
    if prepare(path):
        structlog.get_logger("serve").warning("new epoch", why="the store is not the one that was last served")
    fix_store_currency(path, settings.currency)
    listener = stack.enter_context(_bind(settings.host, settings.port))
    settings = replace(settings, port=listener.getsockname()[1])
    _allow_open_files()
    disable_sse_starlette_shutdown()
    server = HubServer(build(settings), settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(server.run_until_stopped(listener))


class HubServer(uvicorn.Server):
    """uvicorn with the hub's own way to begin and to end."""

    def __init__(self, app: App, settings: Settings) -> None:
        super().__init__(_configuration(app))
        self._app = app
        self._settings = settings
        self._log = structlog.get_logger("serve")
        self._stop = asyncio.Event()
        self._control = ControlSocket(settings, app.hub)
        self._watch = PositionWriter(settings.database_file, app.hub.manager)

    async def run_until_stopped(self, listener: socket.socket) -> int:
        """Serve on a bound socket; 0 when it was told to stop, 1 when something failed."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            # Not the loop's own handlers: those go when the loop does, and a second signal may come even later.
            signal.signal(number, lambda _number, _frame: _call(loop, self._stop.set))
        try:
            await self.serve([listener])
        except SystemExit:
            # uvicorn's way to say that the lifespan did not start; it has logged why.
            return 1
        await self._watch.stop()
        self._log.info("stopped")
        return 1 if self._app.storage_failed.is_set() or self.lifespan.should_exit else 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the parts, listen, say so."""
        await super().startup(sockets)
        try:
            await self._control.start()
        except OSError as error:
            # Some mounted folders know no sockets; the hub can do without, commands that write then cannot.
            self._log.warning("no control socket", error=str(error))
        self._watch.start()
        # What has been made until now stays: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, *gc.get_threshold()[1:])
        # Whatever the log level: whoever started the hub waits for this line.
        always = structlog.make_filtering_bound_logger(logging.INFO)
        log = structlog.wrap_logger(None, wrapper_class=always, logger_factory_args=("serve",))
        log.info("ready", url=self._settings.origin)

    async def main_loop(self) -> None:
        """Wait for a signal or a failed disk, and keep the Date header right meanwhile."""
        waiting = [asyncio.create_task(event.wait()) for event in (self._stop, self._app.storage_failed)]
        done: set[asyncio.Task[bool]] = set()
        while not done:
            await self.on_tick(0)
            done, _ = await asyncio.wait(waiting, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        if self._app.storage_failed.is_set():
            self._log.critical("storage in doubt", why="the disk failed: what is written is unknown, the hub stops")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """No new connections; a farewell to every stream at once; requests finish; the parts stop. All bounded."""
        self._log.info("stopping", streams=self._app.hub.manager.connections)
        _end_anyway_after(STOP_TIMEOUT_SECONDS)
        for server in self.servers:
            server.close()
        farewell = asyncio.create_task(self._close_streams())
        await self._control.stop()
        await super().shutdown(sockets)
        farewell.cancel()

    async def _close_streams(self) -> None:
        """A request that was on its way to a stream still opens it; that one must not keep the others waiting."""
        manager = self._app.hub.manager
        while True:
            manager.shutdown(BYES_PER_STEP)
            await asyncio.sleep(0 if manager.connections else 0.05)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Nothing: uvicorn would raise the signal again at the end, and the process would have died of it."""
        yield


def _configuration(app: App) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        interface="asgi3",
        workers=1,
        backlog=LISTEN_BACKLOG,
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        # Addresses are the hub's own business (HUB_TRUSTED_PROXIES).
        proxy_headers=False,
        forwarded_allow_ips=[],
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_GRACE_SECONDS,
    )


def _bind(host: str, port: int) -> socket.socket:
    """A socket that has its address and does not listen yet. Raises OSError, with a sentence."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise OSError(f"Cannot listen on {host}: {error.strerror}.") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise OSError(f"Cannot listen on {host} port {port}: {error.strerror}.") from error
    return listener


def _allow_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    """From a signal handler; a loop that is closed has nothing to stop any more."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(callback)


def _end_anyway_after(seconds: float) -> None:
    """A disk that hangs must not keep the process for ever."""

    def end() -> None:
        structlog.get_logger("serve").critical("killed", why=f"it did not stop within {seconds:g} s")
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
