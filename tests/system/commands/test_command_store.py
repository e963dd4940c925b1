"""Commands that write: through the running hub's socket while it serves, on the store itself while nobody does."""

import json
import os
import socket
import stat
import subprocess
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio.to_thread
import pytest

from tests.support.hub import PASSWORD, Hub
from tests.support.server import Server

StartHub = Callable[..., Awaitable[Hub]]


@pytest.fixture
def closed(data_dir: Path) -> Server:
    """A folder from which nobody serves."""
    return Server(data_dir)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """Why a command was refused."""
    assert (done.returncode, done.stdout) == (1, ""), done
    (line,) = done.stderr.splitlines()
    return line


async def asks(hub: Hub, key: str) -> int:
    """What a service gets with this key: 422 when it is let in, for the body is empty."""
    async with hub.client(key) as client:
        answer = await client.post("/api/realtime/notifications/send", json={})
    return answer.status_code


async def test_a_key_works_at_once_and_until_it_is_revoked(hub: Hub) -> None:
    made = await hub.cli_in_fresh_process("keys", "create", "mailer", "--scope", "notify")
    assert (made.returncode, made.stderr) == (0, "")
    key = made.stdout.removesuffix("\n")
    assert key.startswith("gw_")
    assert " " not in key
    assert await asks(hub, key) == 422
    assert (await hub.cli("keys", "revoke", "mailer")).returncode == 0
    assert await asks(hub, key) == 401
    assert key not in hub.log


def test_keys_are_made_listed_and_revoked_while_nobody_serves(closed: Server) -> None:
    # The store does not exist yet.
    assert closed.cli("keys", "create", "a", "--scope", "notify", "--scope", "jobs").returncode == 0
    assert "already" in one_line(closed.cli("keys", "create", "a", "--scope", "notify"))
    assert closed.cli("keys", "revoke", "a").returncode == 0
    assert "no active API key" in one_line(closed.cli("keys", "revoke", "a"))
    assert closed.cli("keys", "create", "a", "--scope", "notify").returncode == 0
    listed = json.loads(closed.cli("keys", "list", "--json").stdout)
    assert [(key["name"], key["scopes"], bool(key["revokedAt"])) for key in listed] == [
        ("a", ["jobs", "notify"], True),
        ("a", ["notify"], False),
    ]
    assert "notify" in closed.cli("keys", "list").stdout


def test_commands_at_the_same_time_wait_for_one_another(closed: Server) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda n: closed.cli("keys", "create", f"k{n}", "--scope", "notify"), range(4)))
    assert [each.returncode for each in done] == [0] * 4, [each.stderr for each in done]
    assert len(json.loads(closed.cli("keys", "list", "--json").stdout)) == 4


async def test_users_are_made_shut_out_and_let_in_again(hub: Hub) -> None:
    made = await hub.cli_in_fresh_process(
        "users", "create", "Root@example.org", "--role", "admin", "--name", "Ro Ot", "--password-stdin",
        stdin=f"{PASSWORD}\n",
    )  # fmt: skip
    root = await hub.login("root@example.org")
    assert (root.id, root.role, root.name) == (made.stdout.strip(), "admin", "Ro Ot")
    async with hub.stream(root) as stream:
        await stream.next_event("connection_confirmed")
        assert (await hub.cli("users", "disable", "root@example.org")).returncode == 0
        assert (await stream.next_event("bye")).data == {"reason": "revoked"}
    async with hub.client() as client:
        login = {"email": "root@example.org", "password": PASSWORD}
        assert (await client.post("/api/auth/login", json=login)).status_code == 401
        assert (await hub.cli("users", "enable", "root@example.org")).returncode == 0
        assert (await client.post("/api/auth/login", json=login)).status_code == 200
        changed = await hub.cli("users", "password", "root@example.org", "--password-stdin", stdin="another one\n")
        assert changed.returncode == 0
        assert (await client.post("/api/auth/login", json=login)).status_code == 401
    await hub.login("root@example.org", "another one")
    assert PASSWORD not in hub.log


def test_what_is_wrong_with_a_user_is_one_line_and_nothing_is_made(closed: Server) -> None:
    create = ("users", "create", "--role", "admin", "--password-stdin")
    assert closed.cli(*create, "a@example.org", stdin="short\n").returncode == 2
    assert closed.cli("users", "create", "a@example.org", "--role", "admin").returncode == 2
    assert "e-mail" in one_line(closed.cli(*create, "a.example.org", stdin=f"{PASSWORD}\n"))
    assert closed.cli(*create, "a@example.org", stdin=f"{PASSWORD}\n").returncode == 0
    assert "already" in one_line(closed.cli(*create, "A@example.org", stdin=f"{PASSWORD}\n"))
    assert "no user" in one_line(closed.cli("users", "disable", "b@example.org"))


