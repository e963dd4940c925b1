"""`hub verify`: a ledger that does not balance freezes payments and nothing else until corrected."""

import json
import sqlite3
from contextlib import closing
from typing import Any

from tests.support.hub import Hub, Person
from tests.system.conftest import StartHub

JOB = {"title": "Fix it", "description": "All", "budget": 5_000}


def tamper(hub: Hub, sql: str) -> None:
    """Change one row of a stopped hub without the triggers that forbid it."""
    with closing(sqlite3.connect(hub.data_dir / "hub.db")) as store:
        triggers = store.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            store.execute(f"DROP TRIGGER {name}")
        assert store.execute(sql).rowcount == 1
        for _, trigger in triggers:
            store.execute(trigger)
        store.commit()


async def status(hub: Hub, caller: Person | str, method: str, path: str, body: Any = None) -> tuple[int, str | None]:
    """Send a request; return the status and, for an error, its code."""
    response = await hub.client(caller).request(method, path, json=body)
    return response.status_code, response.json().get("code") if response.status_code >= 400 else None


async def create_market(hub: Hub) -> tuple[Person, Person, str, str]:
    """Create an open job of Olga with a bid of Ann; return (Olga, Ann, job id, bid id)."""
    olga, ann = await hub.signup("client"), await hub.signup("freelancer")
    job = (await hub.client(olga).post("/api/jobs", json=JOB)).json()["id"]
    bid = await hub.client(ann).post(f"/api/jobs/{job}/bids", json={"message": "Me", "price": 4_000})
    return olga, ann, job, bid.json()["id"]


async def test_verify_reports_a_balanced_ledger_with_and_without_a_hub(hub: Hub) -> None:
    await create_market(hub)
    result = await hub.cli_in_fresh_process("verify")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "The ledger balances: 4 accounts, 1 jobs, 3 transfers.\n"
    assert await hub.stop() == 0
    result = await hub.cli("verify", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout) == {
        "ok": True,
        "frozen": False,
        "accounts": 4,
        "jobs": 1,
        "transfers": 3,
        "faults": [],
    }


async def test_verify_succeeds_when_the_ledger_is_empty(start_hub: StartHub) -> None:
    hub = await start_hub()
    await hub.stop()
    assert (await hub.cli("verify")).returncode == 0


async def test_mismatch_freezes_payments_and_nothing_else_until_corrected(hub: Hub) -> None:
    olga, ann, job, bid = await create_market(hub)
    key = await hub.api_key("deposit", "notify")
    hire = ("PATCH", f"/api/bids/{bid}/hire")
    await hub.stop()
    tamper(hub, f"UPDATE accounts SET balance = balance + 1 WHERE id = 'available:{ann.id}'")
    result = await hub.cli("verify")
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: The ledger does not balance; payments are frozen. Account available:")
    await hub.restart()

    frozen = (503, "STORAGE_UNAVAILABLE")
    deposit = {"userId": ann.id, "amount": 1, "paymentId": "p"}
    assert await status(hub, olga, "POST", "/api/jobs", JOB) == frozen
    assert await status(hub, olga, "PATCH", f"/api/jobs/{job}", {"budget": 5_001}) == frozen
    assert await status(hub, olga, "DELETE", f"/api/jobs/{job}") == frozen
    assert await status(hub, olga, *hire) == frozen
    assert await status(hub, olga, "PATCH", f"/api/jobs/{job}/status", {"status": "cancelled"}) == frozen
    assert await status(hub, ann, "POST", "/api/wallet/withdrawals", {"amount": 1}) == frozen
    assert await status(hub, key, "POST", "/api/wallet/deposits", deposit) == frozen
    refused = await hub.client(olga).patch(f"/api/bids/{bid}/hire")
    assert refused.headers["retry-after"] == "60"
    assert "does not balance" in refused.json()["message"]

    async with hub.stream(ann) as stream:
        await stream.next_event("connection_confirmed")
        note = {"userId": ann.id, "type": "note", "category": "system", "title": "Hello", "body": "There"}
        assert await status(hub, key, "POST", "/api/realtime/notifications/send", note) == (201, None)
        assert (await stream.next_event("notification")).data["title"] == "Hello"
    assert await status(hub, olga, "PATCH", f"/api/jobs/{job}", {"title": "Other"}) == (200, None)
    assert await status(hub, ann, "DELETE", f"/api/bids/{bid}") == (204, None)
    assert (await hub.signup()).id
    for path in ("/api/wallet", "/api/wallet/entries", "/api/jobs", "/api/ready"):
        assert await status(hub, ann, "GET", path) == (200, None)

    # The hub itself checks the ledger at each start.
    (frozen_line,) = hub.lines("payments_frozen")
    assert frozen_line["level"] == "critical"
    assert ann.id in frozen_line["faults"][0]
    await hub.stop()
    tamper(hub, f"UPDATE accounts SET balance = balance - 1 WHERE id = 'available:{ann.id}'")
    result = await hub.cli("verify", "--json")
    assert (result.returncode, json.loads(result.stdout)["frozen"]) == (0, False)
    await hub.restart()
    assert await status(hub, olga, "PATCH", f"/api/jobs/{job}/status", {"status": "cancelled"}) == (200, None)


async def test_verify_ends_a_freeze_on_a_running_hub(hub: Hub) -> None:
    olga = await hub.signup()
    # The state that a reconciliation run of the hub leaves when it finds a fault.
    with closing(sqlite3.connect(hub.data_dir / "hub.db")) as store:
        store.execute("INSERT INTO freezes VALUES (1, 0, 'a test')")
        store.commit()
    assert (await status(hub, olga, "POST", "/api/jobs", JOB))[0] == 503
    assert (await hub.cli("verify")).returncode == 0
    assert (await status(hub, olga, "POST", "/api/jobs", JOB))[0] == 201
