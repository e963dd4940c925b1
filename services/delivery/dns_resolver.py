"""Looks names up in threads: a name that nobody answers holds one, for as long as it likes, and no more than that."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

# A look-up of a name that takes longer has failed, though its thread hangs on.
SECONDS: Final = 5.0
# A name that took longer is not asked for again so soon; so many such names are remembered.
SLOW_SECONDS: Final = 60.0
SLOW_NAMES: Final = 1_000

Resolve = Callable[[str, int], Sequence[str]]


class NoSuchHost(Exception):
    """The name leads nowhere, or whoever knows does not answer."""


class ResolverBusy(Exception):
    """Too many names are being looked up; nothing is known about this one."""


class DnsResolver:
    """At most `threads` names at once. `clock` gives seconds that do not go back."""

    def __init__(self, threads: int, resolve: Resolve, clock: Callable[[], float]) -> None:
        self._threads, self._resolve, self._clock = threads, resolve, clock
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="lookup")
        # By name and port; in it until its thread has ended.
        self._under_way: dict[tuple[str, int], asyncio.Future[Sequence[str]]] = {}
        self._askers: set[str] = set()
        self._slow_until: dict[str, float] = {}

    async def addresses(self, host: str, port: int, asker: str | None = None) -> Sequence[str]:
        """The addresses that a name has now; an `asker` holds one thread at most. Raises NoSuchHost and Busy."""
        if self._slow_until.get(host, 0.0) > self._clock():
            raise NoSuchHost(host)
        under_way = self._under_way.get((host, port)) or self._begin(host, port, asker)
        try:
            async with asyncio.timeout(SECONDS):
                found = await asyncio.shield(under_way)
        except TimeoutError:
            self._was_slow(host)
            raise NoSuchHost(host) from None
        except (OSError, UnicodeError):
            raise NoSuchHost(host) from None
        if not found:
            raise NoSuchHost(host)
        return found

    def close(self) -> None:
        """Wait for no look-up that is under way."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _begin(self, host: str, port: int, asker: str | None) -> asyncio.Future[Sequence[str]]:
        if len(self._under_way) >= self._threads or asker in self._askers:
            raise ResolverBusy(host)
        future = asyncio.get_running_loop().run_in_executor(self._pool, self._resolve, host, port)
        self._under_way[host, port] = future
        if asker is not None:
            self._askers.add(asker)

        def ended(future: asyncio.Future[Sequence[str]]) -> None:
            del self._under_way[host, port]
            self._askers.discard(asker or "")
            if not future.cancelled():
                future.exception()  # or one that nobody waits for any more would be reported as lost

        future.add_done_callback(ended)
        return future

    def _was_slow(self, host: str) -> None:
        self._slow_until.pop(host, None)
        self._slow_until[host] = self._clock() + SLOW_SECONDS
        if len(self._slow_until) > SLOW_NAMES:
            del self._slow_until[next(iter(self._slow_until))]
