"""A push service for tests: it answers as it is told, and reads what it got as the browser would (RFC 8291)."""

import asyncio
import base64
import json
import secrets
from dataclasses import dataclass, field
from typing import Any, Final, Self

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PATIENCE: Final = 20.0


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Browser:
    """One browser's half of a subscription: its keys, and how it reads what it gets."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._public = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self._auth = secrets.token_bytes(16)

    @property
    def subscription(self) -> dict[str, Any]:
        """As `PushSubscription.toJSON()` gives it."""
        keys = {"p256dh": b64(self._public), "auth": b64(self._auth)}
        return {"endpoint": self.endpoint, "expirationTime": None, "keys": keys}

    def read(self, body: bytes) -> dict[str, Any]:
        """The message in an aes128gcm body."""
        salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, sealed = body[21 : 21 + length], body[21 + length :]
        assert len(body) <= 4_096 == size
        peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
        shared = self._key.exchange(ec.ECDH(), peer)
        secret = _expand(_mac(self._auth, shared), b"WebPush: info\x00" + self._public + sender, 32)
        extracted = _mac(salt, secret)
        key = _expand(extracted, b"Content-Encoding: aes128gcm\x00", 16)
        nonce = _expand(extracted, b"Content-Encoding: nonce\x00", 12)
        plain = AESGCM(key).decrypt(nonce, sealed, None)
        assert plain.rstrip(b"\x00")[-1:] == b"\x02"
        read: dict[str, Any] = json.loads(plain.rstrip(b"\x00")[:-1])
        return read


def _mac(key: bytes, data: bytes) -> bytes:
    made = hmac.HMAC(key, hashes.SHA256())
    made.update(data)
    return made.finalize()


def _expand(key: bytes, info: bytes, length: int) -> bytes:
    return _mac(key, info + b"\x01")[:length]


@dataclass
class Got:
    """One request."""

    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    """One answer; `hang` gives none at all, and a `length` that is more than the body promises what never comes."""

    status: int = 201
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang: bool = False
    length: int | None = None


class LocalPushService:
    """`async with LocalPushService() as service`: it takes `replies` from the front, then says 201 to all.

    For a target in `gone` it always gives the status that stands there.
    """

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.replies: list[Reply] = []
        self.gone: dict[str, int] = {}
        self.connections = 0
        self._news = asyncio.Event()
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
        """A browser that this service pushes to."""
        return Browser(f"{self.origin}/push/{name}")

    async def wait(self, count: int) -> list[Got]:
        """What it has got, once there are so many."""
        async with asyncio.timeout(PATIENCE):
            while len(self.got) < count:
                self._news.clear()
                await self._news.wait()
        return self.got

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the other side has left, or the test is over
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        target = head[0].split(" ")[1]
        self.got.append(Got(target, headers, body))
        reply = self.replies.pop(0) if self.replies else Reply(self.gone.get(target, 201))
        self._news.set()
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
