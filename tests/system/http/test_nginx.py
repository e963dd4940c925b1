"""The hub behind nginx with its default buffering: events, origin checks and client addresses."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio.to_thread
import httpx2
import pytest

from tests.support.hub import PASSWORD, Hub
from tests.support.server import free_port
from tests.support.timeouts import TIMEOUT_SECONDS
from tests.system.conftest import StartHub

# Loopback addresses: nginx connects to the hub from PROXY, and the browser connects to nginx from BROWSER.
PROXY, BROWSER = "127.0.0.1", "127.0.0.2"
FORGED = "198.51.100.7"

CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {address}:{port};
        location / {{
            proxy_pass http://127.0.0.1:{hub_port};
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}
}}
"""


class Nginx:
    """An nginx process. Apart from paths, its configuration only sets the header with the client address."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.port = free_port()
        self.url = f"http://{PROXY}:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, hub_port: int) -> None:
        """Start nginx and wait until it listens."""
        path = self._folder / "nginx.conf"
        path.write_text(
            CONFIGURATION.format(
                folder=self._folder,
                address=PROXY,
                port=self.port,
                hub_port=hub_port,
                user="user root;" if os.geteuid() == 0 else "",
            )
        )
        program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program, "install nginx (scripts/test-needs)"
        self._process = subprocess.Popen([program, "-c", str(path), "-e", str(self._folder / "error.log")])
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            try:
                socket.create_connection((PROXY, self.port)).close()
                return
            except ConnectionRefusedError:
                assert self._process.poll() is None, (self._folder / "error.log").read_text()
                assert time.monotonic() < deadline, "nginx did not start"
                time.sleep(0.02)

    def stop(self) -> None:
        """Stop nginx and wait for its end."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(TIMEOUT_SECONDS)


@pytest.fixture
async def nginx(tmp_path: Path) -> AsyncIterator[Nginx]:
    nginx = Nginx(tmp_path / "nginx")
    yield nginx
    await anyio.to_thread.run_sync(nginx.stop)


async def start_behind(nginx: Nginx, start_hub: StartHub, **settings: str) -> Hub:
    """Start a hub behind nginx. Its `url` is the URL of nginx."""
    hub = await start_hub(HUB_PUBLIC_URL=nginx.url, **settings)
    await anyio.to_thread.run_sync(nginx.start, hub.server.port)
    assert hub.url == nginx.url
    return hub


def browser(hub: Hub, headers: dict[str, str] | None = None) -> httpx2.AsyncClient:
    return hub.client(headers=headers or {}, transport=httpx2.AsyncHTTPTransport(local_address=BROWSER))


async def login_address(client: httpx2.AsyncClient, email: str) -> str:
    """Sign in and return the client address of the new session."""
    response = await client.post("/api/auth/login", json={"email": email, "password": PASSWORD})
    assert response.status_code == 200
    return str((await client.get("/api/auth/sessions")).json()["items"][0]["address"])


async def test_events_arrive_at_once_and_logout_ends_the_stream(nginx: Nginx, start_hub: StartHub) -> None:
    hub = await start_behind(nginx, start_hub)
    ann = await hub.signup("freelancer")
    key = await hub.api_key("notify")
    notification = {"userId": ann.id, "type": "note", "category": "system", "title": "Hello", "body": "there"}
    async with hub.client(key) as service, hub.stream(ann) as stream:
        # Each event must arrive before the next one is sent, so that later events cannot flush a buffer.
        await stream.next_event("connection_confirmed")
        for title in ("first", "second", "third"):
            response = await service.post("/api/realtime/notifications/send", json=notification | {"title": title})
            assert response.status_code == 201
            assert (await stream.next_event("notification")).data["title"] == title
        async with hub.client(ann) as client:
            assert (await client.post("/api/auth/logout")).status_code == 204
        assert (await stream.next_event()).data == {"reason": "logout"}
        await stream.wait_closed()
        assert stream.types()[-1] == "bye"


async def test_origin_is_checked_against_the_public_url(nginx: Nginx, start_hub: StartHub) -> None:
    hub = await start_behind(nginx, start_hub)
    ann = await hub.signup()
    async with browser(hub) as page:
        await page.post("/api/auth/login", json={"email": ann.email, "password": PASSWORD})
        same_origin = await page.patch("/api/auth/me", json={"name": "Ann"}, headers={"origin": nginx.url})
        assert same_origin.status_code == 200
        for origin in ("http://127.0.0.1:1", "null", "http://evil.example"):
            cross_origin = await page.patch("/api/auth/me", json={"name": "Eve"}, headers={"origin": origin})
            assert (cross_origin.status_code, cross_origin.json()["code"]) == (403, "CROSS_ORIGIN")


async def test_client_address_is_that_of_the_browser_when_the_proxy_is_trusted(
    nginx: Nginx, start_hub: StartHub
) -> None:
    hub = await start_behind(
        nginx, start_hub, HUB_TRUSTED_PROXIES=PROXY, HUB_LOGIN_ADDRESS_RATE_LIMIT="2/hour", HUB_LOGIN_RATE_LIMIT="0"
    )
    ann = await hub.signup()
    async with browser(hub) as client, browser(hub, {"x-forwarded-for": FORGED}) as forger:
        assert await login_address(client, ann.email) == BROWSER
        assert await login_address(forger, ann.email) == BROWSER, "a header from the browser is ignored"
    async with browser(hub, {"forwarded": f"for={FORGED}"}) as forger:
        assert await login_address(forger, ann.email) == PROXY, "two headers that disagree are ignored"
    async with browser(hub) as guesser, hub.client() as other:
        for n in range(3):
            headers = {"x-forwarded-for": f"198.51.100.{n}"}
            body = {"email": ann.email, "password": "guessed"}
            response = await guesser.post("/api/auth/login", json=body, headers=headers)
            assert response.status_code == (429 if n == 2 else 401)
        credentials = {"email": ann.email, "password": PASSWORD}
        response = await other.post("/api/auth/login", json=credentials)
        assert response.status_code == 200, "another address is not limited"


async def test_client_address_is_that_of_the_proxy_when_no_proxy_is_trusted(nginx: Nginx, start_hub: StartHub) -> None:
    hub = await start_behind(nginx, start_hub)
    ann = await hub.signup()
    async with browser(hub, {"x-forwarded-for": FORGED}) as client:
        assert await login_address(client, ann.email) == PROXY
