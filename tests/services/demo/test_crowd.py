"""The demo crowd: reproducible steps in order of time, and a consistent store after the replay."""

from typing import Any

import msgspec
from sqlalchemy import Connection, text

from services.demo import crowd
from services.demo import steps as demo_steps
from services.demo.steps import Step
from services.jobs import statistics
from services.times import DAY_MS
from tests.services.jobs.job_factory import NOW, check_ledger


def rows(tx: Connection, sql: str) -> list[Any]:
    return [tuple(row) for row in tx.execute(text(sql))]


def replay(tx: Connection, steps: list[Step]) -> None:
    known_ids: dict[str, str] = {}
    for start in range(0, len(steps), 100):
        known_ids |= demo_steps.replay(tx, steps=steps[start : start + 100], known_ids=known_ids, now=NOW)


def test_steps_depend_on_the_seed_only() -> None:
    first, again = (crowd.generate_steps(now=NOW, currency="USD") for _ in range(2))
    assert msgspec.json.encode(first) == msgspec.json.encode(again)
    assert msgspec.json.encode(first) != msgspec.json.encode(crowd.generate_steps(now=NOW, currency="USD", seed=2))


def test_steps_are_in_order_of_time_and_reference_earlier_objects() -> None:
    steps = crowd.generate_steps(now=NOW, currency="USD")
    assert [step.at for step in steps] == sorted(step.at for step in steps)
    assert steps[0].at >= NOW - crowd.MAX_AGE_MS
    assert steps[-1].at < NOW - crowd.MIN_AGE_MS
    created: set[str] = set()
    for step in steps:
        assert {step.actor, step.target} - {""} <= created | {step.creates}
        created.add(step.creates)
    assert sum(step.action == "register" for step in steps) >= 200
    assert sum(step.action == "post" for step in steps) >= 300


def test_texts_have_no_placeholders_and_differ() -> None:
    steps = crowd.generate_steps(now=NOW, currency="USD")
    texts = [value for step in steps for value in step.arguments.values() if isinstance(value, str)]
    assert not any("{" in text or "lorem" in text.lower() for text in texts)
    titles = {step.arguments["title"] for step in steps if step.action == "post"}
    assert len(titles) > 250
    assert max(map(len, titles)) <= 120


def test_replayed_crowd_has_a_balanced_ledger_and_ordered_lists(tx: Connection) -> None:
    assert not demo_steps.has_crowd(tx)
    replay(tx, crowd.generate_steps(now=NOW, currency="USD"))
    assert demo_steps.has_crowd(tx)
    check_ledger(tx)
    statuses = dict(rows(tx, "SELECT status, count(*) FROM jobs GROUP BY 1"))
    assert set(statuses) == {"open", "assigned", "in_progress", "submitted", "completed", "cancelled"}
    totals = statistics.get_statistics(tx)
    assert (totals.open_jobs, totals.completed) == (statuses["open"], statuses["completed"])
    assert totals.paid_out > 0
    for table in ("jobs", "bids", "comments", "transfers", "users"):
        order = "seq" if table == "transfers" else "id"
        times = [at for (at,) in rows(tx, f"SELECT created_at FROM {table} ORDER BY {order}")]
        assert times == sorted(times), table
    assert rows(tx, "SELECT id FROM jobs ORDER BY seq") == rows(tx, "SELECT id FROM jobs ORDER BY id")
    # No user of the crowd can sign in, and no job is due immediately.
    assert rows(tx, "SELECT count(*) FROM users WHERE password_hash IS NOT NULL") == [(0,)]
    assert rows(tx, f"SELECT count(*) FROM jobs WHERE due_at < {NOW + DAY_MS}") == [(0,)]
