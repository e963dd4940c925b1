"""`hub serve`: start, refusals, files in the data directory, and exit codes."""

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
from tests.support.timeouts import TIMEOUT_SECONDS


@pytest.fixture
def server(data_dir: Path) -> Server:
    return Server(data_dir, fresh_process=True)


def start_and_fail(server: Server) -> list[str]:
    """Start a hub that exits with code 1, and return the lines of its output."""
    server.spawn()
    assert server.wait() == 1
    return server.log.splitlines()


def test_serve_reports_all_wrong_settings_one_per_line(server: Server) -> None:
    server.settings |= {"HUB_PORT": "many", "HUB_RATE_LIMIT": "fast", "HUB_PROT": "1"}
    lines = start_and_fail(server)
    assert len(lines) == 3
    assert all(any(name in line for line in lines) for name in ("HUB_PORT", "HUB_RATE_LIMIT", "HUB_PROT"))
    assert not server.data_dir.exists()


def test_serve_rejects_settings_of_a_later_release(server: Server) -> None:
    server.settings |= {"HUB_BROKER_URL": "nats://127.0.0.1", "HUB_DATABASE_URL": "postgresql+asyncpg://h/d"}
    lines = start_and_fail(server)
    assert len(lines) == 2
    assert all("later release" in line for line in lines)


def test_wrong_usage_exits_with_code_2(data_dir: Path) -> None:
    server = Server(data_dir)
    assert server.cli_in_fresh_process("serv").returncode == 2
    assert server.cli("serve", "--fast").returncode == 2
    assert server.cli("keys", "create", "a", "--scope", "everything").returncode == 2
    assert server.cli("--help").returncode == 0


async def test_second_hub_on_a_data_directory_is_rejected(hub: Hub) -> None:
    second = Server(hub.data_dir, fresh_process=True)
    (line,) = await anyio.to_thread.run_sync(start_and_fail, second)
    assert str(hub.data_dir) in line
    assert str(hub.server.pid) in line
    async with hub.client() as client:
        assert (await client.get("/api/ready")).status_code == 200


def test_serve_reports_a_port_in_use_in_one_line(server: Server) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server.settings["HUB_PORT"] = str(listener.getsockname()[1])
        (line,) = start_and_fail(server)
    assert line.startswith("Error: Cannot listen on 127.0.0.1 port")


def test_serve_reports_a_store_that_is_no_database_in_one_line(server: Server) -> None:
    server.data_dir.mkdir()
    (server.data_dir / "hub.db").write_text("This text is not a database file. " * 30)
    (line,) = start_and_fail(server)
    assert "not a database" in line


def test_ready_line_contains_the_port_chosen_by_the_kernel(server: Server) -> None:
    server.settings |= {"HUB_PORT": "0", "HUB_LOG_LEVEL": "error"}
    server.start()
    try:
        (ready,) = server.lines("ready")
        assert httpx2.get(f"{ready['url']}/api/ready", trust_env=False, timeout=TIMEOUT_SECONDS).status_code == 200
        assert len(server.log.splitlines()) == 1
    finally:
        assert server.stop() == 0


def test_files_of_the_hub_are_accessible_to_their_owner_only(server: Server) -> None:
    server.start()
    try:
        paths = [server.data_dir, *server.data_dir.iterdir()]
        assert {"hub.db", "hub.lock", "hub.sock", "secret.key"} <= {path.name for path in paths}
        assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in paths} == {0}
    finally:
        assert server.stop() == 0
    assert not (server.data_dir / "hub.sock").exists()


def test_command_runs_in_any_folder_with_a_relative_data_directory(server: Server, tmp_path: Path) -> None:
    # A package of the same name in the working directory must not be imported.
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "__init__.py").write_text("raise SystemExit('imported from the working directory')")
    command = [str(ROOT / ".venv/bin/hub"), "keys", "list", "--json"]
    environment = server.environment | {"HUB_DATA_DIR": "some/where"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
    assert (tmp_path / "some/where/hub.db").exists()


def test_serve_rejects_another_currency_than_that_of_the_store(server: Server) -> None:
    server.settings["HUB_CURRENCY"] = "EUR"
    server.start()
    assert server.stop() == 0
    server.settings["HUB_CURRENCY"] = "USD"
    server.spawn()
    assert server.wait() == 1
    message = "The ledger of this store is in EUR; HUB_CURRENCY must be EUR, not USD."
    assert server.log.splitlines()[-1] == f"Error: {message}"
    demo = server.cli("demo")
    assert (demo.returncode, demo.stderr.splitlines()[-1]) == (1, f"Error: {message}")


def test_signal_during_start_ends_the_hub_with_code_0(server: Server) -> None:
    server.spawn()
    # The process creates the lock file when it handles signals, and before the migration ends.
    while not (server.data_dir / "hub.lock").exists():
        assert server.running
    os.kill(server.pid, signal.SIGTERM)
    assert server.wait() == 0
    assert "Traceback" not in server.log


async def test_failed_sync_ends_the_hub_with_code_1_and_a_log_line(hub: Hub) -> None:
    person = await hub.signup("client")
    tracer = await anyio.to_thread.run_sync(fail_every_sync, hub.server.pid)
    try:
        async with hub.stream(person) as stream, hub.client(person) as client:
            response = await client.patch("/api/auth/me", json={"name": "Not Stored"})
            assert response.status_code == 503
            assert response.json()["code"] == "STORAGE_UNAVAILABLE"
            await stream.next_event("bye")
        assert await anyio.to_thread.run_sync(hub.server.wait) == 1
    finally:
        tracer.kill()
        tracer.wait()
    (line,) = hub.lines("storage_failed")
    assert line["level"] == "critical"
    # After a failed disk is replaced, the hub starts normally.
    await hub.restart()


def fail_every_sync(pid: int) -> subprocess.Popen[bytes]:
    """Make every following fsync of the process fail with EIO, until the returned tracer is killed."""
    tracer = subprocess.Popen(
        ["strace", "-f", "-q", "-p", str(pid), "-e", "inject=fsync,fdatasync:error=EIO", "-o", "/dev/null"],
        stderr=subprocess.DEVNULL,
    )
    # strace attaches to one thread after the other.
    while any("TracerPid:\t0" in status.read_text() for status in Path(f"/proc/{pid}/task").glob("*/status")):
        assert tracer.poll() is None, "strace cannot attach"
    return tracer
