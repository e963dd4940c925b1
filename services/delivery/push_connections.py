"""HTTP connections to push services, to verified public addresses only."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

# Import this module only to send: the two libraries need 2 MB.
import httpcore2
import httpx2

from services.delivery.push_endpoints import Endpoint, PushEndpoints

# For each step of one request.
CONNECT_TIMEOUT_SECONDS: Final = 5.0
IO_TIMEOUT_SECONDS: Final = 10.0
MAX_CONNECTIONS: Final = 64
# Only the head of a response matters. This much of its body is read so that the connection can be reused.
MAX_RESPONSE_BYTES: Final = 16 * 1024


class PushConnections:
    """A pool of connections. Creating it reads the trusted certificates, which blocks."""

    def __init__(self, endpoints: PushEndpoints) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=httpx2.create_ssl_context(trust_env=False),
            max_connections=MAX_CONNECTIONS,
            keepalive_expiry=30.0,
            network_backend=_VerifiedBackend(endpoints),
        )

    async def post(
        self, endpoint: Endpoint, headers: Sequence[tuple[str, str]], body: bytes
    ) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Send a POST request and return status and headers of the response.

        Raises NotPublic, NoSuchHost, ResolverBusy, TimeoutError and OSError.
        """
        url = httpcore2.URL(
            scheme=endpoint.scheme.encode(),
            host=endpoint.host.strip("[]").encode(),
            port=endpoint.port,
            target=endpoint.target.encode(),
        )
        timeouts = {
            "connect": CONNECT_TIMEOUT_SECONDS,
            "read": IO_TIMEOUT_SECONDS,
            "write": IO_TIMEOUT_SECONDS,
            "pool": IO_TIMEOUT_SECONDS,
        }
        async with (
            _translate_errors(),
            self._pool.stream(
                "POST", url, headers=list(headers), content=body, extensions={"timeout": timeouts}
            ) as response,
        ):
            bytes_read = 0
            async for chunk in response.aiter_stream():
                bytes_read += len(chunk)
                if bytes_read > MAX_RESPONSE_BYTES:
                    break
            return response.status, response.headers

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


@asynccontextmanager
async def _translate_errors() -> AsyncIterator[None]:
    """Raise built-in errors instead of the library's, so that callers need not import it."""
    try:
        yield
    except httpcore2.TimeoutException as error:
        raise TimeoutError from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        raise ConnectionError from error


class _VerifiedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to the addresses that were verified: a second lookup might return others (DNS rebinding)."""

    def __init__(self, endpoints: PushEndpoints) -> None:
        self._endpoints = endpoints
        self._backend = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address of a host that accepts. Raises NotPublic, NoSuchHost and ResolverBusy."""
        last_error: Exception | None = None
        for address in await self._endpoints.resolve(host, port):
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last_error = error
        raise last_error or httpcore2.ConnectError("no address")

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        await self._backend.sleep(seconds)
