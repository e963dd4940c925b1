"""What a test does with a running hub: people sign up, programs get keys, clients call, streams listen."""

import secrets
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
import httpx2

from tests.support.server import Server, json_lines
from tests.support.stream_client import TIMEOUT_SECONDS, StreamClient

PASSWORD: Final = "a long enough passphrase"
# Whoever it is, is right; made once, for it takes longer than all else about a client.
_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_TLS.check_hostname = False
_TLS.verify_mode = ssl.CERT_NONE


@dataclass(frozen=True, slots=True)
class Person:
    """A user who has signed in, and the token for it."""

    id: str
    email: str
    name: str
    role: str
    token: str
    password: str = PASSWORD


class Hub:
    """A running hub as one test sees it; clients and streams made here are closed when the test ends.

    `who` is a Person, a token or API key, or nobody. Set `expects_errors` where stack traces in the log are the point.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.expects_errors = False
        self._clients: list[httpx2.AsyncClient] = []
        self._streams: list[StreamClient] = []
        self._lines_before = server.lines_said

    @property
    def url(self) -> str:
        """Where it serves, without a slash at the end."""
        return self.server.url

    @property
    def data_dir(self) -> Path:
        """Its data folder."""
        return self.server.data_dir

    @property
    def log(self) -> str:
        """What it has said since this test began."""
        return self.server.said_after(self._lines_before)

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        """The JSON lines of that, all or those of one event."""
        return json_lines(self.log, event)

    async def restart(self) -> None:
        """SIGTERM if it runs, then start again on the same port and data."""
        await anyio.to_thread.run_sync(self.server.restart)

    async def kill(self) -> None:
        """SIGKILL."""
        await anyio.to_thread.run_sync(self.server.kill)

    async def stop(self, seconds: float = 20.0) -> int:
        """SIGTERM; the exit code."""
        return await anyio.to_thread.run_sync(self.server.stop, seconds)

    async def cli(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run `hub …` on its data folder: `returncode`, `stdout`, `stderr`."""
        return await anyio.to_thread.run_sync(partial(self.server.cli, *arguments, stdin=stdin))

    async def cli_in_fresh_process(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run `python -m api …` in a new interpreter; otherwise as `cli`."""
        return await anyio.to_thread.run_sync(partial(self.server.cli_in_fresh_process, *arguments, stdin=stdin))

    def client(self, who: Person | str | None = None, **options: Any) -> httpx2.AsyncClient:
        """A client with its own cookies and connections; `options` go to httpx2.AsyncClient."""
        headers = _bearer(who) | dict(options.pop("headers", {}))
        client = httpx2.AsyncClient(
            base_url=self.url,
            headers=headers,
            trust_env=False,
            verify=_TLS,
            timeout=options.pop("timeout", 30.0),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
            **options,
        )
        self._clients.append(client)
        return client

    async def signup(
        self, role: str = "client", *, name: str | None = None, skills: Sequence[str] = (), email: str | None = None
    ) -> Person:
        """A new user, signed in."""
        mark = secrets.token_hex(4)
        body = {
            "email": email or f"{role}-{mark}@example.org",
            "password": PASSWORD,
            "name": name or f"{role.capitalize()} {mark}",
            "role": role,
            "skills": list(skills),
        }
        async with self.client() as client:
            return _person(await client.post("/api/auth/signup", json=body), 201, PASSWORD)

    async def login(self, email: str, password: str = PASSWORD) -> Person:
        """A user who exists, signed in once more."""
        async with self.client() as client:
            answer = await client.post("/api/auth/login", json={"email": email, "password": password})
            return _person(answer, 200, password)

    async def api_key(self, *scopes: str, name: str | None = None) -> str:
        """A new API key with these scopes, made as `hub keys create` has the running hub make it."""
        return await anyio.to_thread.run_sync(self.server.api_key, name or f"test-{secrets.token_hex(4)}", scopes)

    def stream(
        self,
        who: Person | str | None = None,
        *,
        cursor: str | None = None,
        channels: str | Sequence[str] | None = None,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> StreamClient:
        """A stream to open with `async with` (or `await stream.open()`); `cursor` goes as `Last-Event-ID`."""
        asked = dict(params or {})
        if channels is not None:
            asked["channels"] = channels if isinstance(channels, str) else ",".join(channels)
        sent = {"accept": "text/event-stream"} | _bearer(who) | dict(headers or {})
        if cursor is not None:
            sent["last-event-id"] = cursor
        client = self.client(timeout=httpx2.Timeout(TIMEOUT_SECONDS, read=None))
        stream = StreamClient(client, asked, sent)
        self._streams.append(stream)
        return stream

    async def close(self) -> None:
        """Close what was opened here; the hub itself goes on."""
        for stream in self._streams:
            await stream.close()
        for client in self._clients:
            await client.aclose()

    def check_log(self) -> None:
        """Fails if the hub logged a stack trace that the test did not expect."""
        assert self.expects_errors or "Traceback" not in self.log, f"the hub logged a stack trace:\n{self.log}"


def _bearer(who: Person | str | None) -> dict[str, str]:
    token = who.token if isinstance(who, Person) else who
    return {} if token is None else {"authorization": f"Bearer {token}"}


def _person(answer: httpx2.Response, status: int, password: str) -> Person:
    assert answer.status_code == status, answer.text
    user, token = answer.json()["user"], answer.json()["token"]
    return Person(user["id"], user["email"], user["name"], user["role"], token, password)
