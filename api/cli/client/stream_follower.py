"""Follows a stream for as long as it likes: reads, comes back with its cursor, and waits as it is told to."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

import click
import httpx2
import msgspec

from api.cli.client.hub_client import SECONDS, error_message, jittered, retry_after

PATH: Final = "/api/realtime/connect"
# Until the hub has said better (`retry:`).
FIRST_WAIT: Final = 1.0
# A stream on which so many heartbeats failed to come is dead, whatever TCP believes.
MISSED_BEATS: Final = 3
LEAST_SILENCE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Connector:
    """How to be let in, this time: a ticket opens one stream only."""

    params: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


class Follower:
    """Events from one stream after another, none missing and none twice unless a `reset` says so.

    `approach` is asked before every connect and raises OSError when it should be tried again. `say` hears what goes on.
    """

    def __init__(
        self,
        client: httpx2.AsyncClient,
        approach: Callable[[], Awaitable[Connector]],
        *,
        cursor: str | None,
        say: Callable[[str], None],
    ) -> None:
        self.cursor = cursor
        self._client = client
        self._approach = approach
        self._say = say
        self._wait = FIRST_WAIT
        self._silence = SECONDS
        self._connected = False

    async def events(self) -> AsyncGenerator[httpx2.ServerSentEvent, None]:
        """Every event, heartbeats too, for ever. Raises click.ClickException when the hub will not have us.

        The first connect must succeed; after that it is tried again for ever.
        """
        failures = 0
        while True:
            wait = None
            try:
                async with aclosing(self._stream()) as stream:
                    async for event in stream:
                        failures = 0
                        yield event
            except _RetryLater as later:
                wait, why = later.wait, str(later)
            except (httpx2.TransportError, TimeoutError, OSError) as error:
                why = str(error) or "nothing was heard for too long"
            else:
                why = "the stream ended"
            if not self._connected:
                raise click.ClickException(f"{why.rstrip('.')}.")
            if wait is None:
                # What the hub named is jittered already, so it is kept the first time.
                wait = self._wait if failures == 0 else jittered(self._wait, failures)
            self._say(f"{why.rstrip('.')}; again in {wait:.1f} s")
            await asyncio.sleep(wait)
            failures += 1

    async def _stream(self) -> AsyncGenerator[httpx2.ServerSentEvent, None]:
        approach = await self._approach()
        headers = {"accept": "text/event-stream"} | approach.headers
        if self.cursor is not None:
            headers["last-event-id"] = self.cursor
        timeout = httpx2.Timeout(SECONDS, read=None)
        async with self._client.sse(PATH, params=approach.params, headers=headers, timeout=timeout) as source:
            await _check(source.response)
            stream = aiter(source)
            while True:
                async with asyncio.timeout(self._silence):
                    event = await anext(stream, None)
                if event is None:
                    return
                self._note(event)
                yield event

    def _note(self, event: httpx2.ServerSentEvent) -> None:
        self._connected = True
        self.cursor = event.id or self.cursor
        if event.retry is not None:
            self._wait = event.retry / 1_000
        if event.event == "connection_confirmed":
            told: Any = msgspec.json.decode(event.data)
            self._silence = max(LEAST_SILENCE, MISSED_BEATS * float(told["heartbeatSeconds"]))


class _RetryLater(Exception):
    """The hub answers, and cannot have us now; `wait` in seconds if it named a time."""

    def __init__(self, why: str, wait: float | None) -> None:
        super().__init__(why)
        self.wait = wait


async def _check(response: httpx2.Response) -> None:
    if response.status_code == 200:
        return
    await response.aread()
    if response.status_code == 429 or response.status_code >= 500:
        raise _RetryLater(error_message(response), retry_after(response))
    raise click.ClickException(error_message(response))
