"""`hub send` and `hub tail`: sending notifications and following a stream from a shell."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

from tests.support.hub import Hub
from tests.support.server import ROOT
from tests.support.timeouts import TIMEOUT_SECONDS


class Tail:
    """A running `hub tail --json`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def next_event(self) -> dict[str, Any]:
        """Return the event of the next line."""
        assert self.process.stdout is not None
        async with asyncio.timeout(TIMEOUT_SECONDS):
            line = await self.process.stdout.readline()
        event: dict[str, Any] = json.loads(line)
        return event

    async def wait_for(self, type: str) -> dict[str, Any]:
        """Return the next event of that type; skip others."""
        while (event := await self.next_event())["event"] != type:
            pass
        return event


@asynccontextmanager
async def tail(hub: Hub, *arguments: str) -> AsyncIterator[Tail]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "api", "tail", "--json", *arguments,
        cwd=ROOT, env=hub.server.environment,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield Tail(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_send_delivers_a_notification_to_an_open_stream(hub: Hub) -> None:
    person = await hub.signup("client")
    async with hub.stream(person) as stream:
        sent = await hub.cli_in_fresh_process(
            "send", "--to", person.email, "--title", "Disk is full", "--priority", "urgent",
            "--link", "/jobs/1", "--data", '{"free": 0}', stdin="Delete something.\n",
        )  # fmt: skip
        assert (sent.returncode, sent.stderr) == (0, "")
        data = (await stream.next_event("notification")).data
    assert data["id"] == sent.stdout.strip()
    expected = {"title": "Disk is full", "body": "Delete something.", "priority": "urgent", "type": "note",
                "category": "system", "url": "/jobs/1", "data": {"free": 0}, "unread": 1}  # fmt: skip
    assert data | expected == data


async def test_send_with_an_api_key_uses_http_and_reports_a_bad_key(hub: Hub) -> None:
    person, key = await hub.signup("client"), await hub.api_key("notify")
    sent = await hub.cli("send", "--to", person.email, "--to", person.id, "--title", "Hi", "--key", key, "--json")
    (id,) = json.loads(sent.stdout)["ids"]
    assert any(line["path"] == "/api/realtime/notifications/send" for line in hub.lines("request"))
    async with hub.client(person) as client:
        items = (await client.get("/api/notifications")).json()["items"]
    assert [(item["id"], item["title"], item["body"]) for item in items] == [(id, "Hi", "Hi")]
    refused = await hub.cli("send", "--to", person.id, "--title", "Hi", "--key", "gw_wrong")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert len(refused.stderr.splitlines()) == 1
    assert "UNAUTHENTICATED" in refused.stderr


async def test_send_accepts_external_ids_actions_and_an_expiry_time(hub: Hub) -> None:
    key = await hub.api_key("notify", "users")
    for external_id in ("acme/42", "acme/43"):
        path = f"/api/users/by-external-id/{quote(external_id, safe='')}"
        created = await hub.client(key).put(path, json={"name": "N"})
        assert created.status_code == 200, created.text
    options = ("--title", "Stay?", "--action", "yes=Yes, please=/stay?a=b", "--action", "no=No",
            "--expires-at", "2999-01-01T12:00:00+01:00", "--json")  # fmt: skip
    ticket = await hub.client(await hub.api_key("tickets")).post(
        "/api/realtime/tickets", json={"externalId": "acme/42"}
    )
    async with hub.stream(params={"ticket": ticket.json()["ticket"]}) as stream:
        for access in ((), ("--key", key)):
            sent = await hub.cli("send", "--external-id", "acme/42", "--external-id", "acme/43", *options, *access)
            assert (sent.returncode, sent.stderr) == (0, "")
            data = (await stream.next_event("notification")).data
            ids = json.loads(sent.stdout)["ids"]
            assert (len(ids), data["id"], data["expiresAt"]) == (2, ids[0], "2999-01-01T11:00:00.000Z")
            assert data["actions"] == [
                {"id": "yes", "label": "Yes, please", "url": "/stay?a=b", "style": "secondary"},
                {"id": "no", "label": "No", "style": "secondary"},
            ]
    assert [user["externalId"] for user in json.loads((await hub.cli("users", "list", "--json")).stdout)] == [
        "acme/42",
        "acme/43",
    ]


async def test_send_lines_sends_each_line_in_order_and_names_a_bad_line(hub: Hub) -> None:
    person, key = await hub.signup("client"), await hub.api_key("notify")
    for access in ((), ("--key", key)):
        async with hub.stream(person) as stream:
            lines = "\n".join(f"line {number}" for number in range(5)) + "\n\n"
            sent = await hub.cli("send", "--to", person.email, "--lines", *access, stdin=lines)
            assert len(sent.stdout.splitlines()) == 5
            for number in range(5):
                assert (await stream.next_event("notification")).data["title"] == f"line {number}"
    refused = await hub.cli("send", "--to", person.email, "--lines", stdin=f"valid\n{'x' * 3_000}\nnot sent\n")
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: line 2: ")


async def test_send_rejects_invalid_options_and_sends_nothing(hub: Hub) -> None:
    person = await hub.signup("client")
    send = ("send", "--to", person.email)
    assert (await hub.cli(*send)).returncode == 2
    assert (await hub.cli(*send, "--title", "t", "--data", "[]")).returncode == 2
    assert (await hub.cli(*send, "--title", "t", "--hub", hub.url)).returncode == 2
    assert (await hub.cli("send", "--title", "t")).returncode == 2
    assert (await hub.cli(*send, "--external-id", "7", "--title", "t")).returncode == 2
    assert (await hub.cli(*send, "--title", "t", "--action", "yes")).returncode == 2
    for options, message in (
        (("--action", "y s=Yes"), "id of an action"),
        (("--action", "yes="), "characters"),
        (("--action", "yes=Yes=http://example.org"), "link"),
        (("--expires-at", "tomorrow"), "an offset or Z"),
        (("--expires-at", "2001-01-01T00:00:00Z"), "must be in the future"),
    ):
        assert message in (await hub.cli(*send, "--title", "t", *options)).stderr
    unknown = await hub.cli("send", "--external-id", "unknown", "--title", "t")
    assert (unknown.returncode, "no such user" in unknown.stderr) == (1, True)
    assert "no user" in (await hub.cli("send", "--to", "unknown@example.org", "--title", "t")).stderr
    assert "link" in (await hub.cli(*send, "--title", "t", "--link", "http://example.org")).stderr
    assert "characters" in (await hub.cli(*send, "--title", "t" * 201)).stderr
    async with hub.client(person) as client:
        assert (await client.get("/api/notifications")).json()["items"] == []


async def test_notification_sent_without_a_hub_is_replayed_on_reconnect(hub: Hub) -> None:
    person = await hub.signup("client")
    async with hub.stream(person) as stream:
        cursor = (await stream.next_event("connection_confirmed")).last_event_id
    assert await hub.stop() == 0
    assert (await hub.cli("send", "--to", person.email, "--title", "Meanwhile")).returncode == 0
    await hub.restart()
    async with hub.stream(person, cursor=cursor) as stream:
        assert (await stream.next_event("notification")).data["title"] == "Meanwhile"


async def test_tail_loses_and_repeats_nothing_over_a_restart_and_a_kill(hub: Hub) -> None:
    person = await hub.signup("freelancer")
    async with tail(hub, "--user", person.email) as process:
        assert (await process.next_event())["data"]["userId"] == person.id
        await hub.cli("send", "--to", person.id, "--title", "before")
        assert (await process.next_event())["data"]["title"] == "before"
        await hub.restart()
        assert (await process.wait_for("bye"))["data"] == {"reason": "shutdown"}
        await hub.cli("send", "--to", person.id, "--title", "between")
        assert (await process.wait_for("notification"))["data"]["title"] == "between"
        await hub.kill()
        await hub.cli("send", "--to", person.id, "--title", "while the hub was down")
        await hub.restart()
        assert (await process.wait_for("connection_confirmed"))["data"]["recovered"] is True
        assert (await process.next_event())["data"]["title"] == "while the hub was down"


async def test_tail_accepts_a_token_an_api_key_or_the_operator(hub: Hub) -> None:
    person, key = await hub.signup("client"), await hub.api_key("tickets")
    for access in (("--token", person.token), ("--token", key, "--user", person.id), ("--user", person.email)):
        async with tail(hub, *access, "--channel", "announcements") as process:
            data = (await process.next_event())["data"]
            assert (data["userId"], data["channels"]) == (person.id, ["announcements"])


async def test_tail_prints_readable_lines_and_exits_after_count_events(hub: Hub) -> None:
    person = await hub.signup("client")
    async with hub.stream(person) as stream:
        cursor = (await stream.next_event("connection_confirmed")).last_event_id
    for title in ("one", "two", "three"):
        await hub.cli("send", "--to", person.id, "--title", title, "--icon", "🎉", stdin="first\nsecond")
    done = await hub.cli("tail", "--user", person.email, "--since", cursor, "--count", "2")
    assert done.returncode == 0
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["notification", "🎉", title, "–", "first", "second"] for title in ("one", "two")
    ]
    assert "connected" in done.stderr


async def test_tail_reports_in_one_line_why_it_is_rejected(hub: Hub) -> None:
    person = await hub.signup("client")
    for access in (("--token", "invalid"), ("--token", person.token, "--channel", "role:freelancer"),
                   ("--user", "unknown@example.org"), ("--user", person.email, "--channel", "nowhere")):  # fmt: skip
        refused = await hub.cli("tail", *access)
        assert (refused.returncode, refused.stdout) == (1, ""), refused
        assert len(refused.stderr.splitlines()) == 1
    assert (await hub.cli("tail")).returncode == 2
    await hub.stop()
    refused = await hub.cli("tail", "--user", person.email)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
