"""Commands that write: through the socket of the running hub, or on the store if no hub is running."""

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
from tests.support.timeouts import TIMEOUT_SECONDS

StartHub = Callable[..., Awaitable[Hub]]


@pytest.fixture
def stopped(data_dir: Path) -> Server:
    """A data directory without a running hub."""
    return Server(data_dir)


def error_line(done: subprocess.CompletedProcess[str]) -> str:
    """Check that a command failed, and return its only line of output."""
    assert (done.returncode, done.stdout) == (1, ""), done
    (line,) = done.stderr.splitlines()
    return line


async def send_status(hub: Hub, key: str) -> int:
    """Return the status of an empty send request: 422 with a valid key, 401 otherwise."""
    async with hub.client(key) as client:
        response = await client.post("/api/realtime/notifications/send", json={})
    return response.status_code


async def test_api_key_works_from_creation_to_revocation(hub: Hub) -> None:
    created = await hub.cli_in_fresh_process("keys", "create", "mailer", "--scope", "notify")
    assert (created.returncode, created.stderr) == (0, "")
    key = created.stdout.removesuffix("\n")
    assert key.startswith("gw_")
    assert " " not in key
    assert await send_status(hub, key) == 422
    assert (await hub.cli("keys", "revoke", "mailer")).returncode == 0
    assert await send_status(hub, key) == 401
    assert key not in hub.log


def test_keys_are_created_listed_and_revoked_without_a_hub(stopped: Server) -> None:
    # The store does not exist yet.
    assert stopped.cli("keys", "create", "a", "--scope", "notify", "--scope", "jobs").returncode == 0
    assert "already" in error_line(stopped.cli("keys", "create", "a", "--scope", "notify"))
    assert stopped.cli("keys", "revoke", "a").returncode == 0
    assert "no active API key" in error_line(stopped.cli("keys", "revoke", "a"))
    assert stopped.cli("keys", "create", "a", "--scope", "notify").returncode == 0
    keys = json.loads(stopped.cli("keys", "list", "--json").stdout)
    assert [(key["name"], key["scopes"], bool(key["revokedAt"])) for key in keys] == [
        ("a", ["jobs", "notify"], True),
        ("a", ["notify"], False),
    ]
    assert "notify" in stopped.cli("keys", "list").stdout


def test_concurrent_commands_wait_for_the_lock(stopped: Server) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(
            pool.map(lambda number: stopped.cli("keys", "create", f"k{number}", "--scope", "notify"), range(4))
        )
    assert [result.returncode for result in results] == [0] * 4, [result.stderr for result in results]
    assert len(json.loads(stopped.cli("keys", "list", "--json").stdout)) == 4


async def test_users_are_created_disabled_and_enabled(hub: Hub) -> None:
    created = await hub.cli_in_fresh_process(
        "users", "create", "Root@example.org", "--role", "admin", "--name", "Ro Ot", "--password-stdin",
        stdin=f"{PASSWORD}\n",
    )  # fmt: skip
    root = await hub.login("root@example.org")
    assert (root.id, root.role, root.name) == (created.stdout.strip(), "admin", "Ro Ot")
    async with hub.stream(root) as stream:
        await stream.next_event("connection_confirmed")
        assert (await hub.cli("users", "disable", "root@example.org")).returncode == 0
        assert (await stream.next_event("bye")).data == {"reason": "revoked"}
    async with hub.client() as client:
        login = {"email": "root@example.org", "password": PASSWORD}
        assert (await client.post("/api/auth/login", json=login)).status_code == 401
        assert (await hub.cli("users", "enable", "root@example.org")).returncode == 0
        assert (await client.post("/api/auth/login", json=login)).status_code == 200
        changed = await hub.cli("users", "password", "root@example.org", "--password-stdin", stdin="another password\n")
        assert changed.returncode == 0
        assert (await client.post("/api/auth/login", json=login)).status_code == 401
    await hub.login("root@example.org", "another password")
    assert PASSWORD not in hub.log


def test_users_create_rejects_invalid_input_in_one_line(stopped: Server) -> None:
    create = ("users", "create", "--role", "admin", "--password-stdin")
    assert stopped.cli(*create, "a@example.org", stdin="short\n").returncode == 2
    assert stopped.cli("users", "create", "a@example.org", "--role", "admin").returncode == 2
    assert "e-mail" in error_line(stopped.cli(*create, "a.example.org", stdin=f"{PASSWORD}\n"))
    assert stopped.cli(*create, "a@example.org", stdin=f"{PASSWORD}\n").returncode == 0
    assert "already" in error_line(stopped.cli(*create, "A@example.org", stdin=f"{PASSWORD}\n"))
    assert "no user" in error_line(stopped.cli("users", "disable", "b@example.org"))


