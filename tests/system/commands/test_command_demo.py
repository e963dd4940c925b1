"""`hub demo --live`: demo users act over HTTP until a signal, and the API key is revoked."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio.to_thread

from tests.support.hub import Hub, Person
from tests.support.server import ROOT, Server


@contextmanager
def run_live_demo(server: Server) -> Iterator["subprocess.Popen[str]"]:
    """Run `hub demo --live`; kill it if the test fails."""
    process = subprocess.Popen(
        [sys.executable, "-m", "api", "demo", "--live", "--rate", "40"],
        cwd=ROOT, env=server.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_live_demo_posts_hires_and_pays_until_a_signal(hub: Hub) -> None:
    users = json.loads((await hub.cli("demo", "--json")).stdout)
    admin = await hub.login(users[-1]["email"], users[-1]["password"])
    types = {"job_created", "job_updated", "job_accepted", "job_completed"}
    output = await run_until_events(hub, admin, types, signal.SIGINT)
    # The action of the last event may not be printed yet, so the output is checked for earlier actions.
    assert [verb for verb in (" posted ", " started ", " submitted ") if verb not in output] == []
    await run_until_events(hub, admin, {"job_created"}, signal.SIGTERM)
    keys = json.loads((await hub.cli("keys", "list", "--json")).stdout)
    assert [key["name"] for key in keys if not key["revokedAt"]] == []
    assert (await hub.cli("verify")).returncode == 0


async def run_until_events(hub: Hub, admin: Person, types: set[str], number: signal.Signals) -> str:
    """Run the live demo until an event of each type was received, end it with a signal, and return its output."""
    missing = set(types)
    async with hub.stream(admin) as stream:
        await stream.next_event("connection_confirmed")
        with run_live_demo(hub.server) as process:
            for _ in range(5_000):
                missing.discard((await stream.next_event()).type)
                if not missing:
                    break
            process.send_signal(number)
            output, errors = await anyio.to_thread.run_sync(process.communicate)
    assert (process.returncode, "Traceback" in errors) == (0, False), errors
    assert missing == set()
    return output


def test_live_demo_fails_with_one_line_when_no_hub_is_running(data_dir: Path) -> None:
    server = Server(data_dir)
    done = server.cli("demo", "--live")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("Error: No hub responds at ")
