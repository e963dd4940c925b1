"""Log redaction: a failed SQL statement is logged without its parameters."""

import sqlite3
from contextlib import closing

import anyio.to_thread
import pytest

from tests.support.hub import Hub

SECRET = "s3cret"
# The trigger makes a write fail, the renamed column makes a read fail.
BREAK_WRITES = (
    "CREATE TRIGGER broken BEFORE INSERT ON notifications BEGIN SELECT RAISE(ABORT, 'broken on purpose'); END"
)
BREAK_READS = "ALTER TABLE users RENAME COLUMN password_hash TO elsewhere"


@pytest.mark.parametrize("damage", [BREAK_WRITES, BREAK_READS], ids=["writer", "reader"])
async def test_failed_statement_is_logged_without_its_parameters(hub: Hub, damage: str) -> None:
    ann, key = await hub.signup(), await hub.api_key("notify")
    assert await hub.stop() == 0
    with closing(sqlite3.connect(hub.data_dir / "hub.db")) as connection:
        connection.execute(damage)
    await hub.restart()
    hub.expects_errors = True
    notification = {"userId": ann.id, "type": "note", "category": "system", "title": SECRET, "body": f"{SECRET} body"}
    login = {"email": f"{SECRET}@example.org", "password": f"{SECRET} password"}
    if damage == BREAK_WRITES:
        response = await hub.client(key).post("/api/realtime/notifications/send", json=notification)
    else:
        response = await hub.client().post("/api/auth/login", json=login)
    assert (response.status_code, response.json()["code"]) == (500, "INTERNAL")
    assert SECRET not in response.text
    # The hub logs the failure after it has sent the response.
    await anyio.to_thread.run_sync(
        hub.server.wait_for_log, lambda: bool(hub.lines("request_failed") and hub.lines("request"))
    )
    (failed,) = hub.lines("request_failed")
    assert failed["request_id"] == response.json()["requestId"]
    assert "[SQL: " in failed["exception"], "the log contains the statement, so that operators can find the cause"
    assert SECRET not in hub.log
