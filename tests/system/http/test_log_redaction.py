"""A statement that fails is told to the log, what people wrote or are called in it is not."""

import sqlite3
from contextlib import closing

import anyio.to_thread
import pytest

from tests.support.hub import Hub

SECRET = "s3cret"
# Refuses what the writer writes, and hides from the readers what they look for.
BREAK_WRITES = (
    "CREATE TRIGGER broken BEFORE INSERT ON notifications BEGIN SELECT RAISE(ABORT, 'broken on purpose'); END"
)
BREAK_READS = "ALTER TABLE users RENAME COLUMN password_hash TO elsewhere"


@pytest.mark.parametrize("damage", [BREAK_WRITES, BREAK_READS], ids=["writer", "reader"])
async def test_a_failed_statement_is_in_the_log_without_its_parameters(hub: Hub, damage: str) -> None:
    ann, key = await hub.signup(), await hub.api_key("notify")
    assert await hub.stop() == 0
    with closing(sqlite3.connect(hub.data_dir / "hub.db")) as connection:
        connection.execute(damage)
    await hub.restart()
    hub.expects_errors = True
    note = {"userId": ann.id, "type": "note", "category": "system", "title": SECRET, "body": f"{SECRET} body"}
    login = {"email": f"{SECRET}@example.org", "password": f"{SECRET} password"}
    if damage == BREAK_WRITES:
        answer = await hub.client(key).post("/api/realtime/notifications/send", json=note)
    else:
        answer = await hub.client().post("/api/auth/login", json=login)
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL")
    assert SECRET not in answer.text
    # It is logged after it was answered.
    await anyio.to_thread.run_sync(
        hub.server.wait_log, lambda: bool(hub.lines("request_failed") and hub.lines("request"))
    )
    (failed,) = hub.lines("request_failed")
    assert failed["request_id"] == answer.json()["requestId"]
    assert "[SQL: " in failed["exception"], "the statement itself is there, so that somebody can find the fault"
    assert SECRET not in hub.log
