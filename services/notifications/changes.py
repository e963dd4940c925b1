"""Marks notifications read, unread, seen, archived or unarchived."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from msgspec import UNSET
from sqlalchemy import Connection, bindparam, select

from services.errors import InvalidField
from services.ids import ID_PATTERN
from services.notifications import change_steps, events, undo
from services.notifications.change_rules import CHANGES, Verb
from services.notifications.change_steps import ChangeResult, Remaining, StepResult
from services.notifications.events import Counts
from services.tables import notifications

# Rows that one transaction changes. The writer is busy for about 50 ms with so many.
MAX_STEP_ROWS = 5_000

_n = notifications.c
_EXACT = select(_n.id, _n.seq).where(_n.id == bindparam("id"), _n.user_id == bindparam("user_id"))
_LAST_BEFORE = (
    select(_n.id, _n.seq)
    .where(_n.user_id == bindparam("user_id"), _n.id < bindparam("id"))
    .order_by(_n.seq.desc())
    .limit(1)
)


def change_ids(tx: Connection, *, user_id: str, verb: Verb, ids: Sequence[str], now: int) -> ChangeResult:
    """Change these notifications of a user, at most 1,000; unknown ids and those of other users are ignored."""
    rule, parameters = CHANGES[verb], {"owner_id": user_id, "ids": list(dict.fromkeys(ids))}
    measured = tx.execute(rule.measure_ids, parameters | {"now": now}).one()
    if not measured.changing:
        return _to_result(verb, change_steps.get_counts(tx, user_id), None)
    change, counts = change_steps.update_counters(tx, user_id, measured)
    changed = tx.execute(rule.apply_ids, parameters | rule.apply_parameters(now=now, change=change)).all()
    newest_first = [row.id for row in sorted(changed, key=lambda row: -row.seq)]
    events.publish_changed(tx, user_id, ids=newest_first, state=rule.state, counts=counts, now=now)
    last_seq = max(row.seq for row in changed)
    done = Remaining(user_id=user_id, verb=verb, first_seq=measured.first_seq, last_seq=last_seq, change=change)
    return _to_result(verb, counts, undo.create_undo(tx, done, now))


def change_up_to(tx: Connection, *, user_id: str, verb: Verb, before: str, now: int) -> StepResult:
    """Start to change all notifications of a user up to `before`, inclusive; `continue_change` does the remaining part.

    `before` may be an id that was removed: it then stands for its former position. Raises InvalidField for any other
    text.
    """
    if not ID_PATTERN.fullmatch(before):
        raise InvalidField("/before", "type", "This is not the id of a notification.")
    parameters = {"user_id": user_id, "id": before}
    found = tx.execute(_EXACT, parameters).one_or_none() or tx.execute(_LAST_BEFORE, parameters).one_or_none()
    if found is None:
        return StepResult(_to_result(verb, change_steps.get_counts(tx, user_id), None))
    remaining = Remaining(user_id=user_id, verb=verb, first_seq=0, last_seq=found.seq, before=found.id)
    return continue_change(tx, remaining=remaining, now=now)


def continue_change(tx: Connection, *, remaining: Remaining, now: int) -> StepResult:
    """Do the next part of a change by range.

    The event says that everything up to a row has changed. If other changes were made since the previous part, this
    part therefore starts at the oldest row again.
    """
    rule = CHANGES[remaining.verb]
    first_seq = remaining.first_seq if change_steps.is_unchanged(tx, remaining) else 0
    part = change_steps.find_next_part(tx, rule, replace(remaining, first_seq=first_seq), MAX_STEP_ROWS)
    parameters: dict[str, Any] = {
        "owner_id": part.user_id,
        "first_seq": part.first_seq,
        "last_seq": part.last_seq,
    }
    measured = tx.execute(rule.measure_range, parameters | {"now": now}).one()
    if measured.changing:
        change, counts = change_steps.update_counters(tx, part.user_id, measured)
        remaining = _with_undo(tx, remaining, change, measured.first_seq, now)
        tx.execute(rule.apply_range, parameters | rule.apply_parameters(now=now, change=remaining.change))
        events.publish_changed_up_to(tx, part.user_id, before=part.before, state=rule.state, counts=counts, now=now)
    else:
        counts = change_steps.get_counts(tx, part.user_id)
    result = _to_result(remaining.verb, counts, remaining.undo_id)
    is_done = part.last_seq == remaining.last_seq
    return StepResult(result, None if is_done else replace(remaining, first_seq=part.last_seq + 1))


def _with_undo(tx: Connection, remaining: Remaining, change: int, lowest_seq: int, now: int) -> Remaining:
    """Return `remaining` with its change number, and with an undo record that includes the lowest changed row."""
    if remaining.change is None:
        undo_id = undo.create_undo(tx, replace(remaining, first_seq=lowest_seq, change=change), now)
        remaining = replace(remaining, change=change, undo_id=undo_id)
    elif remaining.undo_id is not None and lowest_seq < remaining.first_seq:
        undo.extend_range(tx, undo_id=remaining.undo_id, first_seq=lowest_seq)
    return replace(remaining, inbox_seq=change)


def _to_result(verb: Verb, counts: Counts, undo_id: str | None) -> ChangeResult:
    """Return the response; `seen` has no undo."""
    return ChangeResult(counts.unread, counts.unseen, UNSET if verb == "seen" else undo_id)
