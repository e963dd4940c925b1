"""Read, unread, seen, archived: what a user does to their inbox, told to all their tabs."""

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

# Rows one transaction changes: some 50 ms, in which nobody else can write.
STEP_ROWS = 5_000

_n = notifications.c
_EXACTLY = select(_n.id, _n.seq).where(_n.id == bindparam("which"), _n.user_id == bindparam("owner"))
_UP_TO = (
    select(_n.id, _n.seq)
    .where(_n.user_id == bindparam("owner"), _n.id < bindparam("which"))
    .order_by(_n.seq.desc())
    .limit(1)
)


def change_ids(tx: Connection, *, user_id: str, verb: Verb, ids: Sequence[str], now: int) -> ChangeResult:
    """Change these rows of a user, at most 1,000; those that are not theirs, or gone, are left out."""
    act, what = CHANGES[verb], {"owner": user_id, "ids": list(dict.fromkeys(ids))}
    measured = tx.execute(act.measure_ids, what | {"at": now}).one()
    if not measured.changing:
        return _changes(verb, change_steps.counts(tx, user_id), None)
    mark, counts = change_steps.update_counters(tx, user_id, measured)
    changed = tx.execute(act.apply_ids, what | act.marks(now=now, change=mark)).all()
    newest_first = [row.id for row in sorted(changed, key=lambda row: -row.seq)]
    events.publish_changed(tx, user_id, ids=newest_first, state=act.told, counts=counts, now=now)
    last = max(row.seq for row in changed)
    done = Remaining(user_id=user_id, verb=verb, first=measured.first, last=last, change=mark)
    return _changes(verb, counts, undo.create_undo(tx, done, now))


def change_up_to(tx: Connection, *, user_id: str, verb: Verb, before: str, now: int) -> StepResult:
    """Begin to change everything in a user's list up to `before`, inclusive; `go_on` with the rest.

    `before` may be gone by now (retracted, replaced): it then stands for the place it had. Raises InvalidField.
    """
    if not ID_PATTERN.fullmatch(before):
        raise InvalidField("/before", "type", "That is not the id of a notification.")
    asked = {"owner": user_id, "which": before}
    found = tx.execute(_EXACTLY, asked).one_or_none() or tx.execute(_UP_TO, asked).one_or_none()
    if found is None:
        return StepResult(_changes(verb, change_steps.counts(tx, user_id), None))
    return continue_change(
        tx, rest=Remaining(user_id=user_id, verb=verb, first=0, last=found.seq, before=found.id), now=now
    )


def continue_change(tx: Connection, *, rest: Remaining, now: int) -> StepResult:
    """Do the next part of a change of everything.

    An event says that everything up to some row is changed. So where others have changed the inbox since the part
    before, this one begins at the oldest row again.
    """
    act = CHANGES[rest.verb]
    first = rest.first if change_steps.is_unchanged(tx, rest) else 0
    part = change_steps.next_part(tx, act, replace(rest, first=first), STEP_ROWS)
    what: dict[str, Any] = {"owner": part.user_id, "first": part.first, "last": part.last}
    measured = tx.execute(act.measure_range, what | {"at": now}).one()
    if measured.changing:
        mark, counts = change_steps.update_counters(tx, part.user_id, measured)
        rest = _marked(tx, rest, mark, measured.first, now)
        tx.execute(act.apply_range, what | act.marks(now=now, change=rest.change))
        events.publish_changed_up_to(tx, part.user_id, before=part.before, state=act.told, counts=counts, now=now)
    else:
        counts = change_steps.counts(tx, part.user_id)
    changes = _changes(rest.verb, counts, rest.undo_id)
    return StepResult(changes, None if part.last == rest.last else replace(rest, first=part.last + 1))


def _marked(tx: Connection, rest: Remaining, mark: int, lowest: int, now: int) -> Remaining:
    """The rest with the mark of its change, and with an undo that reaches down to the lowest row that was changed."""
    if rest.change is None:
        rest = replace(rest, change=mark, undo_id=undo.create_undo(tx, replace(rest, first=lowest, change=mark), now))
    elif rest.undo_id is not None and lowest < rest.first:
        undo.extend_range(tx, undo_id=rest.undo_id, first=lowest)
    return replace(rest, left_at=mark)


def _changes(verb: Verb, counts: Counts, undo_id: str | None) -> ChangeResult:
    """The answer; what was seen cannot be unseen, so it has no undo."""
    return ChangeResult(counts.unread, counts.unseen, UNSET if verb == "seen" else undo_id)
