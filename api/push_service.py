"""Hands a message to a browser's push service (RFC 8030): encrypted, signed, to a checked address, nowhere else."""

import asyncio
import email.utils
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpcore2
import httpx2

from api.endpoints import Endpoint, Endpoints, NotPublic
from api.resolver import NoSuchHost
from api.secret_keys import kept_key
from services.base64url import decode

FILE_NAME: Final = "vapid.key"

# Seconds for each step of one request.
CONNECT_SECONDS: Final = 5.0
STEP_SECONDS: Final = 10.0
# All of it, whatever the other side does.
TOTAL_SECONDS: Final = 20.0
CONNECTIONS: Final = 64
# RFC 8292, 2: a signature is good for 24 hours at most.
SIGNED_SECONDS: Final = 12 * 3_600
# Of an answer nothing but its head matters; so much is read that the connection can be used again.
ANSWER_BYTES: Final = 16 * 1024


class Unreachable(Exception):
    """The push service could not be asked; its text says why, in a word or two."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is handed over: `ttl` in seconds, `urgency` and `topic` as RFC 8030 has them."""

    plain: bytes
    ttl: int
    urgency: str
    topic: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a push service said: its status, and for how many seconds not to ask again, where it said that."""

    status: int
    retry_after: float | None


class PushService:
    """One for the hub. The key is made when it is first asked for; `contact` is whom push services may write to."""

    def __init__(self, endpoints: Endpoints, data_dir: Path, contact: str) -> None:
        self._endpoints, self._data_dir, self._contact = endpoints, data_dir, contact
        # Encryption and its library, which takes its time to load, stay off the loop.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="push")
        self._signer: Any = None
        self._pool: httpcore2.AsyncConnectionPool | None = None

    async def public_key(self) -> str:
        """What a browser subscribes to (base64url, 65 bytes). Raises OSError where it cannot be kept."""
        signer = await self._off_loop(self._signed_by)
        return str(signer.public_key)

    async def check_keys(self, p256dh: bytes) -> bool:
        """Whether this is a key that can be encrypted for."""
        return bool(await self._off_loop(partial(_is_point, p256dh)))

    async def send(self, url: str, *, p256dh: str, auth: str, message: Message, now: int) -> Answer:
        """Hand one message over; `now` in ms. Raises Unreachable, and Busy before anything was tried."""
        endpoint = self._endpoints.parse(url)
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                work = partial(self._sealed, endpoint, p256dh, auth, message.plain, now // 1_000)
                body, authorization = await self._off_loop(work)
                return await self._post(endpoint, body, _headers(endpoint, authorization, message), now)
        except NotPublic:
            raise Unreachable("not public") from None
        except NoSuchHost:
            raise Unreachable("no such host") from None
        except (TimeoutError, httpcore2.TimeoutException):
            raise Unreachable("timeout") from None
        except (OSError, ssl.SSLError, httpcore2.NetworkError, httpcore2.ProtocolError):
            raise Unreachable("network") from None

    async def stop(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            await self._pool.aclose()
            self._pool = None
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._endpoints.close()

    async def _post(self, endpoint: Endpoint, body: bytes, headers: list[tuple[str, str]], now: int) -> Answer:
        if self._pool is None:
            context = await self._off_loop(partial(httpx2.create_ssl_context, trust_env=False))
            self._pool = self._pool or httpcore2.AsyncConnectionPool(
                ssl_context=context,
                max_connections=CONNECTIONS,
                keepalive_expiry=30.0,
                network_backend=_Checked(self._endpoints),
            )
        url = httpcore2.URL(
            scheme=endpoint.scheme.encode(),
            host=endpoint.host.strip("[]").encode(),
            port=endpoint.port,
            target=endpoint.target.encode(),
        )
        steps = {"connect": CONNECT_SECONDS, "read": STEP_SECONDS, "write": STEP_SECONDS, "pool": STEP_SECONDS}
        async with self._pool.stream(
            "POST", url, headers=headers, content=body, extensions={"timeout": steps}
        ) as response:
            read = 0
            async for chunk in response.aiter_stream():
                read += len(chunk)
                if read > ANSWER_BYTES:
                    break
            return Answer(response.status, _retry_after(response.headers, now))

    def _sealed(self, endpoint: Endpoint, p256dh: str, auth: str, plain: bytes, now: int) -> tuple[bytes, str]:
        from services import sealing

        body = sealing.seal(plain, p256dh=decode(p256dh), auth=decode(auth))
        signer = self._signed_by()
        subject, expires = self._contact, now + SIGNED_SECONDS
        return body, signer.authorization(audience=endpoint.origin, subject=subject, expires_at=expires)

    def _signed_by(self) -> Any:
        from services import sealing

        if self._signer is None:
            self._signer = sealing.Signer(kept_key(self._data_dir / FILE_NAME, sealing.new_key))
        return self._signer

    async def _off_loop(self, work: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


class _Checked(httpcore2.AsyncNetworkBackend):
    """Connects to the very addresses that were checked: a name may lead elsewhere a moment later."""

    def __init__(self, endpoints: Endpoints) -> None:
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


def _is_point(p256dh: bytes) -> bool:
    from services import sealing

    try:
        sealing.check(p256dh)
    except ValueError:
        return False
    return True


def _headers(endpoint: Endpoint, authorization: str, message: Message) -> list[tuple[str, str]]:
    usual = endpoint.origin.rpartition("://")[2]
    headers = [
        ("Host", usual),
        ("Authorization", authorization),
        ("Content-Type", "application/octet-stream"),
        ("Content-Encoding", "aes128gcm"),
        ("TTL", str(message.ttl)),
        ("Urgency", message.urgency),
    ]
    return headers if message.topic is None else [*headers, ("Topic", message.topic)]


def _retry_after(headers: Iterable[tuple[bytes, bytes]], now: int) -> float | None:
    """Seconds, from either form of the header (RFC 9110, 10.2.3)."""
    given = next((value.decode("latin-1").strip() for name, value in headers if name.lower() == b"retry-after"), "")
    if given.isdecimal() and given.isascii() and len(given) < 10:
        return float(given)
    try:
        when = email.utils.parsedate_to_datetime(given)
        return max(0.0, when.timestamp() - now / 1_000)
    except (ValueError, TypeError, OverflowError, OSError):
        return None
