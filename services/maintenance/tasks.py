"""What does not stay as it is, and how long it does: jobs, the log, inbox rows, undos, kept answers, idle logins."""

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
from services.scheduling.scheduler import STEP_ROWS, FindDue, PeriodicTask
from services.tables import idempotent_responses
from services.tables import sessions as login_rows
from services.times import DAY

# The answers to idempotency keys are kept for at least 7 days.
ANSWERS_MS = 7 * DAY
# An expired notification leaves lists and counts about this soon.
EXPIRY_SECONDS = 1.0
LOG_SECONDS = 1.0
# Bids placed or withdrawn in a job's quiet second are told about this soon after it.
TELL_SECONDS = 0.25
# Who looked at a conversation and has not read on is notified this much after they were to be.
NOTICE_SECONDS = 1.0
# A job that is due has expired, or is completed, about this soon.
DUE_SECONDS = 1.0
UNDO_SECONDS = 30.0
SWEEP_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """How much is kept: events a channel, and milliseconds of log and inbox; 0 is no such bound."""

    log_events: int
    log_ms: int
    inbox_ms: int


def all_tasks(keep: RetentionPolicy) -> list[PeriodicTask]:
    """Every chore of the hub."""
    jobs = deadlines.DeadlineFinder()
    return [
        PeriodicTask(
            "due jobs",
            DUE_SECONDS,
            jobs.find_due,
            deadlines.process_due,
            rows=deadlines.STEP_ROWS,
            postpone=jobs.postpone,
        ),
        PeriodicTask("job updates", TELL_SECONDS, events.find_unpublished, events.publish_pending),
        PeriodicTask("message notices", NOTICE_SECONDS, notifications.find_due, notifications.notify_due),
        PeriodicTask(
            "log", LOG_SECONDS, log_retention.LogRetention(keep=keep.log_events, age=keep.log_ms).find_due, _trim
        ),
        PeriodicTask("expiry", EXPIRY_SECONDS, removal.find_expired, _expire),
        PeriodicTask("inbox", SWEEP_SECONDS, _old_rows(keep.inbox_ms), _purge),
        PeriodicTask("unsent attachments", SWEEP_SECONDS, records.find_unsent, records.delete_unsent),
        PeriodicTask("undos", UNDO_SECONDS, undo.find_expired, _drop_undos),
        PeriodicTask("push tests", SWEEP_SECONDS, _old_tests, _drop_tests),
        PeriodicTask(
            "answers", SWEEP_SECONDS, _any_before(idempotent_responses.c.created_at, ANSWERS_MS), _sweep_answers
        ),
        PeriodicTask("logins", SWEEP_SECONDS, _any_before(login_rows.c.used_at, sessions.IDLE_MS), _sweep_logins),
    ]


def _old_rows(kept_ms: int) -> FindDue:
    def find(tx: Connection, /, *, now: int, limit: int) -> list[str]:
        return removal.find_old(tx, before=now - kept_ms, limit=limit) if kept_ms else []

    return find


def _any_before(column: Column[int], kept_ms: int) -> FindDue:
    """Whether there is anything to sweep, so that the writer is asked only then."""
    statement = select(literal(1)).where(column < bindparam("before")).limit(1)

    def find(tx: Connection, /, *, now: int, limit: int) -> Sequence[Any]:
        return tx.execute(statement, {"before": now - kept_ms}).all()

    return find


def _trim(tx: Connection, /, *, found: Sequence[tuple[str, int]], now: int) -> None:
    log_retention.delete_and_mark(tx, rows=found)


def _expire(tx: Connection, /, *, found: Sequence[str], now: int) -> None:
    removal.expire(tx, ids=found, now=now)


def _purge(tx: Connection, /, *, found: Sequence[str], now: int) -> None:
    removal.purge(tx, ids=found, now=now)


def _drop_undos(tx: Connection, /, *, found: Sequence[str], now: int) -> None:
    undo.delete_undos(tx, ids=found)


def _old_tests(tx: Connection, /, *, now: int, limit: int) -> Sequence[str]:
    return queue.find_old_tests(tx, before=now - DAY, limit=limit)


def _drop_tests(tx: Connection, /, *, found: Sequence[str], now: int) -> None:
    queue.remove(tx, ids=found)


def _sweep_answers(tx: Connection, /, *, found: object, now: int) -> None:
    idempotency.delete_expired(tx, before=now - ANSWERS_MS, limit=STEP_ROWS)


def _sweep_logins(tx: Connection, /, *, found: object, now: int) -> None:
    sessions.delete_idle(tx, limit=STEP_ROWS, now=now)
