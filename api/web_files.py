"""The files of web/ for the pages: made in a process of its own, when the first of them is asked for."""

import asyncio
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Final

import structlog

from api.assets import Assets, read

_ROOT: Final = Path(__file__).parents[1]
# Seconds that making them may take; it takes half of one.
_PATIENCE: Final = 30


class WebFiles:
    """Made once: not before a browser comes, for a hub may serve programs alone, and its start need not wait."""

    def __init__(self, web: Path) -> None:
        self._web = web
        self._making: asyncio.Task[Assets] | None = None

    async def get(self) -> Assets:
        """All of them. Raises as `made` does; who asks after that has them made anew."""
        if self._making is None or (self._making.done() and self._making.exception() is not None):
            self._making = asyncio.create_task(asyncio.to_thread(made, self._web))
        # Who goes away meanwhile does not stop it for the others.
        return await asyncio.shield(self._making)


def made(web: Path) -> Assets:
    """Everything below `web`, made in a process of its own: what that takes does not stay in the hub.

    Where it cannot run, the same is made here, with long names, and the log says so. Raises as `read` does.
    """
    command = [sys.executable, "-m", "api.make_assets", str(web)]
    try:
        done = subprocess.run(  # noqa: S603  # our own interpreter and module
            command, cwd=_ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=_PATIENCE
        )
        assets: Assets = pickle.loads(done.stdout)  # noqa: S301  # our own process wrote it
    except (OSError, ValueError, pickle.UnpicklingError, EOFError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error).encode()
        why = said.decode(errors="replace").strip().rpartition("\n")[2]
        structlog.get_logger("assets").warning("names stay long", why=why)
        return read(web)
    return assets
