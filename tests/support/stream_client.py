"""A stream client that records all events, and methods that wait for events."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import httpx2

from tests.support.sse_parser import Parser, ServerEvent
from tests.support.timeouts import TIMEOUT_SECONDS


class StreamClient:
    """One open `GET /api/realtime/connect`, read in the background: `async with hub.stream(user) as stream`.

    `events` holds all received events; `next_event` and `read_until` return each of them once, in order. Heartbeats
    are skipped unless their type is requested.
    """

    def __init__(self, client: httpx2.AsyncClient, params: dict[str, str], headers: dict[str, str]) -> None:
        self.events: list[ServerEvent] = []
        self.status = 0
        self.headers = httpx2.Headers()
        self.body = b""
        self._client, self._params, self._headers = client, params, headers
        self._parser = Parser()
        self._returned = 0
        self._changed = asyncio.Event()
        self._reading_allowed = asyncio.Event()
        self._reading_allowed.set()
        self._task: asyncio.Task[None] | None = None

    @property
    def last_event_id(self) -> str:
        """The `Last-Event-ID` that a browser would send now."""
        return self._parser.last_event_id

    @property
    def comments(self) -> list[str]:
        """The comment lines received so far."""
        return self._parser.comments

    @property
    def is_closed(self) -> bool:
        """Whether the server or this client has closed the stream."""
        return self._task is not None and self._task.done()

    def types(self) -> list[str]:
        """Return the types of all received events without heartbeats."""
        return [event.type for event in self.events if event.type != "heartbeat"]

    async def open(self) -> Self:
        """Connect and wait for the response head. The body of a response other than 200 is read into `body`."""
        self._task = asyncio.create_task(self._run())
        await self._wait(lambda: self.status != 0, "the response")
        return self

    async def close(self) -> None:
        """Close the connection, as a closed tab does."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def next_event(self, type: str | None = None) -> ServerEvent:
        """Return the next event. With a `type`, skip the events before the next one of that type."""

        def matches(event: ServerEvent) -> bool:
            return event.type == type if type is not None else event.type != "heartbeat"

        return (await self.read_until(matches, description=type or "any event"))[-1]

    async def read_until(
        self, predicate: Callable[[ServerEvent], bool], description: str = "the matching event"
    ) -> list[ServerEvent]:
        """Return the next events up to and including the first that matches the predicate."""
        start = self._returned

        def find_match() -> bool:
            while self._returned < len(self.events):
                self._returned += 1
                if predicate(self.events[self._returned - 1]):
                    return True
            return False

        await self._wait(find_match, description)
        return self.events[start : self._returned]

    async def wait_closed(self) -> None:
        """Wait until the server closes the stream."""
        await self._wait(lambda: self.is_closed, "the end")

    def pause(self) -> None:
        """Stop reading, as a stalled browser does."""
        self._reading_allowed.clear()

    def resume(self) -> None:
        """Continue to read."""
        self._reading_allowed.set()

    async def _run(self) -> None:
        try:
            async with self._client.stream(
                "GET", "/api/realtime/connect", params=self._params, headers=self._headers
            ) as response:
                self.headers = response.headers
                if response.status_code != 200:
                    self.body = await response.aread()
                self.status = response.status_code
                self._changed.set()
                if self.status != 200:
                    return
                async for chunk in response.aiter_raw():
                    self.events += self._parser.feed(chunk)
                    self._changed.set()
                    await self._reading_allowed.wait()
        except httpx2.TransportError as error:
            # A killed hub breaks the connection. That ends the stream like a normal close.
            self.status = self.status or -1
            self.body = repr(error).encode()
        finally:
            asyncio.get_running_loop().call_soon(self._changed.set)

    async def _wait(self, condition: Callable[[], bool], description: str) -> None:
        """Wait until the condition is true. It may have side effects, so it is not evaluated again afterwards."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TIMEOUT_SECONDS):
                while not condition():
                    if self.is_closed:
                        break
                    self._changed.clear()
                    await self._changed.wait()
                else:
                    return
        reason = "the stream ended first" if self.is_closed else f"nothing in {TIMEOUT_SECONDS} s"
        received = f"status {self.status}, received {self._last_events()} {self.body!r}"
        raise AssertionError(f"waited for {description}: {reason}; {received}")

    def _last_events(self) -> list[Any]:
        return [(event.type, event.text[:200]) for event in self.events[-20:]]

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
