"""Third-party SSE clients reconnect and receive exactly the events they missed."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import pytest

from tests.support.hub import Hub
from tests.support.server import ROOT
from tests.support.tcp_proxy import TcpProxy
from tests.support.timeouts import TIMEOUT_SECONDS

CLIENTS: Final = {
    "httpx-sse": (sys.executable, "tests/clients/with_httpx_sse.py"),
    "launchdarkly-eventsource": (sys.executable, "tests/clients/with_ld_eventsource.py"),
    "eventsource": ("node", "tests/js/listen.mjs"),
}


class Client:
    """A third-party client in its own process. It prints one line of JSON for each event."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.titles: list[str] = []

    async def next_event(self, type: str) -> dict[str, Any]:
        """Return the next event of that type with decoded data. Titles of all notifications are stored in `titles`."""
        assert self._process.stdout is not None
        while True:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                line = await self._process.stdout.readline()
            assert line, "the client has ended"
            event: dict[str, Any] = json.loads(line)
            event["data"] = json.loads(event["data"])
            if event["type"] == "notification":
                self.titles.append(event["data"]["title"])
            if event["type"] == type:
                return event

    async def read_until(self, title: str) -> None:
        """Read until the notification with this title."""
        while (await self.next_event("notification"))["data"]["title"] != title:
            pass


@asynccontextmanager
async def run_client(program: tuple[str, ...], url: str, token: str) -> AsyncIterator[Client]:
    process = await asyncio.create_subprocess_exec(
        *program, f"{url}/api/realtime/connect", token,
        cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield Client(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def interrupt(hub: Hub, proxy: TcpProxy, clients: list[Client], interruption: str) -> None:
    """Disconnect all clients, as the proxy, a killed hub or a restarted hub does. None can reconnect afterwards."""
    if interruption == "restarted":
        assert await hub.stop() == 0
        await asyncio.gather(*(client.next_event("bye") for client in clients))
    proxy.block()
    if interruption == "killed":
        await hub.kill()
    if interruption != "disconnected":
        await hub.restart()


@pytest.mark.parametrize("interruption", ["disconnected", "killed", "restarted"])
async def test_third_party_clients_receive_exactly_the_missed_events(hub: Hub, interruption: str) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    service = hub.client(key)

    async def send(*titles: str) -> None:
        for title in titles:
            note = {"userId": ann.id, "type": "note", "category": "system", "title": title, "body": "a\r\nb"}
            assert (await service.post("/api/realtime/notifications/send", json=note)).status_code == 201

    async with TcpProxy(hub.server.port) as proxy, AsyncExitStack() as stack:
        clients = {
            name: await stack.enter_async_context(run_client(program, proxy.url, ann.token))
            for name, program in CLIENTS.items()
        }
        all_clients = list(clients.values())
        for confirmed in await asyncio.gather(*(client.next_event("connection_confirmed") for client in all_clients)):
            assert confirmed["data"]["userId"] == ann.id
            assert confirmed["id"] == confirmed["data"]["cursor"]
        await send("before")
        for notification in await asyncio.gather(*(client.next_event("notification") for client in all_clients)):
            assert (notification["data"]["body"], notification["data"]["unread"]) == ("a\r\nb", 1)
        await interrupt(hub, proxy, all_clients, interruption)
        await send("missed 1", "missed 2", "missed 3")
        proxy.unblock()
        for confirmed in await asyncio.gather(*(client.next_event("connection_confirmed") for client in all_clients)):
            assert confirmed["data"]["recovered"] is True
        await send("live")
        await asyncio.gather(*(client.read_until("live") for client in all_clients))
    expected = ["before", "missed 1", "missed 2", "missed 3", "live"]
    assert {name: client.titles for name, client in clients.items()} == dict.fromkeys(CLIENTS, expected)


async def test_third_party_clients_miss_nothing_before_their_first_event(hub: Hub) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    note = {"userId": ann.id, "type": "note", "category": "system", "title": "first", "body": "b"}
    async with TcpProxy(hub.server.port) as proxy, AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(run_client(program, proxy.url, ann.token)) for program in CLIENTS.values()
        ]
        await asyncio.gather(*(client.next_event("connection_confirmed") for client in clients))
        proxy.block()
        assert (await hub.client(key).post("/api/realtime/notifications/send", json=note)).status_code == 201
        proxy.unblock()
        await asyncio.gather(*(client.read_until("first") for client in clients))
