"""The demo's market lives: its users do everything that users do, over HTTP, and leave no key behind."""

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
def living(server: Server) -> Iterator["subprocess.Popen[str]"]:
    """`hub demo --live`, killed if the test fails."""
    process = subprocess.Popen(
        [sys.executable, "-m", "api", "demo", "--live", "--rate", "40"],
        cwd=ROOT, env=server.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_a_living_market_posts_hires_and_pays_until_it_is_told_to_stop(hub: Hub) -> None:
    people = json.loads((await hub.cli("demo", "--json")).stdout)
    admin = await hub.login(people[-1]["email"], people[-1]["password"])
    wanted = {"job_created", "job_updated", "job_accepted", "job_completed"}
    said = await said_until(hub, admin, wanted, signal.SIGINT)
    # The last thing that was heard of here need not have been said there yet.
    assert [did for did in (" posted ", " started ", " submitted ") if did not in said] == []
    await said_until(hub, admin, {"job_created"}, signal.SIGTERM)
    listed = json.loads((await hub.cli("keys", "list", "--json")).stdout)
    assert [key["name"] for key in listed if not key["revokedAt"]] == []
    assert (await hub.cli("verify")).returncode == 0


async def said_until(hub: Hub, admin: Person, wanted: set[str], ended_by: signal.Signals) -> str:
    """What a market says that lives until all of this has happened, and is ended so."""
    async with hub.stream(admin) as stream:
        await stream.next_event("connection_confirmed")
        with living(hub.server) as market:
            # Something happens all the time; what is wanted is soon among it.
            for _ in range(5_000):
                wanted.discard((await stream.next_event(timeout=60)).type)
                if not wanted:
                    break
            market.send_signal(ended_by)
            out, errors = await anyio.to_thread.run_sync(market.communicate)
    assert (market.returncode, "Traceback" in errors) == (0, False), errors
    assert wanted == set()
    return out


def test_without_a_hub_there_is_one_line_and_no_market(data_dir: Path) -> None:
    server = Server(data_dir)
    done = server.cli("demo", "--live", seconds=120)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("Error: No hub responds at ")