async def test_all_users_are_listed_for_people_and_for_programs(hub: Hub, closed: Server) -> None:
    assert closed.cli("users", "list", "--json").stdout == "[]\n"
    ann, bob = await hub.signup("client", name="Ann [b]"), await hub.signup("freelancer")
    assert (await hub.cli("users", "disable", bob.email)).returncode == 0
    listed = await hub.cli("users", "list", "--json")
    assert listed.stderr == ""
    found = json.loads(listed.stdout)
    assert [(one["id"], one["email"], one["role"], bool(one["disabledAt"])) for one in found] == [
        (ann.id, ann.email, "client", False),
        (bob.id, bob.email, "freelancer", True),
    ]
    assert set(found[0]) == {"id", "email", "externalId", "name", "role", "createdAt", "disabledAt"}
    table = (await hub.cli("users", "list")).stdout
    assert all(word in table for word in (ann.id, ann.email, "Ann [b]", bob.id, found[1]["disabledAt"]))


async def test_the_socket_does_what_is_in_its_table_and_nothing_else(hub: Hub) -> None:
    def ask(line: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(hub.data_dir / "hub.sock"))
            try:
                connection.sendall(line)
                return connection.makefile("rb").readline()
            except (BrokenPipeError, ConnectionResetError):
                return b""

    async def code(line: bytes) -> str:
        return str(json.loads(await anyio.to_thread.run_sync(ask, line))["code"])

    assert await code(b'{"action":"services.accounts.users.create","arguments":{}}\n') == "NOT_FOUND"
    assert await code(b'{"action":"keys.revoke","arguments":{"name":1}}\n') == "INVALID_FIELD"
    assert await code(b'{"action":"keys.revoke","arguments":{"name":"a","now":0}}\n') == "INVALID_FIELD"
    assert await code(b'{"action":"keys.list","arguments":{}} trailing\n') == "INVALID_JSON"
    assert await code(b"\xff\n") == "INVALID_JSON"
    assert await anyio.to_thread.run_sync(ask, b"x" * 1_000_000) == b""
    assert stat.S_IMODE((hub.data_dir / "hub.sock").stat().st_mode) & 0o077 == 0
    assert (await hub.cli("keys", "list", "--json")).stdout == "[]\n"


async def test_silent_connections_to_the_socket_keep_nobody_out_for_long(hub: Hub) -> None:
    silent = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    try:
        for connection in silent:
            connection.connect(str(hub.data_dir / "hub.sock"))
        assert (await hub.cli("keys", "list", "--json")).stdout == "[]\n"
    finally:
        for connection in silent:
            connection.close()


async def test_what_a_killed_hub_has_left_is_in_nobodys_way(hub: Hub) -> None:
    await hub.kill()
    assert (hub.data_dir / "hub.sock").exists()
    assert (await hub.cli("keys", "create", "a", "--scope", "notify")).returncode == 0
    await hub.restart()
    assert "already" in one_line(await hub.cli("keys", "create", "a", "--scope", "notify"))


def test_a_path_too_long_for_a_socket_is_no_hindrance(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100) / "data"
    server = Server(deep)
    server.start()
    try:
        assert len(os.fsencode(deep / "hub.sock")) > 108
        assert server.cli("keys", "create", "a", "--scope", "notify").returncode == 0
        assert '"keys.create"' in server.log
    finally:
        assert server.stop() == 0


async def test_the_demo_is_made_once_and_whoever_it_lists_can_sign_in(hub: Hub) -> None:
    made = json.loads((await hub.cli_in_fresh_process("demo", "--json")).stdout)
    assert {person["role"] for person in made} == {"client", "freelancer", "admin"}
    assert len(made) == 12
    for again in (("demo", "--json"), ("demo", "--once", "--json")):
        assert json.loads((await hub.cli(*again)).stdout) == made
    person = await hub.login(made[0]["email"], made[0]["password"])
    assert person.name == made[0]["name"]
    assert stat.S_IMODE((hub.data_dir / "demo-users.json").stat().st_mode) == 0o600
    table = (await hub.cli("demo", "--once")).stdout
    assert all(person["password"] in table for person in made)
    (hub.data_dir / "demo-users.json").unlink()
    renewed = json.loads((await hub.cli("demo", "--once", "--json")).stdout)
    await hub.login(renewed[0]["email"], renewed[0]["password"])
    assert all(person["password"] not in hub.log for person in made + renewed)


async def test_the_people_of_the_demo_talk_and_send_files(hub: Hub) -> None:
    made = {person["name"]: person for person in json.loads((await hub.cli("demo", "--json")).stdout)}
    tomas = made["Tomás Herrera"]
    client = hub.client(await hub.login(tomas["email"], tomas["password"]))
    talks = (await client.get("/api/conversations")).json()["items"]
    assert [talk["kind"] for talk in talks] == ["group", "direct", "direct"]
    said = [
        m for talk in talks for m in (await client.get(f"/api/conversations/{talk['id']}/messages")).json()["items"]
    ]
    files = [file for message in said for file in message["attachments"]]
    assert len(files) == 2
    for file in files:
        answer = await client.get(f"/api/attachments/{file['id']}")
        assert (answer.status_code, len(answer.content)) == (200, file["size"])


def test_there_is_no_demo_in_production(closed: Server) -> None:
    closed.settings |= {
        "HUB_ENV": "production",
        "HUB_SECRET_KEYS": "gHq3vZ0pXb8sKd5wRt2yLn7cMf4jVe9a",
        "HUB_PASSWORD_MEMORY_MB": "19",
    }
    assert "production" in one_line(closed.cli("demo"))
    assert not closed.data_dir.exists()
