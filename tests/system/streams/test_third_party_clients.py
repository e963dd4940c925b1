"""Other people's SSE clients receive, break off, and come back to exactly what they missed."""

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

# They wait as the hub tells them to, or as they please: some seconds. Only a failing test waits so long.
PATIENCE: Final = 40.0
CLIENTS: Final = {
    "httpx-sse": (sys.executable, "tests/clients/with_httpx_sse.py"),
    "launchdarkly-eventsource": (sys.executable, "tests/clients/with_ld_eventsource.py"),
    "eventsource": ("node", "tests/js/listen.mjs"),
}


class Client:
    """A foreign client in a process of its own, that writes a line of JSON for each event."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.titles: list[str] = []

    async def next(self, type: str) -> dict[str, Any]:
        """The next event of that type; the data is JSON. Titles of notifications are kept, whatever was asked for."""
        assert self._process.stdout is not None
        while True:
            async with asyncio.timeout(PATIENCE):
                line = await self._process.stdout.readline()
            assert line, "it has ended"
            event: dict[str, Any] = json.loads(line)
            event["data"] = json.loads(event["data"])
            if event["type"] == "notification":
                self.titles.append(event["data"]["title"])
            if event["type"] == type:
                return event

    async def until(self, title: str) -> None:
        """Read on to the notification with this title."""
        while (await self.next("notification"))["data"]["title"] != title:
            pass


@asynccontextmanager
async def running(program: tuple[str, ...], url: str, token: str) -> AsyncIterator[Client]:
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


async def break_off(hub: Hub, cable: TcpProxy, clients: list[Client], how: str) -> None:
    """When this returns, no client listens and none can come back."""
    if how == "restarted":
        assert await hub.stop() == 0
        await asyncio.gather(*(client.next("bye") for client in clients))
    cable.block()
    if how == "killed":
        await hub.kill()
    if how != "cut":
        await hub.restart()


@pytest.mark.parametrize("how", ["cut", "killed", "restarted"])
async def test_foreign_clients_come_back_to_exactly_what_they_missed(hub: Hub, how: str) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    service = hub.client(key)

    async def send(*titles: str) -> None:
        for title in titles:
            note = {"userId": ann.id, "type": "note", "category": "system", "title": title, "body": "a\r\nb"}
            assert (await service.post("/api/realtime/notifications/send", json=note)).status_code == 201

    async with TcpProxy(hub.server.port) as cable, AsyncExitStack() as stack:
        clients = {
            name: await stack.enter_async_context(running(program, cable.url, ann.token))
            for name, program in CLIENTS.items()
        }
        everyone = list(clients.values())
        for confirmed in await asyncio.gather(*(client.next("connection_confirmed") for client in everyone)):
            assert confirmed["data"]["userId"] == ann.id
            assert confirmed["id"] == confirmed["data"]["cursor"]
        await send("before")
        for heard in await asyncio.gather(*(client.next("notification") for client in everyone)):
            assert (heard["data"]["body"], heard["data"]["unread"]) == ("a\r\nb", 1)
        await break_off(hub, cable, everyone, how)
        await send("missed 1", "missed 2", "missed 3")
        cable.unblock()
        for confirmed in await asyncio.gather(*(client.next("connection_confirmed") for client in everyone)):
            assert confirmed["data"]["recovered"] is True
        await send("live")
        await asyncio.gather(*(client.until("live") for client in everyone))
    expected = ["before", "missed 1", "missed 2", "missed 3", "live"]
    assert {name: client.titles for name, client in clients.items()} == dict.fromkeys(CLIENTS, expected)


async def test_one_who_heard_nothing_yet_misses_nothing_either(hub: Hub) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    note = {"userId": ann.id, "type": "note", "category": "system", "title": "first", "body": "b"}
    async with TcpProxy(hub.server.port) as cable, AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(running(program, cable.url, ann.token)) for program in CLIENTS.values()
        ]
        await asyncio.gather(*(client.next("connection_confirmed") for client in clients))
        cable.block()
        assert (await hub.client(key).post("/api/realtime/notifications/send", json=note)).status_code == 201
        cable.unblock()
        await asyncio.gather(*(client.until("first") for client in clients))
