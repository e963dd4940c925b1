"""A client of the stream that writes down all it hears, for tests to wait on."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

import httpx2

from tests.support.sse_parser import Parser, ServerEvent

# Far beyond what anything here takes; only a failing test waits so long.
TIMEOUT_SECONDS: Final = 10.0


class StreamClient:
    """One open `GET /api/realtime/connect`, read in the background: `async with hub.stream(user) as stream`.

    `events` holds all that came; `next` and `until` go through it once, in order. Heartbeats are skipped unless
    asked for by type.
    """

    def __init__(self, client: httpx2.AsyncClient, params: dict[str, str], headers: dict[str, str]) -> None:
        self.events: list[ServerEvent] = []
        self.status = 0
        self.headers = httpx2.Headers()
        self.body = b""
        self._client, self._params, self._headers = client, params, headers
        self._parser = Parser()
        self._read = 0
        self._news = asyncio.Event()
        self._gate = asyncio.Event()
        self._gate.set()
        self._task: asyncio.Task[None] | None = None

    @property
    def last_event_id(self) -> str:
        """What a browser would send as `Last-Event-ID` now."""
        return self._parser.last_event_id

    @property
    def comments(self) -> list[str]:
        """The comment lines so far."""
        return self._parser.comments

    @property
    def is_closed(self) -> bool:
        """Whether the server has closed it (or it was closed here)."""
        return self._task is not None and self._task.done()

    def types(self) -> list[str]:
        """The types of all events so far, heartbeats left out."""
        return [event.type for event in self.events if event.type != "heartbeat"]

    async def open(self) -> Self:
        """Connect, and wait for the answer's head; what is not 200 is read into `body`."""
        self._task = asyncio.create_task(self._run())
        await self._wait(lambda: self.status != 0, TIMEOUT_SECONDS, "answer")
        return self

    async def close(self) -> None:
        """Leave, as a closed tab does."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def next_event(self, type: str | None = None, timeout: float = TIMEOUT_SECONDS) -> ServerEvent:
        """The next event not yet handed out (of a type: those before it are passed over)."""

        def wanted(event: ServerEvent) -> bool:
            return event.type == type if type is not None else event.type != "heartbeat"

        return (await self.read_until(wanted, timeout, description=type or "any event"))[-1]

    async def read_until(
        self, predicate: Callable[[ServerEvent], bool], timeout: float = TIMEOUT_SECONDS, description: str = "the wanted event"
    ) -> list[ServerEvent]:
        """The events not yet handed out, up to and with the first that is wanted."""
        start = self._read

        def found() -> bool:
            while self._read < len(self.events):
                self._read += 1
                if predicate(self.events[self._read - 1]):
                    return True
            return False

        await self._wait(found, timeout, description)
        return self.events[start : self._read]

    async def wait_closed(self, timeout: float = TIMEOUT_SECONDS) -> None:
        """Wait until the server closes the stream."""
        await self._wait(lambda: self.is_closed, timeout, "end")

    def pause(self) -> None:
        """Stop reading, as a stalled browser does."""
        self._gate.clear()

    def resume(self) -> None:
        """Read on."""
        self._gate.set()

    async def _run(self) -> None:
        try:
            async with self._client.stream(
                "GET", "/api/realtime/connect", params=self._params, headers=self._headers
            ) as response:
                self.headers = response.headers
                if response.status_code != 200:
                    self.body = await response.aread()
                self.status = response.status_code
                self._news.set()
                if self.status != 200:
                    return
                async for chunk in response.aiter_raw():
                    self.events += self._parser.feed(chunk)
                    self._news.set()
                    await self._gate.wait()
        except httpx2.TransportError as error:
            # A killed hub cuts the stream; that is an end like any other.
            self.status = self.status or -1
            self.body = repr(error).encode()
        finally:
            asyncio.get_running_loop().call_soon(self._news.set)

    async def _wait(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        """Wait until it is true; it may have effects, so nothing is asked again once it was."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not condition():
                    if self.is_closed:
                        break
                    self._news.clear()
                    await self._news.wait()
                else:
                    return
        why = "the stream ended first" if self.is_closed else f"nothing in {timeout} s"
        raise AssertionError(f"waited for {what}: {why}; status {self.status}, heard {self._heard()} {self.body!r}")

    def _heard(self) -> list[Any]:
        return [(event.type, event.text[:200]) for event in self.events[-20:]]

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
