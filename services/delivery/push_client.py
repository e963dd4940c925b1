"""Hands a message to a browser's push service (RFC 8030): encrypted, signed, to a checked address, nowhere else."""

import asyncio
import email.utils
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from services.delivery.base64url import decode
from services.delivery.dns_resolver import NoSuchHost
from services.delivery.push_endpoints import Endpoint, NotPublic, PushEndpoints
from services.store.secret_file import load_or_create

if TYPE_CHECKING:
    from services.delivery.push_connections import PushConnections

FILE_NAME: Final = "vapid.key"

# All of it, whatever the other side does.
TOTAL_SECONDS: Final = 20.0
# RFC 8292, 2: a signature is good for 24 hours at most.
SIGNED_SECONDS: Final = 12 * 3_600


class Unreachable(Exception):
    """The push service could not be asked; its text says why, in a word or two."""


@dataclass(frozen=True, slots=True)
class PushMessage:
    """What is handed over: `ttl` in seconds, `urgency` and `topic` as RFC 8030 has them."""

    plain: bytes
    ttl: int
    urgency: str
    topic: str | None


@dataclass(frozen=True, slots=True)
class PushResponse:
    """What a push service said: its status, and for how many seconds not to ask again, where it said that."""

    status: int
    retry_after: float | None


class PushClient:
    """One for the hub. The key is made when it is first asked for; `contact` is whom push services may write to."""

    def __init__(self, endpoints: PushEndpoints, data_dir: Path, contact: str) -> None:
        self._endpoints, self._data_dir, self._contact = endpoints, data_dir, contact
        # Encryption and its library, which takes its time to load, stay off the loop.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="push")
        self._signer: Any = None
        self._connections: PushConnections | None = None

    async def public_key(self) -> str:
        """What a browser subscribes to (base64url, 65 bytes). Raises OSError where it cannot be kept."""
        signer = await self._off_loop(self._signed_by)
        return str(signer.public_key)

    async def check_keys(self, p256dh: bytes) -> bool:
        """Whether this is a key that can be encrypted for."""
        return bool(await self._off_loop(partial(_is_point, p256dh)))

    async def send(self, url: str, *, p256dh: str, auth: str, message: PushMessage, now: int) -> PushResponse:
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
        except TimeoutError:
            raise Unreachable("timeout") from None
        except OSError:
            raise Unreachable("network") from None

    async def stop(self) -> None:
        """Close all connections."""
        if self._connections is not None:
            await self._connections.close()
            self._connections = None
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._endpoints.close()

    async def _post(self, endpoint: Endpoint, body: bytes, headers: list[tuple[str, str]], now: int) -> PushResponse:
        if self._connections is None:
            made = await self._off_loop(partial(_connect, self._endpoints))
            self._connections = self._connections or made
        status, answered = await self._connections.post(endpoint, headers, body)
        return PushResponse(status, _retry_after(answered, now))

    def _sealed(self, endpoint: Endpoint, p256dh: str, auth: str, plain: bytes, now: int) -> tuple[bytes, str]:
        from services.delivery import push_encryption

        body = push_encryption.encrypt(plain, p256dh=decode(p256dh), auth=decode(auth))
        signer = self._signed_by()
        subject, expires = self._contact, now + SIGNED_SECONDS
        return body, signer.authorization(audience=endpoint.origin, subject=subject, expires_at=expires)

    def _signed_by(self) -> Any:
        from services.delivery import push_encryption

        if self._signer is None:
            self._signer = push_encryption.VapidSigner(
                load_or_create(self._data_dir / FILE_NAME, push_encryption.new_key)
            )
        return self._signer

    async def _off_loop(self, work: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _connect(endpoints: PushEndpoints) -> "PushConnections":
    from services.delivery.push_connections import PushConnections

    return PushConnections(endpoints)


def _is_point(p256dh: bytes) -> bool:
    from services.delivery import push_encryption

    try:
        push_encryption.check_public_key(p256dh)
    except ValueError:
        return False
    return True


def _headers(endpoint: Endpoint, authorization: str, message: PushMessage) -> list[tuple[str, str]]:
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
