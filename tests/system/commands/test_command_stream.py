"""`hub send` and `hub tail`: from a shell into an inbox, and from a stream into a pipe."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

from tests.support.hub import Hub
from tests.support.server import ROOT

# A tail that finds nobody serving draws its waits, and longer ones from try to try.
PATIENCE = 60.0


class Tail:
    """A running `hub tail --json`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def next(self) -> dict[str, Any]:
        """The next line."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = await self.process.stdout.readline()
        event: dict[str, Any] = json.loads(line)
        return event

    async def until(self, type: str) -> dict[str, Any]:
        """The next of that type."""
        while (event := await self.next())["event"] != type:
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


async def test_a_notification_from_the_shell_arrives_in_the_open_stream(hub: Hub) -> None:
    person = await hub.signup("client")
    async with hub.stream(person) as stream:
        sent = await hub.cli_in_fresh_process(
            "send", "--to", person.email, "--title", "Disk is full", "--priority", "urgent",
            "--link", "/jobs/1", "--data", '{"free": 0}', stdin="Delete something.\n",
        )  # fmt: skip
        assert (sent.returncode, sent.stderr) == (0, "")
        told = (await stream.next_event("notification")).data
    assert told["id"] == sent.stdout.strip()
    expected = {"title": "Disk is full", "body": "Delete something.", "priority": "urgent", "type": "note",
                "category": "system", "url": "/jobs/1", "data": {"free": 0}, "unread": 1}  # fmt: skip
    assert told | expected == told


async def test_with_a_key_it_goes_over_http_and_a_bad_key_is_one_line(hub: Hub) -> None:
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


async def test_a_service_names_its_own_people_and_adds_buttons_and_an_end(hub: Hub) -> None:
    key = await hub.api_key("notify", "users")
    for theirs in ("acme/42", "acme/43"):
        made = await hub.client(key).put(f"/api/users/by-external-id/{quote(theirs, safe='')}", json={"name": "N"})
        assert made.status_code == 200, made.text
    more = ("--title", "Stay?", "--action", "yes=Yes, please=/stay?a=b", "--action", "no=No",
            "--expires-at", "2999-01-01T12:00:00+01:00", "--json")  # fmt: skip
    ticket = await hub.client(await hub.api_key("tickets")).post(
        "/api/realtime/tickets", json={"externalId": "acme/42"}
    )
    async with hub.stream(params={"ticket": ticket.json()["ticket"]}) as stream:
        for way in ((), ("--key", key)):
            sent = await hub.cli("send", "--external-id", "acme/42", "--external-id", "acme/43", *more, *way)
            assert (sent.returncode, sent.stderr) == (0, "")
            told = (await stream.next_event("notification")).data
            ids = json.loads(sent.stdout)["ids"]
            assert (len(ids), told["id"], told["expiresAt"]) == (2, ids[0], "2999-01-01T11:00:00.000Z")
            assert told["actions"] == [
                {"id": "yes", "label": "Yes, please", "url": "/stay?a=b", "style": "secondary"},
                {"id": "no", "label": "No", "style": "secondary"},
            ]
    assert [person["externalId"] for person in json.loads((await hub.cli("users", "list", "--json")).stdout)] == [
        "acme/42",
        "acme/43",
    ]


async def test_each_line_of_a_pipe_is_a_notification_in_their_order(hub: Hub) -> None:
    person, key = await hub.signup("client"), await hub.api_key("notify")
    for way in ((), ("--key", key)):
        async with hub.stream(person) as stream:
            lines = "\n".join(f"line {n}" for n in range(5)) + "\n\n"
            sent = await hub.cli("send", "--to", person.email, "--lines", *way, stdin=lines)
            assert len(sent.stdout.splitlines()) == 5
            for n in range(5):
                assert (await stream.next_event("notification")).data["title"] == f"line {n}"
    refused = await hub.cli("send", "--to", person.email, "--lines", stdin=f"fine\n{'x' * 3_000}\nnever\n")
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: line 2: ")


async def test_what_is_wrong_with_it_is_said_and_nothing_is_sent(hub: Hub) -> None:
    person = await hub.signup("client")
    to = ("send", "--to", person.email)
    assert (await hub.cli(*to)).returncode == 2
    assert (await hub.cli(*to, "--title", "t", "--data", "[]")).returncode == 2
    assert (await hub.cli(*to, "--title", "t", "--hub", hub.url)).returncode == 2
    assert (await hub.cli("send", "--title", "t")).returncode == 2
    assert (await hub.cli(*to, "--external-id", "7", "--title", "t")).returncode == 2
    assert (await hub.cli(*to, "--title", "t", "--action", "yes")).returncode == 2
    for more, said in (
        (("--action", "y s=Yes"), "id of an action"),
        (("--action", "yes="), "characters"),
        (("--action", "yes=Yes=http://example.org"), "link"),
        (("--expires-at", "tomorrow"), "an offset or Z"),
        (("--expires-at", "2001-01-01T00:00:00Z"), "must be in the future"),
    ):
        assert said in (await hub.cli(*to, "--title", "t", *more)).stderr
    unknown = await hub.cli("send", "--external-id", "nobody's", "--title", "t")
    assert (unknown.returncode, "no such user" in unknown.stderr) == (1, True)
    assert "no user" in (await hub.cli("send", "--to", "nobody@example.org", "--title", "t")).stderr
    assert "link" in (await hub.cli(*to, "--title", "t", "--link", "http://example.org")).stderr
    assert "characters" in (await hub.cli(*to, "--title", "t" * 201)).stderr
    async with hub.client(person) as client:
        assert (await client.get("/api/notifications")).json()["items"] == []


async def test_a_notification_sent_while_nobody_serves_is_seen_on_coming_back(hub: Hub) -> None:
    person = await hub.signup("client")
    async with hub.stream(person) as stream:
        cursor = (await stream.next_event("connection_confirmed")).last_event_id
    assert await hub.stop() == 0
    assert (await hub.cli("send", "--to", person.email, "--title", "Meanwhile")).returncode == 0
    await hub.restart()
    async with hub.stream(person, cursor=cursor) as stream:
        assert (await stream.next_event("notification")).data["title"] == "Meanwhile"


async def test_tail_loses_nothing_and_repeats_nothing_over_a_restart_and_a_kill(hub: Hub) -> None:
    person = await hub.signup("freelancer")
    async with tail(hub, "--user", person.email) as tailed:
        assert (await tailed.next())["data"]["userId"] == person.id
        await hub.cli("send", "--to", person.id, "--title", "before")
        assert (await tailed.next())["data"]["title"] == "before"
        await hub.restart()
        assert (await tailed.until("bye"))["data"] == {"reason": "shutdown"}
        await hub.cli("send", "--to", person.id, "--title", "between")
        assert (await tailed.until("notification"))["data"]["title"] == "between"
        await hub.kill()
        await hub.cli("send", "--to", person.id, "--title", "while it was down")
        await hub.restart()
        assert (await tailed.until("connection_confirmed"))["data"]["recovered"] is True
        assert (await tailed.next())["data"]["title"] == "while it was down"


async def test_tail_listens_with_a_token_a_key_or_as_the_operator(hub: Hub) -> None:
    person, key = await hub.signup("client"), await hub.api_key("tickets")
    for way in (("--token", person.token), ("--token", key, "--user", person.id), ("--user", person.email)):
        async with tail(hub, *way, "--channel", "announcements") as tailed:
            told = (await tailed.next())["data"]
            assert (told["userId"], told["channels"]) == (person.id, ["announcements"])


async def test_tail_ends_after_as_many_as_were_asked_for_and_prints_lines_for_people(hub: Hub) -> None:
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


async def test_tail_says_in_one_line_why_it_may_not_listen(hub: Hub) -> None:
    person = await hub.signup("client")
    for way in (("--token", "nonsense"), ("--token", person.token, "--channel", "role:freelancer"),
                ("--user", "nobody@example.org"), ("--user", person.email, "--channel", "nowhere")):  # fmt: skip
        refused = await hub.cli("tail", *way)
        assert (refused.returncode, refused.stdout) == (1, ""), refused
        assert len(refused.stderr.splitlines()) == 1
    assert (await hub.cli("tail")).returncode == 2
    await hub.stop()
    refused = await hub.cli("tail", "--user", person.email)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
