"""Connections to push services, to checked addresses only; imported when the first message goes out: 2 MB."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import httpcore2
import httpx2

from services.delivery.push_endpoints import Endpoint, PushEndpoints

# Seconds for each step of one request.
CONNECT_SECONDS: Final = 5.0
STEP_SECONDS: Final = 10.0
CONNECTIONS: Final = 64
# Of an answer nothing but its head matters; so much is read that the connection can be used again.
ANSWER_BYTES: Final = 16 * 1024


class PushConnections:
    """A pool of connections. Making one reads the certificates of those whom to trust, which blocks."""

    def __init__(self, endpoints: PushEndpoints) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=httpx2.create_ssl_context(trust_env=False),
            max_connections=CONNECTIONS,
            keepalive_expiry=30.0,
            network_backend=_VerifiedBackend(endpoints),
        )

    async def post(
        self, endpoint: Endpoint, headers: Sequence[tuple[str, str]], body: bytes
    ) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Status and headers of the answer. Raises NotPublic, NoSuchHost, Busy, TimeoutError and OSError."""
        url = httpcore2.URL(
            scheme=endpoint.scheme.encode(),
            host=endpoint.host.strip("[]").encode(),
            port=endpoint.port,
            target=endpoint.target.encode(),
        )
        steps = {"connect": CONNECT_SECONDS, "read": STEP_SECONDS, "write": STEP_SECONDS, "pool": STEP_SECONDS}
        async with (
            _plain_errors(),
            self._pool.stream(
                "POST", url, headers=list(headers), content=body, extensions={"timeout": steps}
            ) as response,
        ):
            read = 0
            async for chunk in response.aiter_stream():
                read += len(chunk)
                if read > ANSWER_BYTES:
                    break
            return response.status, response.headers

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


@asynccontextmanager
async def _plain_errors() -> AsyncIterator[None]:
    """The library's errors as Python's own, so that nobody has to import it to know them."""
    try:
        yield
    except httpcore2.TimeoutException as error:
        raise TimeoutError from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        raise ConnectionError from error


class _VerifiedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to the very addresses that were checked: a name may lead elsewhere a moment later."""

    def __init__(self, endpoints: PushEndpoints) -> None:
        self._endpoints = endpoints
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first of a name's addresses that answers. Raises NotPublic, NoSuchHost and Busy."""
        failed: Exception | None = None
        for address in await self._endpoints.addresses(host, port):
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
        raise failed or httpcore2.ConnectError("no address")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._inner.sleep(seconds)
