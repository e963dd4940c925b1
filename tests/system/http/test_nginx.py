"""Behind Debian's nginx as it comes, buffering on: events flow, origins are checked, addresses are believed or not."""

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
from tests.system.conftest import StartHub

# Loopback addresses: the hub's peer is nginx, nginx's peer is the browser.
PROXY, BROWSER = "127.0.0.1", "127.0.0.2"
FORGED = "198.51.100.7"
START_SECONDS = 10.0

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
    """An nginx of the test's own; nothing is set but what tells the hub who asks."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.port = free_port()
        self.url = f"http://{PROXY}:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, hub_port: int) -> None:
        """Start, and wait until it listens."""
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
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection((PROXY, self.port)).close()
                return
            except ConnectionRefusedError:
                assert self._process.poll() is None, (self._folder / "error.log").read_text()
                assert time.monotonic() < until, "nginx did not start"
                time.sleep(0.02)

    def stop(self) -> None:
        """Stop, and wait."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(START_SECONDS)


@pytest.fixture
async def nginx(tmp_path: Path) -> AsyncIterator[Nginx]:
    nginx = Nginx(tmp_path / "nginx")
    yield nginx
    await anyio.to_thread.run_sync(nginx.stop)


async def start_behind(nginx: Nginx, start_hub: StartHub, **settings: str) -> Hub:
    """A hub that people reach through nginx: its `url` is nginx's."""
    hub = await start_hub(HUB_PUBLIC_URL=nginx.url, **settings)
    await anyio.to_thread.run_sync(nginx.start, hub.server.port)
    assert hub.url == nginx.url
    return hub


def browser(hub: Hub, headers: dict[str, str] | None = None) -> httpx2.AsyncClient:
    return hub.client(headers=headers or {}, transport=httpx2.AsyncHTTPTransport(local_address=BROWSER))


async def signed_in_from(client: httpx2.AsyncClient, email: str) -> str:
    """The address that the session just started is listed with."""
    answer = await client.post("/api/auth/login", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200
    return str((await client.get("/api/auth/sessions")).json()["items"][0]["address"])


async def test_events_arrive_one_by_one_and_a_log_out_ends_the_stream(nginx: Nginx, start_hub: StartHub) -> None:
    hub = await start_behind(nginx, start_hub)
    ann = await hub.signup("freelancer")
    key = await hub.api_key("notify")
    note = {"userId": ann.id, "type": "note", "category": "system", "title": "Hello", "body": "there"}
    async with hub.client(key) as service, hub.stream(ann) as stream:
        # Each is waited for before the next is sent, so that none can be pushed out of a buffer by a later one.
        await stream.next_event("connection_confirmed")
        for title in ("first", "second", "third"):
            answer = await service.post("/api/realtime/notifications/send", json=note | {"title": title})
            assert answer.status_code == 201
            assert (await stream.next_event("notification")).data["title"] == title
        async with hub.client(ann) as client:
            assert (await client.post("/api/auth/logout")).status_code == 204
        assert (await stream.next_event()).data == {"reason": "logout"}
        await stream.wait_closed()
        assert stream.types()[-1] == "bye"


async def test_the_origin_that_people_see_is_the_one_that_is_checked(nginx: Nginx, start_hub: StartHub) -> None:
    hub = await start_behind(nginx, start_hub)
    ann = await hub.signup()
    async with browser(hub) as page:
        await page.post("/api/auth/login", json={"email": ann.email, "password": PASSWORD})
        own = await page.patch("/api/auth/me", json={"name": "Ann"}, headers={"origin": nginx.url})
        assert own.status_code == 200
        for origin in ("http://127.0.0.1:1", "null", "http://evil.example"):
            other = await page.patch("/api/auth/me", json={"name": "Eve"}, headers={"origin": origin})
            assert (other.status_code, other.json()["code"]) == (403, "CROSS_ORIGIN")


async def test_the_address_is_the_browsers_when_the_proxy_is_trusted(nginx: Nginx, start_hub: StartHub) -> None:
    hub = await start_behind(
        nginx, start_hub, HUB_TRUSTED_PROXIES=PROXY, HUB_LOGIN_ADDRESS_RATE_LIMIT="2/hour", HUB_LOGIN_RATE_LIMIT="0"
    )
    ann = await hub.signup()
    async with browser(hub) as client, browser(hub, {"x-forwarded-for": FORGED}) as forger:
        assert await signed_in_from(client, ann.email) == BROWSER
        assert await signed_in_from(forger, ann.email) == BROWSER, "what the browser says of itself is not believed"
    async with browser(hub, {"forwarded": f"for={FORGED}"}) as forger:
        assert await signed_in_from(forger, ann.email) == PROXY, "two headers that disagree are not believed"
    async with browser(hub) as guesser, hub.client() as other:
        for n in range(3):
            headers = {"x-forwarded-for": f"198.51.100.{n}"}
            body = {"email": ann.email, "password": "guessed"}
            answer = await guesser.post("/api/auth/login", json=body, headers=headers)
            assert answer.status_code == (429 if n == 2 else 401)
        right = {"email": ann.email, "password": PASSWORD}
        assert (await other.post("/api/auth/login", json=right)).status_code == 200, "another address is not limited"


async def test_the_address_is_the_proxys_when_nobody_is_trusted(nginx: Nginx, start_hub: StartHub) -> None:
    hub = await start_behind(nginx, start_hub)
    ann = await hub.signup()
    async with browser(hub, {"x-forwarded-for": FORGED}) as client:
        assert await signed_in_from(client, ann.email) == PROXY
