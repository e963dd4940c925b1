"""Bounded DNS lookups in threads."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

# A slower lookup fails. Its thread stays busy until the system call returns.
TIMEOUT_SECONDS: Final = 5.0
# A host whose lookup timed out fails at once for this time. At most this number of such hosts is stored.
SLOW_HOST_SECONDS: Final = 60.0
MAX_SLOW_HOSTS: Final = 1_000

Resolve = Callable[[str, int], Sequence[str]]


class NoSuchHost(Exception):
    """The host has no address, or its name server does not respond."""


class ResolverBusy(Exception):
    """Too many lookups are in progress, so this host was not looked up."""


class DnsResolver:
    """Runs at most `threads` lookups at the same time. `clock` returns monotonic seconds."""

    def __init__(self, threads: int, resolve: Resolve, clock: Callable[[], float]) -> None:
        self._threads, self._resolve, self._clock = threads, resolve, clock
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="lookup")
        # By host and port, until the thread ends.
        self._in_progress: dict[tuple[str, int], asyncio.Future[Sequence[str]]] = {}
        self._busy_user_ids: set[str] = set()
        self._slow_until: dict[str, float] = {}

    async def resolve(self, host: str, port: int, user_id: str | None = None) -> Sequence[str]:
        """Return the current addresses of a host. Each `user_id` occupies at most one thread.

        Raises NoSuchHost if there is none or the lookup is too slow, and ResolverBusy if no thread is free.
        """
        if self._slow_until.get(host, 0.0) > self._clock():
            raise NoSuchHost(host)
        lookup = self._in_progress.get((host, port)) or self._start_lookup(host, port, user_id)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                addresses = await asyncio.shield(lookup)
        except TimeoutError:
            self._record_slow(host)
            raise NoSuchHost(host) from None
        except (OSError, UnicodeError):
            raise NoSuchHost(host) from None
        if not addresses:
            raise NoSuchHost(host)
        return addresses

    def close(self) -> None:
        """Close the thread pool without waiting for lookups in progress."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _start_lookup(self, host: str, port: int, user_id: str | None) -> asyncio.Future[Sequence[str]]:
        if len(self._in_progress) >= self._threads or user_id in self._busy_user_ids:
            raise ResolverBusy(host)
        future = asyncio.get_running_loop().run_in_executor(self._pool, self._resolve, host, port)
        self._in_progress[host, port] = future
        if user_id is not None:
            self._busy_user_ids.add(user_id)

        def finished(future: asyncio.Future[Sequence[str]]) -> None:
            del self._in_progress[host, port]
            self._busy_user_ids.discard(user_id or "")
            if not future.cancelled():
                future.exception()  # marks it as retrieved: asyncio logs errors that no task has read

        future.add_done_callback(finished)
        return future

    def _record_slow(self, host: str) -> None:
        self._slow_until.pop(host, None)
        self._slow_until[host] = self._clock() + SLOW_HOST_SECONDS
        if len(self._slow_until) > MAX_SLOW_HOSTS:
            del self._slow_until[next(iter(self._slow_until))]
