"""Follows a stream and reconnects with its cursor."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

import click
import httpx2
import msgspec

from api.cli.client.hub_client import TIMEOUT_SECONDS, backoff_seconds, error_message, retry_after_seconds

PATH: Final = "/api/realtime/connect"
# Used until the hub sends a `retry:` field.
DEFAULT_RETRY_SECONDS: Final = 1.0
# The stream is considered dead after this many missed heartbeats.
MAX_MISSED_HEARTBEATS: Final = 3
MIN_SILENCE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Connector:
    """Query parameters and headers for one connection; a ticket opens only one stream."""

    params: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


class Follower:
    """Yields the events of a stream over all reconnects; none is lost or repeated unless a `reset` reports it.

    `get_connector` is called before each connection; if it raises OSError, the follower tries again later.
    `print_message` receives one line for each interruption. `cursor` is the cursor of the last event.
    """

    def __init__(
        self,
        client: httpx2.AsyncClient,
        get_connector: Callable[[], Awaitable[Connector]],
        *,
        cursor: str | None,
        print_message: Callable[[str], None],
    ) -> None:
        self.cursor = cursor
        self._client = client
        self._get_connector = get_connector
        self._print_message = print_message
        self._retry_seconds = DEFAULT_RETRY_SECONDS
        self._max_silence_seconds = TIMEOUT_SECONDS
        self._connected = False

    async def events(self) -> AsyncGenerator[httpx2.ServerSentEvent, None]:
        """Yield every event, including heartbeats, without end.

        The first connection must succeed; later ones are retried without limit. Raises click.ClickException when the
        first connection fails or the hub rejects the request.
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
                wait, reason = later.seconds, str(later)
            except (httpx2.TransportError, TimeoutError, OSError) as error:
                reason = str(error) or "no heartbeat received in time"
            else:
                reason = "the stream ended"
            if not self._connected:
                raise click.ClickException(f"{reason.rstrip('.')}.")
            if wait is None:
                # The hub has already randomized its retry delay, so the first attempt uses it as it is.
                wait = self._retry_seconds if failures == 0 else backoff_seconds(self._retry_seconds, failures)
            self._print_message(f"{reason.rstrip('.')}; reconnecting in {wait:.1f} s")
            await asyncio.sleep(wait)
            failures += 1

    async def _stream(self) -> AsyncGenerator[httpx2.ServerSentEvent, None]:
        connector = await self._get_connector()
        headers = {"accept": "text/event-stream"} | connector.headers
        if self.cursor is not None:
            headers["last-event-id"] = self.cursor
        timeout = httpx2.Timeout(TIMEOUT_SECONDS, read=None)
        async with self._client.sse(PATH, params=connector.params, headers=headers, timeout=timeout) as source:
            await _check_response(source.response)
            stream = aiter(source)
            while True:
                async with asyncio.timeout(self._max_silence_seconds):
                    event = await anext(stream, None)
                if event is None:
                    return
                self._record_event(event)
                yield event

    def _record_event(self, event: httpx2.ServerSentEvent) -> None:
        self._connected = True
        self.cursor = event.id or self.cursor
        if event.retry is not None:
            self._retry_seconds = event.retry / 1_000
        if event.event == "connection_confirmed":
            confirmation: Any = msgspec.json.decode(event.data)
            heartbeat_seconds = float(confirmation["heartbeatSeconds"])
            self._max_silence_seconds = max(MIN_SILENCE_SECONDS, MAX_MISSED_HEARTBEATS * heartbeat_seconds)


class _RetryLater(Exception):
    """The hub rejects the connection for now; `seconds` is its Retry-After, if any."""

    def __init__(self, reason: str, seconds: float | None) -> None:
        super().__init__(reason)
        self.seconds = seconds


async def _check_response(response: httpx2.Response) -> None:
    if response.status_code == 200:
        return
    await response.aread()
    if response.status_code == 429 or response.status_code >= 500:
        raise _RetryLater(error_message(response), retry_after_seconds(response))
    raise click.ClickException(error_message(response))
