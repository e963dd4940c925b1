"""Reverts an inbox change within 30 seconds.

Each row stores the last change of its read and archived state, and the values before it. An undo record is therefore
small, and an undo skips rows that were changed again, replaced, retracted or expired.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from msgspec import UNSET
from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from services.errors import NotFound
from services.ids import new_id
from services.notifications import change_steps, events
from services.notifications.change_rules import UNDOS
from services.notifications.change_steps import ChangeResult, Remaining, StepResult
from services.notifications.events import MAX_IDS_PER_EVENT, Counts
from services.tables import inbox_undos
from services.times import SECOND_MS

UNDO_WINDOW_MS = 30 * SECOND_MS

_INSERT = insert(inbox_undos)
_FIND = select(inbox_undos).where(
    inbox_undos.c.id == bindparam("id"),
    inbox_undos.c.user_id == bindparam("user_id"),
    inbox_undos.c.created_at > bindparam("after"),
)
_EXTEND_RANGE = (
    update(inbox_undos)
    .where(inbox_undos.c.id == bindparam("undo_id"))
    .values(first_seq=func.min(inbox_undos.c.first_seq, bindparam("lowest_seq")))
)
_EXPIRED = select(inbox_undos.c.id).where(inbox_undos.c.created_at <= bindparam("before")).limit(bindparam("limit"))
_DELETE = delete(inbox_undos).where(inbox_undos.c.id.in_(bindparam("ids", expanding=True)))


def create_undo(tx: Connection, change: Remaining, now: int) -> str | None:
    """Create the undo record of a change and return its id; None if the change cannot be undone."""
    if change.verb not in UNDOS:
        return None
    undo_id = new_id()
    row = {
        "id": undo_id,
        "user_id": change.user_id,
        "verb": change.verb,
        "change": change.change,
        "first_seq": change.first_seq,
        "last_seq": change.last_seq,
        "created_at": now,
    }
    tx.execute(_INSERT, row)
    return undo_id


def extend_range(tx: Connection, *, undo_id: str, first_seq: int) -> None:
    """Let an undo start at `first_seq` if it starts at a later row."""
    tx.execute(_EXTEND_RANGE, {"undo_id": undo_id, "lowest_seq": first_seq})


def undo(tx: Connection, *, user_id: str, undo_id: str, now: int) -> StepResult:
    """Start to revert a change; `continue_undo` does the remaining part.

    Repeating it within UNDO_WINDOW_MS changes nothing. Raises NotFound for an unknown id and after that time.
    """
    record = tx.execute(_FIND, {"id": undo_id, "user_id": user_id, "after": now - UNDO_WINDOW_MS}).one_or_none()
    if record is None:
        raise NotFound("There is no such change, or it can no longer be undone.")
    remaining = Remaining(
        user_id=user_id,
        verb=record.verb,
        first_seq=record.first_seq,
        last_seq=record.last_seq,
        change=record.change,
    )
    return continue_undo(tx, remaining=remaining, now=now)


def continue_undo(tx: Connection, *, remaining: Remaining, now: int) -> StepResult:
    """Do the next part of an undo."""
    rule = UNDOS[remaining.verb]
    part = change_steps.find_next_part(tx, rule, remaining, MAX_IDS_PER_EVENT)
    parameters: dict[str, Any] = {
        "owner_id": part.user_id,
        "first_seq": part.first_seq,
        "last_seq": part.last_seq,
        "change": part.change,
    }
    measured = tx.execute(rule.measure_range, parameters).one()
    if not measured.changing:
        counts = change_steps.get_counts(tx, part.user_id)
    else:
        _, counts = change_steps.update_counters(tx, part.user_id, measured)
        _publish(tx, part, tx.execute(rule.apply_range_returning, parameters).all(), counts, now)
    is_done = part.last_seq == remaining.last_seq
    return StepResult(
        ChangeResult(counts.unread, counts.unseen),
        None if is_done else replace(remaining, first_seq=part.last_seq + 1),
    )


def find_expired(tx: Connection, *, now: int, limit: int) -> list[str]:
    """Return the ids of at most `limit` undo records that can no longer be used."""
    return list(tx.execute(_EXPIRED, {"before": now - UNDO_WINDOW_MS, "limit": limit}).scalars())


def delete_undos(tx: Connection, *, ids: Sequence[str]) -> None:
    """Delete undo records."""
    tx.execute(_DELETE, {"ids": list(ids)})


def _publish(tx: Connection, part: Remaining, rows: Sequence[Row[*tuple[Any, ...]]], counts: Counts, now: int) -> None:
    """Publish the reverted rows; rows that are unseen again get a separate event, with the counts between the two."""
    state, newest_first = UNDOS[part.verb].state, sorted(rows, key=lambda row: -row.seq)
    unseen = [row for row in newest_first if row.seen_at is None] if state == "unread" else []
    others = [row for row in newest_first if row.seen_at is not None or not unseen]
    if unseen:
        unread_later = sum(row.archived_at is None for row in others)
        counts_between = Counts(counts.unread - unread_later, counts.unseen)
        ids = [row.id for row in unseen]
        events.publish_changed(tx, part.user_id, ids=ids, state=state, counts=counts_between, seen=False, now=now)
    if others:
        ids = [row.id for row in others]
        events.publish_changed(tx, part.user_id, ids=ids, state=state, counts=counts, seen=UNSET, now=now)
