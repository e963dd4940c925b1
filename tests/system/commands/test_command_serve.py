"""`hub serve`: what it refuses and how, what it says, and what it leaves in its folder."""

import os
import signal
import socket
import stat
import subprocess
from pathlib import Path

import anyio.to_thread
import httpx2
import pytest

from tests.support.hub import Hub
from tests.support.server import ROOT, Server


@pytest.fixture
def server(data_dir: Path) -> Server:
    return Server(data_dir, fresh_process=True)


def refused(server: Server) -> list[str]:
    """Start a hub that is to refuse; its words."""
    server.spawn()
    assert server.wait() == 1
    return server.log.splitlines()


def test_wrong_settings_are_all_named_at_once_a_line_each(server: Server) -> None:
    server.settings |= {"HUB_PORT": "many", "HUB_RATE_LIMIT": "fast", "HUB_PROT": "1"}
    said = "\n".join(refused(server))
    assert len(said.splitlines()) == 3
    assert all(name in said for name in ("HUB_PORT", "HUB_RATE_LIMIT", "HUB_PROT"))
    assert not server.data_dir.exists()


def test_what_is_for_a_later_release_is_refused_in_a_sentence(server: Server) -> None:
    server.settings |= {"HUB_BROKER_URL": "nats://127.0.0.1", "HUB_DATABASE_URL": "postgresql+asyncpg://h/d"}
    said = refused(server)
    assert len(said) == 2
    assert all("later release" in line for line in said)


def test_wrong_usage_is_exit_code_2(data_dir: Path) -> None:
    server = Server(data_dir)
    assert server.cli_in_fresh_process("serv").returncode == 2
    assert server.cli("serve", "--fast").returncode == 2
    assert server.cli("keys", "create", "a", "--scope", "everything").returncode == 2
    assert server.cli("--help").returncode == 0


async def test_a_second_hub_on_the_same_data_is_refused_and_the_first_serves_on(hub: Hub) -> None:
    second = Server(hub.data_dir, fresh_process=True)
    (said,) = await anyio.to_thread.run_sync(refused, second)
    assert str(hub.data_dir) in said
    assert str(hub.server.pid) in said
    async with hub.client() as client:
        assert (await client.get("/api/ready")).status_code == 200


def test_a_port_that_is_taken_is_one_line(server: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server.settings["HUB_PORT"] = str(taken.getsockname()[1])
        (said,) = refused(server)
    assert said.startswith("Error: Cannot listen on 127.0.0.1 port")


def test_a_store_of_a_newer_release_or_none_at_all_is_one_line(server: Server) -> None:
    server.data_dir.mkdir()
    (server.data_dir / "hub.db").write_text("this is no database, and it is not short either " * 20)
    (said,) = refused(server)
    assert "not a database" in said


def test_a_port_of_the_kernels_choice_is_told_in_the_one_ready_line(server: Server) -> None:
    server.settings |= {"HUB_PORT": "0", "HUB_LOG_LEVEL": "error"}
    server.start()
    try:
        (ready,) = server.lines("ready")
        assert httpx2.get(f"{ready['url']}/api/ready", trust_env=False).status_code == 200
        assert len(server.log.splitlines()) == 1
    finally:
        assert server.stop() == 0


def test_everything_it_makes_is_its_owners_alone(server: Server) -> None:
    server.start()
    try:
        made = [server.data_dir, *server.data_dir.iterdir()]
        assert {"hub.db", "hub.lock", "hub.sock", "secret.key"} <= {path.name for path in made}
        assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in made} == {0}
    finally:
        assert server.stop() == 0
    assert not (server.data_dir / "hub.sock").exists()


def test_it_starts_from_any_folder_and_on_relative_paths(server: Server, tmp_path: Path) -> None:
    # A folder with a package of one of our names must not be taken for ours.
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "__init__.py").write_text("raise SystemExit('a stranger')")
    command = [str(ROOT / ".venv/bin/hub"), "keys", "list", "--json"]
    settings = server.environment | {"HUB_DATA_DIR": "some/where"}
    done = subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
    assert (tmp_path / "some/where/hub.db").exists()


def test_a_store_is_not_served_in_another_currency_than_at_first(server: Server) -> None:
    server.settings["HUB_CURRENCY"] = "EUR"
    server.start()
    assert server.stop() == 0
    server.settings["HUB_CURRENCY"] = "USD"
    server.spawn()
    assert server.wait() == 1
    said = "The ledger of this store is in EUR; HUB_CURRENCY must be EUR, not USD."
    assert server.log.splitlines()[-1] == f"Error: {said}"
    demo = server.cli("demo")
    assert (demo.returncode, demo.stderr.splitlines()[-1]) == (1, f"Error: {said}")


def test_a_signal_before_it_is_ready_is_a_clean_end(server: Server) -> None:
    server.spawn()
    # The lock is there as soon as the process listens to signals; the migration has only begun then.
    while not (server.data_dir / "hub.lock").exists():
        assert server.running
    os.kill(server.pid, signal.SIGTERM)
    assert server.wait() == 0
    assert "Traceback" not in server.log


async def test_a_failed_disk_ends_the_process_with_a_reason(hub: Hub) -> None:
    person = await hub.signup("client")
    tracer = await anyio.to_thread.run_sync(fail_every_sync, hub.server.pid)
    try:
        async with hub.stream(person) as stream, hub.client(person) as client:
            answer = await client.patch("/api/auth/me", json={"name": "Nobody Knows"})
            assert answer.status_code == 503
            assert answer.json()["code"] == "STORAGE_UNAVAILABLE"
            await stream.next_event("bye")
        assert await anyio.to_thread.run_sync(hub.server.wait) == 1
    finally:
        tracer.kill()
        tracer.wait()
    (said,) = hub.lines("storage_failed")
    assert said["level"] == "critical"
    # The exchange of a failed disk for a good one is a start like any other.
    await hub.restart()


def fail_every_sync(pid: int) -> subprocess.Popen[bytes]:
    """From here on every fsync of the process fails with EIO."""
    tracer = subprocess.Popen(
        ["strace", "-f", "-q", "-p", str(pid), "-e", "inject=fsync,fdatasync:error=EIO", "-o", "/dev/null"],
        stderr=subprocess.DEVNULL,
    )
    # It takes the threads one after the other.
    while any("TracerPid:\t0" in status.read_text() for status in Path(f"/proc/{pid}/task").glob("*/status")):
        assert tracer.poll() is None, "strace cannot attach"
    return tracer
