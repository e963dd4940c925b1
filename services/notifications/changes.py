"""Read, unread, seen, archived: what a user does to their inbox, told to all their tabs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from msgspec import UNSET
from sqlalchemy import Connection, bindparam, select

from services.errors import InvalidField
from services.ids import FORM
from services.notifications import change_steps as inbox_steps
from services.notifications import events as inbox_events
from services.notifications import undo as inbox_undo
from services.notifications.change_rules import ACTS, Verb
from services.notifications.change_steps import Changes, Rest, Step
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


def change(tx: Connection, *, user_id: str, verb: Verb, ids: Sequence[str], now: int) -> Changes:
    """Change these rows of a user, at most 1,000; those that are not theirs, or gone, are left out."""
    act, what = ACTS[verb], {"owner": user_id, "ids": list(dict.fromkeys(ids))}
    measured = tx.execute(act.measure_ids, what | {"at": now}).one()
    if not measured.changing:
        return _changes(verb, inbox_steps.counts(tx, user_id), None)
    mark, counts = inbox_steps.shift(tx, user_id, measured)
    changed = tx.execute(act.apply_ids, what | act.marks(now=now, change=mark)).all()
    newest_first = [row.id for row in sorted(changed, key=lambda row: -row.seq)]
    inbox_events.changed(tx, user_id, ids=newest_first, state=act.told, counts=counts, now=now)
    last = max(row.seq for row in changed)
    done = Rest(user_id=user_id, verb=verb, first=measured.first, last=last, change=mark)
    return _changes(verb, counts, inbox_undo.keep(tx, done, now))


def change_all(tx: Connection, *, user_id: str, verb: Verb, before: str, now: int) -> Step:
    """Begin to change everything in a user's list up to `before`, inclusive; `go_on` with the rest.

    `before` may be gone by now (retracted, replaced): it then stands for the place it had. Raises InvalidField.
    """
    if not FORM.fullmatch(before):
        raise InvalidField("/before", "type", "That is not the id of a notification.")
    asked = {"owner": user_id, "which": before}
    found = tx.execute(_EXACTLY, asked).one_or_none() or tx.execute(_UP_TO, asked).one_or_none()
    if found is None:
        return Step(_changes(verb, inbox_steps.counts(tx, user_id), None))
    return go_on(tx, rest=Rest(user_id=user_id, verb=verb, first=0, last=found.seq, before=found.id), now=now)


def go_on(tx: Connection, *, rest: Rest, now: int) -> Step:
    """Do the next part of a change of everything.

    An event says that everything up to some row is changed. So where others have changed the inbox since the part
    before, this one begins at the oldest row again.
    """
    act = ACTS[rest.verb]
    first = rest.first if inbox_steps.is_as_left(tx, rest) else 0
    part = inbox_steps.next_part(tx, act, replace(rest, first=first), STEP_ROWS)
    what: dict[str, Any] = {"owner": part.user_id, "first": part.first, "last": part.last}
    measured = tx.execute(act.measure_range, what | {"at": now}).one()
    if measured.changing:
        mark, counts = inbox_steps.shift(tx, part.user_id, measured)
        rest = _marked(tx, rest, mark, measured.first, now)
        tx.execute(act.apply_range, what | act.marks(now=now, change=rest.change))
        inbox_events.changed_all(tx, part.user_id, before=part.before, state=act.told, counts=counts, now=now)
    else:
        counts = inbox_steps.counts(tx, part.user_id)
    changes = _changes(rest.verb, counts, rest.undo_id)
    return Step(changes, None if part.last == rest.last else replace(rest, first=part.last + 1))


def _marked(tx: Connection, rest: Rest, mark: int, lowest: int, now: int) -> Rest:
    """The rest with the mark of its change, and with an undo that reaches down to the lowest row that was changed."""
    if rest.change is None:
        rest = replace(rest, change=mark, undo_id=inbox_undo.keep(tx, replace(rest, first=lowest, change=mark), now))
    elif rest.undo_id is not None and lowest < rest.first:
        inbox_undo.reach(tx, undo_id=rest.undo_id, first=lowest)
    return replace(rest, left_at=mark)


def _changes(verb: Verb, counts: Counts, undo_id: str | None) -> Changes:
    """The answer; what was seen cannot be unseen, so it has no undo."""
    return Changes(counts.unread, counts.unseen, UNSET if verb == "seen" else undo_id)
