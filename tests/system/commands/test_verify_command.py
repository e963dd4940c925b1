"""`hub verify` on a real hub: books that were tampered with freeze money and nothing else, until they add up again."""

import json
import sqlite3
from contextlib import closing
from typing import Any

from tests.support.hub import Hub, Person
from tests.system.conftest import StartHub

JOB = {"title": "Fix it", "description": "All", "budget": 5_000}


def tamper(hub: Hub, sql: str) -> None:
    """What only somebody can do who may change the schema, while nobody serves."""
    with closing(sqlite3.connect(hub.data_dir / "hub.db")) as store:
        guards = store.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            store.execute(f"DROP TRIGGER {name}")
        assert store.execute(sql).rowcount == 1
        for _, guard in guards:
            store.execute(guard)
        store.commit()


async def status(hub: Hub, who: Person | str, method: str, path: str, body: Any = None) -> tuple[int, str | None]:
    answer = await hub.client(who).request(method, path, json=body)
    return answer.status_code, answer.json().get("code") if answer.status_code >= 400 else None


async def market(hub: Hub) -> tuple[Person, Person, str, str]:
    """Olga with an open job and Ann's bid on it: (Olga, Ann, job, bid)."""
    olga, ann = await hub.signup("client"), await hub.signup("freelancer")
    job = (await hub.client(olga).post("/api/jobs", json=JOB)).json()["id"]
    bid = await hub.client(ann).post(f"/api/jobs/{job}/bids", json={"message": "Me", "price": 4_000})
    return olga, ann, job, bid.json()["id"]


async def test_books_that_add_up_are_said_to_while_the_hub_serves_and_while_it_does_not(hub: Hub) -> None:
    await market(hub)
    said = await hub.cli_in_fresh_process("verify")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == "The ledger balances: 4 accounts, 1 jobs, 3 transfers.\n"
    assert await hub.stop() == 0
    said = await hub.cli("verify", "--json")
    assert (said.returncode, said.stderr) == (0, "")
    assert json.loads(said.stdout) == {
        "ok": True,
        "frozen": False,
        "accounts": 4,
        "jobs": 1,
        "transfers": 3,
        "faults": [],
    }


async def test_a_store_that_is_not_there_yet_adds_up(start_hub: StartHub) -> None:
    hub = await start_hub()
    await hub.stop()
    assert (await hub.cli("verify")).returncode == 0


async def test_a_mismatch_freezes_money_and_nothing_else_until_it_is_mended(hub: Hub) -> None:
    olga, ann, job, bid = await market(hub)
    key = await hub.api_key("deposit", "notify")
    hire = ("PATCH", f"/api/bids/{bid}/hire")
    await hub.stop()
    tamper(hub, f"UPDATE accounts SET balance = balance + 1 WHERE id = 'available:{ann.id}'")
    said = await hub.cli("verify")
    assert (said.returncode, said.stdout) == (1, "")
    (line,) = said.stderr.splitlines()
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

    # The hub has looked for itself at its start, and so it does when the books have been mended.
    (told,) = hub.lines("payments_frozen")
    assert told["level"] == "critical"
    assert ann.id in told["faults"][0]
    await hub.stop()
    tamper(hub, f"UPDATE accounts SET balance = balance - 1 WHERE id = 'available:{ann.id}'")
    said = await hub.cli("verify", "--json")
    assert (said.returncode, json.loads(said.stdout)["frozen"]) == (0, False)
    await hub.restart()
    assert await status(hub, olga, "PATCH", f"/api/jobs/{job}/status", {"status": "cancelled"}) == (200, None)


async def test_money_that_a_running_hub_has_frozen_is_let_go_by_verify(hub: Hub) -> None:
    olga = await hub.signup()
    # As a look of the hub's own would, had it found something.
    with closing(sqlite3.connect(hub.data_dir / "hub.db")) as store:
        store.execute("INSERT INTO freezes VALUES (1, 0, 'a test')")
        store.commit()
    assert (await status(hub, olga, "POST", "/api/jobs", JOB))[0] == 503
    assert (await hub.cli("verify")).returncode == 0
    assert (await status(hub, olga, "POST", "/api/jobs", JOB))[0] == 201
