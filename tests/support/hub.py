"""Hub: a running hub as one test sees it, with its users, API keys, HTTP clients and streams."""

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

from tests.support.hub_logs import record_use
from tests.support.server import Server, json_lines
from tests.support.stream_client import StreamClient
from tests.support.timeouts import TIMEOUT_SECONDS

PASSWORD: Final = "a long enough passphrase"
# Accepts every certificate. Creating a context takes longer than creating a client, so all clients share one.
_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_TLS.check_hostname = False
_TLS.verify_mode = ssl.CERT_NONE


@dataclass(frozen=True, slots=True)
class Person:
    """A signed-in user and the session token."""

    id: str
    email: str
    name: str
    role: str
    token: str
    password: str = PASSWORD


class HubClients:
    """A hub as its HTTP clients see it. Clients created here are closed when the test ends.

    `caller` is a Person, a session token, an API key, or None for an anonymous caller. Without `transport`, clients
    connect to the host of `url`.
    """

    def __init__(self, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._transport = transport
        self._clients: list[httpx2.AsyncClient] = []

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash."""
        raise NotImplementedError

    def client(self, caller: Person | str | None = None, **options: Any) -> httpx2.AsyncClient:
        """Return a client with its own cookies and connections. `options` are passed to httpx2.AsyncClient."""
        headers = _authorization(caller) | dict(options.pop("headers", {}))
        client = httpx2.AsyncClient(
            base_url=self.url,
            headers=headers,
            trust_env=False,
            verify=_TLS,
            timeout=options.pop("timeout", TIMEOUT_SECONDS),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
            transport=options.pop("transport", self._transport),
            **options,
        )
        self._clients.append(client)
        return client

    async def signup(
        self, role: str = "client", *, name: str | None = None, skills: Sequence[str] = (), email: str | None = None
    ) -> Person:
        """Create a user and sign in."""
        suffix = secrets.token_hex(4)
        body = {
            "email": email or f"{role}-{suffix}@example.org",
            "password": PASSWORD,
            "name": name or f"{role.capitalize()} {suffix}",
            "role": role,
            "skills": list(skills),
        }
        async with self.client() as client:
            return _to_person(await client.post("/api/auth/signup", json=body), 201, PASSWORD)

    async def login(self, email: str, password: str = PASSWORD) -> Person:
        """Sign in as an existing user."""
        async with self.client() as client:
            response = await client.post("/api/auth/login", json={"email": email, "password": password})
            return _to_person(response, 200, password)

    async def close(self) -> None:
        """Close the clients of this test. The hub continues to run."""
        for client in self._clients:
            await client.aclose()


class Hub(HubClients):
    """A running hub as one test sees it. Clients and streams created here are closed when the test ends.

    Set `expects_errors` in a test that expects stack traces in the log.
    """

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.expects_errors = False
        self._streams: list[StreamClient] = []
        self._lines_before = server.log_line_count
        # Other tests use the server, too, and only one of them started it.
        record_use(server)

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash."""
        return self.server.url

    @property
    def data_dir(self) -> Path:
        """The data directory of the hub."""
        return self.server.data_dir

    @property
    def log(self) -> str:
        """The log output since this test began."""
        return self.server.log_after(self._lines_before)

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        """Return the JSON lines of `log`: all of them, or those of one event."""
        return json_lines(self.log, event)

    async def restart(self) -> None:
        """Stop the hub with SIGTERM if it runs, then start it on the same port and data directory."""
        await anyio.to_thread.run_sync(self.server.restart)

    async def kill(self) -> None:
        """Send SIGKILL and wait for the end of the process."""
        await anyio.to_thread.run_sync(self.server.kill)

    async def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        return await anyio.to_thread.run_sync(self.server.stop)

    async def cli(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run `hub …` with the settings of this hub."""
        return await anyio.to_thread.run_sync(partial(self.server.cli, *arguments, stdin=stdin))

    async def cli_in_fresh_process(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run `python -m api …` in a new interpreter, with the settings of this hub."""
        return await anyio.to_thread.run_sync(partial(self.server.cli_in_fresh_process, *arguments, stdin=stdin))

    async def api_key(self, *scopes: str, name: str | None = None) -> str:
        """Create an API key with these scopes through the control socket, as `hub keys create` does."""
        return await anyio.to_thread.run_sync(self.server.api_key, name or f"test-{secrets.token_hex(4)}", scopes)

    def stream(
        self,
        caller: Person | str | None = None,
        *,
        cursor: str | None = None,
        channels: str | Sequence[str] | None = None,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> StreamClient:
        """Return a stream to open with `async with` or `open()`. `cursor` is sent as `Last-Event-ID`."""
        query = dict(params or {})
        if channels is not None:
            query["channels"] = channels if isinstance(channels, str) else ",".join(channels)
        all_headers = {"accept": "text/event-stream"} | _authorization(caller) | dict(headers or {})
        if cursor is not None:
            all_headers["last-event-id"] = cursor
        client = self.client(timeout=httpx2.Timeout(TIMEOUT_SECONDS, read=None))
        stream = StreamClient(client, query, all_headers)
        self._streams.append(stream)
        return stream

    async def close(self) -> None:
        """Close the streams and clients of this test. The hub continues to run."""
        for stream in self._streams:
            await stream.close()
        await super().close()

    def check_log(self) -> None:
        """Fail if the hub logged a stack trace that the test did not expect."""
        assert self.expects_errors or "Traceback" not in self.log, f"the hub logged a stack trace:\n{self.log}"


def _authorization(caller: Person | str | None) -> dict[str, str]:
    token = caller.token if isinstance(caller, Person) else caller
    return {} if token is None else {"authorization": f"Bearer {token}"}


def _to_person(response: httpx2.Response, status: int, password: str) -> Person:
    assert response.status_code == status, response.text
    user, token = response.json()["user"], response.json()["token"]
    return Person(user["id"], user["email"], user["name"], user["role"], token, password)