async def test_users_list_prints_all_users_as_json_or_table(hub: Hub, stopped: Server) -> None:
    assert stopped.cli("users", "list", "--json").stdout == "[]\n"
    ann, bob = await hub.signup("client", name="Ann [b]"), await hub.signup("freelancer")
    assert (await hub.cli("users", "disable", bob.email)).returncode == 0
    listed = await hub.cli("users", "list", "--json")
    assert listed.stderr == ""
    users = json.loads(listed.stdout)
    assert [(user["id"], user["email"], user["role"], bool(user["disabledAt"])) for user in users] == [
        (ann.id, ann.email, "client", False),
        (bob.id, bob.email, "freelancer", True),
    ]
    assert set(users[0]) == {"id", "email", "externalId", "name", "role", "createdAt", "disabledAt"}
    table = (await hub.cli("users", "list")).stdout
    assert all(word in table for word in (ann.id, ann.email, "Ann [b]", bob.id, users[1]["disabledAt"]))


async def test_socket_executes_only_known_actions_with_valid_arguments(hub: Hub) -> None:
    def request(line: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT_SECONDS)
            connection.connect(str(hub.data_dir / "hub.sock"))
            try:
                connection.sendall(line)
                return connection.makefile("rb").readline()
            except (BrokenPipeError, ConnectionResetError):
                return b""

    async def code(line: bytes) -> str:
        return str(json.loads(await anyio.to_thread.run_sync(request, line))["code"])

    assert await code(b'{"action":"services.accounts.users.create","arguments":{}}\n') == "NOT_FOUND"
    assert await code(b'{"action":"keys.revoke","arguments":{"name":1}}\n') == "INVALID_FIELD"
    assert await code(b'{"action":"keys.revoke","arguments":{"name":"a","now":0}}\n') == "INVALID_FIELD"
    assert await code(b'{"action":"keys.list","arguments":{}} trailing\n') == "INVALID_JSON"
    assert await code(b"\xff\n") == "INVALID_JSON"
    assert await anyio.to_thread.run_sync(request, b"x" * 1_000_000) == b""
    assert stat.S_IMODE((hub.data_dir / "hub.sock").stat().st_mode) & 0o077 == 0
    assert (await hub.cli("keys", "list", "--json")).stdout == "[]\n"


async def test_silent_socket_connections_do_not_block_commands(hub: Hub) -> None:
    silent = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    try:
        for connection in silent:
            connection.connect(str(hub.data_dir / "hub.sock"))
        assert (await hub.cli("keys", "list", "--json")).stdout == "[]\n"
    finally:
        for connection in silent:
            connection.close()


async def test_commands_and_start_work_when_a_killed_hub_left_its_socket(hub: Hub) -> None:
    await hub.kill()
    assert (hub.data_dir / "hub.sock").exists()
    assert (await hub.cli("keys", "create", "a", "--scope", "notify")).returncode == 0
    await hub.restart()
    assert "already" in error_line(await hub.cli("keys", "create", "a", "--scope", "notify"))


def test_socket_works_when_its_path_exceeds_the_system_limit(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100) / "data"
    server = Server(deep)
    server.start()
    try:
        assert len(os.fsencode(deep / "hub.sock")) > 108
        assert server.cli("keys", "create", "a", "--scope", "notify").returncode == 0
        assert '"keys.create"' in server.log
    finally:
        assert server.stop() == 0


async def test_demo_is_created_once_and_its_users_can_sign_in(hub: Hub) -> None:
    users = json.loads((await hub.cli_in_fresh_process("demo", "--json")).stdout)
    assert {user["role"] for user in users} == {"client", "freelancer", "admin"}
    assert len(users) == 12
    for repeated in (("demo", "--json"), ("demo", "--once", "--json")):
        assert json.loads((await hub.cli(*repeated)).stdout) == users
    person = await hub.login(users[0]["email"], users[0]["password"])
    assert person.name == users[0]["name"]
    assert stat.S_IMODE((hub.data_dir / "demo-users.json").stat().st_mode) == 0o600
    table = (await hub.cli("demo", "--once")).stdout
    assert all(user["password"] in table for user in users)
    (hub.data_dir / "demo-users.json").unlink()
    renewed = json.loads((await hub.cli("demo", "--once", "--json")).stdout)
    await hub.login(renewed[0]["email"], renewed[0]["password"])
    assert all(user["password"] not in hub.log for user in users + renewed)


async def test_demo_users_have_conversations_with_attachments(hub: Hub) -> None:
    users = {user["name"]: user for user in json.loads((await hub.cli("demo", "--json")).stdout)}
    tomas = users["Tomás Herrera"]
    client = hub.client(await hub.login(tomas["email"], tomas["password"]))
    conversations = (await client.get("/api/conversations")).json()["items"]
    assert [conversation["kind"] for conversation in conversations] == ["group", "direct", "direct"]
    pages = [
        (await client.get(f"/api/conversations/{conversation['id']}/messages")).json() for conversation in conversations
    ]
    files = [file for page in pages for message in page["items"] for file in message["attachments"]]
    assert len(files) == 2
    for file in files:
        response = await client.get(f"/api/attachments/{file['id']}")
        assert (response.status_code, len(response.content)) == (200, file["size"])


def test_demo_is_rejected_in_production(stopped: Server) -> None:
    stopped.settings |= {
        "HUB_ENV": "production",
        "HUB_SECRET_KEYS": "gHq3vZ0pXb8sKd5wRt2yLn7cMf4jVe9a",
        "HUB_PASSWORD_MEMORY_MB": "19",
    }
    assert "production" in error_line(stopped.cli("demo"))
    assert not stopped.data_dir.exists()
