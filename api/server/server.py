"""The hub process: lock, store, socket, uvicorn, signals and shutdown order."""

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

# A command holds the lock for a short time while it writes. A second hub gives up after this time.
LOCK_TIMEOUT_SECONDS: Final = 2.0
# Connections that the kernel queues; many streams reconnect at once after a restart.
LISTEN_BACKLOG: Final = 2_048
# Bytes that the kernel buffers for a client; a small buffer shows early that a client is slow.
SEND_BUFFER_BYTES: Final = 128 * 1024
# Longer than the usual minute of proxies, so that the proxy closes idle connections, not the hub.
KEEP_ALIVE_SECONDS: Final = 75
# Streams that are closed in one step. Running requests continue between the steps.
BYES_PER_STEP: Final = 256
# After this time the process is killed. No acknowledged write is lost.
STOP_TIMEOUT_SECONDS: Final = 60.0
# One file descriptor per stream.
MAX_OPEN_FILES: Final = 65_536
# New objects between two runs of the garbage collector. With Python's default of 700, the collector takes a tenth of
# the time when 256 requests run: it repeatedly scans thousands of objects that are in use.
GC_THRESHOLD: Final = 20_000
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C and return the exit code.

    Raises DataDirLocked, CannotOpenStore and OSError if the hub cannot start.
    """
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            return _serve(settings, stack)
    except KeyboardInterrupt:
        structlog.get_logger("serve").info("stopped", reason="stopped before it was ready")
        return 0


def _serve(settings: Settings, stack: ExitStack) -> int:
    path = settings.database_file
    for folder in (settings.data_dir, path.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = DataDirLock(path.parent)
    lock.acquire(timeout=LOCK_TIMEOUT_SECONDS)
    stack.callback(lock.release)
    if prepare(path):
        structlog.get_logger("serve").warning("epoch_renewed", reason="this is not the store that was served last")
    fix_store_currency(path, settings.currency)
    listener = stack.enter_context(_bind(settings.host, settings.port))
    settings = replace(settings, port=listener.getsockname()[1])
    _raise_open_file_limit()
    disable_sse_starlette_shutdown()
    server = HubServer(build(settings), settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(server.run_until_stopped(listener))


class HubServer(uvicorn.Server):
    """uvicorn with the hub's own start and stop order."""

    def __init__(self, app: App, settings: Settings) -> None:
        super().__init__(_uvicorn_config(app))
        self._app = app
        self._settings = settings
        self._log = structlog.get_logger("serve")
        self._stop_requested = asyncio.Event()
        self._control = ControlSocket(settings, app.hub)
        self._position_writer = PositionWriter(settings.database_file, app.hub.manager)

    async def run_until_stopped(self, listener: socket.socket) -> int:
        """Serve on a bound socket; return 0 after a signal and 1 after a failure."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            # Not the handlers of the loop: they end with the loop, and a second signal may arrive after that.
            signal.signal(number, lambda _number, _frame: _call_soon(loop, self._stop_requested.set))
        try:
            await self.serve([listener])
        except SystemExit:
            # uvicorn raises this if the lifespan did not start; it has logged the reason.
            return 1
        await self._position_writer.stop()
        self._log.info("stopped")
        return 1 if self._app.storage_failed.is_set() or self.lifespan.should_exit else 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the components, listen, and log `ready`."""
        await super().startup(sockets)
        try:
            await self._control.start()
        except OSError as error:
            # Some mounted folders do not support sockets. The hub works without; commands that write do not.
            self._log.warning("control_socket_unavailable", error=str(error))
        self._position_writer.start()
        # The objects created until now are permanent, so the collector does not need to scan them again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, *gc.get_threshold()[1:])
        # Logged at every log level, because the process that started the hub waits for this line.
        info_logger = structlog.make_filtering_bound_logger(logging.INFO)
        log = structlog.wrap_logger(None, wrapper_class=info_logger, logger_factory_args=("serve",))
        log.info("ready", url=self._settings.origin)

    async def main_loop(self) -> None:
        """Wait for a signal or a storage failure; update the Date header once a second."""
        waiters = [asyncio.create_task(event.wait()) for event in (self._stop_requested, self._app.storage_failed)]
        done: set[asyncio.Task[bool]] = set()
        while not done:
            await self.on_tick(0)
            done, _ = await asyncio.wait(waiters, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
        for task in waiters:
            task.cancel()
        if self._app.storage_failed.is_set():
            self._log.critical(
                "storage_failed", reason="the disk failed: it is unknown what was written, the hub stops"
            )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listener and all streams, finish requests, then stop the components; every step is bounded."""
        self._log.info("stopping", streams=self._app.hub.manager.connections)
        _kill_after(STOP_TIMEOUT_SECONDS)
        for server in self.servers:
            server.close()
        closing = asyncio.create_task(self._close_streams())
        await self._control.stop()
        await super().shutdown(sockets)
        closing.cancel()

    async def _close_streams(self) -> None:
        """Close the streams until this task is cancelled: running requests may still open new ones."""
        manager = self._app.hub.manager
        while True:
            manager.shutdown(BYES_PER_STEP)
            await asyncio.sleep(0 if manager.connections else 0.05)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Do nothing: uvicorn would raise the signal again at the end and kill the process."""
        yield


def _uvicorn_config(app: App) -> uvicorn.Config:
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
        # The hub resolves client addresses itself (HUB_TRUSTED_PROXIES).
        proxy_headers=False,
        forwarded_allow_ips=[],
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_GRACE_SECONDS,
    )


def _bind(host: str, port: int) -> socket.socket:
    """Return a socket that is bound but does not listen yet. Raises OSError with a sentence."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, socket_type, protocol, _, address = addresses[0]
        listener = socket.socket(family, socket_type, protocol)
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


def _raise_open_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < limit:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    """Call from a signal handler; a closed loop is ignored."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(callback)


def _kill_after(seconds: float) -> None:
    """Kill the process after this time, in case the disk does not respond."""

    def kill() -> None:
        structlog.get_logger("serve").critical("killed", reason=f"the hub did not stop within {seconds:g} s")
        os._exit(1)

    timer = threading.Timer(seconds, kill)
    timer.daemon = True
    timer.start()
