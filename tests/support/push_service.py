"""LocalPushService: a push service for tests, and browsers that decrypt its messages (RFC 8291)."""

import asyncio
import base64
import json
import secrets
from dataclasses import dataclass, field
from typing import Any, Self

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.timeouts import TIMEOUT_SECONDS


def base64url_encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def base64url_decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Browser:
    """The browser's half of a push subscription: its keys, and decryption."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._public = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self._auth = secrets.token_bytes(16)

    @property
    def subscription(self) -> dict[str, Any]:
        """The subscription in the format of `PushSubscription.toJSON()`."""
        keys = {"p256dh": base64url_encode(self._public), "auth": base64url_encode(self._auth)}
        return {"endpoint": self.endpoint, "expirationTime": None, "keys": keys}

    def read(self, body: bytes) -> dict[str, Any]:
        """Decrypt an aes128gcm body and return its JSON message."""
        salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender_key, ciphertext = body[21 : 21 + length], body[21 + length :]
        assert len(body) <= 4_096 == size
        public_key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender_key)
        shared = self._key.exchange(ec.ECDH(), public_key)
        secret = _expand(_mac(self._auth, shared), b"WebPush: info\x00" + self._public + sender_key, 32)
        extracted = _mac(salt, secret)
        key = _expand(extracted, b"Content-Encoding: aes128gcm\x00", 16)
        nonce = _expand(extracted, b"Content-Encoding: nonce\x00", 12)
        plain = AESGCM(key).decrypt(nonce, ciphertext, None)
        assert plain.rstrip(b"\x00")[-1:] == b"\x02"
        message: dict[str, Any] = json.loads(plain.rstrip(b"\x00")[:-1])
        return message


def _mac(key: bytes, data: bytes) -> bytes:
    mac = hmac.HMAC(key, hashes.SHA256())
    mac.update(data)
    return mac.finalize()


def _expand(key: bytes, info: bytes, length: int) -> bytes:
    return _mac(key, info + b"\x01")[:length]


@dataclass
class PushRequest:
    """One request that the service received."""

    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    """One response; `hang` sends none, and a `length` above the body announces bytes that are never sent."""

    status: int = 201
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang: bool = False
    length: int | None = None


class LocalPushService:
    """Use it as `async with LocalPushService() as push_service`.

    Each request is answered with the next of `replies`. When there are none left, with the status of its target in
    `status_by_target`, or 201.
    """

    def __init__(self) -> None:
        self.requests: list[PushRequest] = []
        self.replies: list[Reply] = []
        self.status_by_target: dict[str, int] = {}
        self.connections = 0
        self._request_received = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def browser(self, name: str = "one") -> Browser:
        """Return a browser with an endpoint of this service."""
        return Browser(f"{self.origin}/push/{name}")

    async def wait_for(self, count: int) -> list[PushRequest]:
        """Wait for at least `count` requests and return all of them."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while len(self.requests) < count:
                self._request_received.clear()
                await self._request_received.wait()
        return self.requests

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while await self._handle_request(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client has disconnected, or the test has ended
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _handle_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        target = head[0].split(" ")[1]
        self.requests.append(PushRequest(target, headers, body))
        reply = self.replies.pop(0) if self.replies else Reply(self.status_by_target.get(target, 201))
        self._request_received.set()
        if reply.hang:
            await asyncio.Event().wait()
        lines = [
            f"HTTP/1.1 {reply.status} x",
            f"content-length: {len(reply.body) if reply.length is None else reply.length}",
        ]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + reply.body)
        await writer.drain()
        return True
