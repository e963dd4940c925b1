"""The server process: one uvicorn that says goodbye to every stream before it goes."""

import asyncio
import gc
import socket

import structlog
import uvicorn

from api.app import App, build
from api.settings import Settings
from api.stream import take_over_shutdown

# Slow readers are seen early: less than the kernel's 4 MB hides in each socket.
SEND_BUFFER_BYTES = 128 * 1024
BACKLOG = 2_048
# Requests under way get this long to finish.
GRACE_SECONDS = 10


class _Server(uvicorn.Server):
    """Streams end with `bye` as soon as the signal comes; uvicorn then waits for nobody."""

    def __init__(self, config: uvicorn.Config, app: App, settings: Settings) -> None:
        super().__init__(config)
        self._app, self._settings = app, settings

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Log where it listens, once it does."""
        await super().startup(sockets)
        if self.started:
            gc.freeze()
            port = sockets[0].getsockname()[1] if sockets else self._settings.port
            structlog.get_logger("hub").info("ready", url=f"http://{self._settings.host}:{port}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """No new connections, `bye` to every stream, then the rest."""
        for listener in sockets or ():
            listener.close()
        self._app.hub.manager.shutdown()
        await super().shutdown(sockets)


def run(settings: Settings) -> int:
    """Serve until told to stop; the exit code."""
    take_over_shutdown()
    return asyncio.run(_run(settings))


async def _run(settings: Settings) -> int:
    app = build(settings)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=GRACE_SECONDS
    )
    server = _Server(config, app, settings)
    doubt = asyncio.create_task(_stop_in_doubt(app, server))
    try:
        await server.serve(sockets=[_listen(settings)])
    finally:
        doubt.cancel()
    return 1 if app.doubt.is_set() or not server.started else 0


async def _stop_in_doubt(app: App, server: uvicorn.Server) -> None:
    """A failed disk leaves the state unknown: stop instead of lying."""
    await app.doubt.wait()
    structlog.get_logger("hub").error("storage_failed", meaning="what is on the disk is unknown; the hub stops")
    server.should_exit = True


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    listener.bind((settings.host, settings.port))
    listener.listen(BACKLOG)
    return listener
