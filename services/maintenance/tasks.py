"""The list of periodic tasks and their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, bindparam, literal, select

from services.accounts import sessions
from services.attachments import records
from services.database import idempotency
from services.delivery import queue
from services.event_log import log_retention
from services.jobs import deadlines, events
from services.messages import notifications
from services.notifications import removal, undo
from services.scheduling.scheduler import MAX_STEP_ROWS, FindDue, PeriodicTask
from services.tables import idempotent_responses
from services.tables import sessions as sessions_table
from services.times import DAY_MS

# The response to an idempotency key is kept at least this long.
IDEMPOTENT_RESPONSE_MS = 7 * DAY_MS
# Intervals of the tasks: how late an item is processed at most, if the writer is not busy.
EXPIRY_SECONDS = 1.0
LOG_SECONDS = 1.0
JOB_UPDATE_SECONDS = 0.25
MESSAGE_NOTIFICATION_SECONDS = 1.0
DEADLINE_SECONDS = 1.0
UNDO_SECONDS = 30.0
# For items that no user waits for.
SWEEP_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """The number of events to keep per channel, and the age in ms of events and notifications; 0 is no limit."""

    log_events: int
    log_ms: int
    inbox_ms: int


def all_tasks(policy: RetentionPolicy) -> list[PeriodicTask]:
    """Return every periodic task of the hub except the ledger check."""
    job_deadlines = deadlines.DeadlineFinder()
    log = log_retention.LogRetention(max_events=policy.log_events, max_age_ms=policy.log_ms)
    responses_due = _exists_before(idempotent_responses.c.created_at, IDEMPOTENT_RESPONSE_MS)
    sessions_due = _exists_before(sessions_table.c.used_at, sessions.IDLE_MS)
    return [
        PeriodicTask(
            "job deadlines",
            DEADLINE_SECONDS,
            job_deadlines.find_due,
            deadlines.process_due,
            rows=deadlines.STEP_ROWS,
            postpone=job_deadlines.postpone,
        ),
        PeriodicTask("job updates", JOB_UPDATE_SECONDS, events.find_unpublished, events.publish_pending),
        PeriodicTask(
            "message notifications", MESSAGE_NOTIFICATION_SECONDS, notifications.find_due, notifications.notify_due
        ),
        PeriodicTask("log", LOG_SECONDS, log.find_due, _trim_log),
        PeriodicTask("expired notifications", EXPIRY_SECONDS, removal.find_expired, _expire),
        PeriodicTask("old notifications", SWEEP_SECONDS, _find_old_notifications(policy.inbox_ms), _purge),
        PeriodicTask("unsent attachments", SWEEP_SECONDS, records.find_unsent, records.delete_unsent),
        PeriodicTask("inbox undos", UNDO_SECONDS, undo.find_expired, _delete_undos),
        PeriodicTask("test deliveries", SWEEP_SECONDS, _find_old_tests, _delete_tests),
        PeriodicTask("idempotent responses", SWEEP_SECONDS, responses_due, _delete_responses),
        PeriodicTask("idle sessions", SWEEP_SECONDS, sessions_due, _delete_idle_sessions),
    ]


def _find_old_notifications(max_age_ms: int) -> FindDue:
    def find(tx: Connection, /, *, now: int, limit: int) -> list[str]:
        return removal.find_old(tx, before=now - max_age_ms, limit=limit) if max_age_ms else []

    return find


def _exists_before(column: Column[int], max_age_ms: int) -> FindDue:
    """Return a query for at most one row that is too old, so that the writer is used only if there is one."""
    statement = select(literal(1)).where(column < bindparam("before")).limit(1)

    def find(tx: Connection, /, *, now: int, limit: int) -> Sequence[Any]:
        return tx.execute(statement, {"before": now - max_age_ms}).all()

    return find


def _trim_log(tx: Connection, /, *, found: Sequence[tuple[str, int]], now: int) -> None:
    log_retention.delete_and_mark(tx, rows=found)


def _expire(tx: Connection, /, *, found: Sequence[str], now: int) -> None:
    removal.expire(tx, ids=found, now=now)


def _purge(tx: Connection, /, *, found: Sequence[str], now: int) -> None:
    removal.purge(tx, ids=found, now=now)


def _delete_undos(tx: Connection, /, *, found: Sequence[str], now: int) -> None:
    undo.delete_undos(tx, ids=found)


def _find_old_tests(tx: Connection, /, *, now: int, limit: int) -> Sequence[str]:
    return queue.find_old_tests(tx, before=now - DAY_MS, limit=limit)


def _delete_tests(tx: Connection, /, *, found: Sequence[str], now: int) -> None:
    queue.delete_tests(tx, ids=found)


def _delete_responses(tx: Connection, /, *, found: object, now: int) -> None:
    idempotency.delete_expired(tx, before=now - IDEMPOTENT_RESPONSE_MS, limit=MAX_STEP_ROWS)


def _delete_idle_sessions(tx: Connection, /, *, found: object, now: int) -> None:
    sessions.delete_idle(tx, limit=MAX_STEP_ROWS, now=now)
