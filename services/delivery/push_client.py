"""PushClient: sends an encrypted message to a push service (RFC 8030)."""

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

KEY_FILE_NAME: Final = "vapid.key"

# For a whole message, with lookup, connection and response.
SEND_TIMEOUT_SECONDS: Final = 20.0
# A signature may be valid for at most 24 hours (RFC 8292, 2).
SIGNATURE_SECONDS: Final = 12 * 3_600


class Unreachable(Exception):
    """The push service could not be reached; the text is the reason in one or two words."""


@dataclass(frozen=True, slots=True)
class PushMessage:
    """The plaintext payload, `ttl` in seconds, and `urgency` and `topic` as in RFC 8030."""

    payload: bytes
    ttl: int
    urgency: str
    topic: str | None


@dataclass(frozen=True, slots=True)
class PushResponse:
    """The status of a push service, and the seconds to wait before the next request if it named any."""

    status: int
    retry_after: float | None


class PushClient:
    """Sends all push messages of the hub.

    The signing key is created at first use. `contact` is the address that push services get for questions.
    """

    def __init__(self, endpoints: PushEndpoints, data_dir: Path, contact: str) -> None:
        self._endpoints, self._data_dir, self._contact = endpoints, data_dir, contact
        # A thread encrypts and imports the encryption library, so that the event loop is not blocked.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="push")
        self._signer: Any = None
        self._connections: PushConnections | None = None

    async def public_key(self) -> str:
        """Return the key that browsers subscribe to (base64url of 65 bytes). Raises OSError if it cannot be saved."""
        signer = await self._run_in_thread(self._get_signer)
        return str(signer.public_key)

    async def is_valid_key(self, p256dh: bytes) -> bool:
        """Return whether the hub can encrypt for this public key."""
        return bool(await self._run_in_thread(partial(_is_point, p256dh)))

    async def send(self, url: str, *, p256dh: str, auth: str, message: PushMessage, now: int) -> PushResponse:
        """Send one message; `now` is milliseconds since 1970.

        Raises Unreachable if the push service does not respond, and ResolverBusy if no attempt was made.
        """
        endpoint = self._endpoints.parse(url)
        try:
            async with asyncio.timeout(SEND_TIMEOUT_SECONDS):
                encrypt = partial(self._encrypt, endpoint, p256dh, auth, message.payload, now // 1_000)
                body, authorization = await self._run_in_thread(encrypt)
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
            connections = await self._run_in_thread(partial(_connect, self._endpoints))
            self._connections = self._connections or connections
        status, response_headers = await self._connections.post(endpoint, headers, body)
        return PushResponse(status, _parse_retry_after(response_headers, now))

    def _encrypt(
        self, endpoint: Endpoint, p256dh: str, auth: str, payload: bytes, now_seconds: int
    ) -> tuple[bytes, str]:
        """Return the encrypted body and the `Authorization` header."""
        from services.delivery import push_encryption

        body = push_encryption.encrypt(payload, p256dh=decode(p256dh), auth=decode(auth))
        signer = self._get_signer()
        subject, expires_at = self._contact, now_seconds + SIGNATURE_SECONDS
        return body, signer.authorization(audience=endpoint.origin, subject=subject, expires_at=expires_at)

    def _get_signer(self) -> Any:
        from services.delivery import push_encryption

        if self._signer is None:
            self._signer = push_encryption.VapidSigner(
                load_or_create(self._data_dir / KEY_FILE_NAME, push_encryption.create_key)
            )
        return self._signer

    async def _run_in_thread(self, function: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)


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
    headers = [
        ("Host", endpoint.origin.rpartition("://")[2]),
        ("Authorization", authorization),
        ("Content-Type", "application/octet-stream"),
        ("Content-Encoding", "aes128gcm"),
        ("TTL", str(message.ttl)),
        ("Urgency", message.urgency),
    ]
    return headers if message.topic is None else [*headers, ("Topic", message.topic)]


def _parse_retry_after(headers: Iterable[tuple[bytes, bytes]], now: int) -> float | None:
    """Return the seconds of `Retry-After`, from either form of the header (RFC 9110, 10.2.3)."""
    text = next((value.decode("latin-1").strip() for name, value in headers if name.lower() == b"retry-after"), "")
    if text.isdecimal() and text.isascii() and len(text) < 10:
        return float(text)
    try:
        time = email.utils.parsedate_to_datetime(text)
        return max(0.0, time.timestamp() - now / 1_000)
    except (ValueError, TypeError, OverflowError, OSError):
        return None
