"""Takes back exactly what a change of the inbox did, within 30 seconds.

Every row keeps which change touched its read and its archived state last, and what they were before. So an undo is
small however much it covers, and leaves alone what was changed again, replaced, retracted or has expired since.
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
from services.notifications.events import IDS_AT_ONCE, Counts
from services.tables import inbox_undos
from services.times import SECOND

UNDO_MS = 30 * SECOND

_KEEP = insert(inbox_undos)
_FIND = select(inbox_undos).where(
    inbox_undos.c.id == bindparam("which"),
    inbox_undos.c.user_id == bindparam("owner"),
    inbox_undos.c.created_at > bindparam("after"),
)
_REACH = (
    update(inbox_undos)
    .where(inbox_undos.c.id == bindparam("which"))
    .values(first_seq=func.min(inbox_undos.c.first_seq, bindparam("lowest")))
)
_DUE = select(inbox_undos.c.id).where(inbox_undos.c.created_at <= bindparam("before")).limit(bindparam("most"))
_DROP = delete(inbox_undos).where(inbox_undos.c.id.in_(bindparam("ids", expanding=True)))


def create_undo(tx: Connection, done: Remaining, now: int) -> str | None:
    """Remember a change, so that it can be taken back; the id for it, None where that cannot be."""
    if done.verb not in UNDOS:
        return None
    undo_id = new_id()
    row = {
        "id": undo_id,
        "user_id": done.user_id,
        "verb": done.verb,
        "change": done.change,
        "first_seq": done.first,
        "last_seq": done.last,
        "created_at": now,
    }
    tx.execute(_KEEP, row)
    return undo_id


def extend_range(tx: Connection, *, undo_id: str, first: int) -> None:
    """Let an undo begin at this row (its seq), if it does not begin before."""
    tx.execute(_REACH, {"which": undo_id, "lowest": first})


def undo(tx: Connection, *, user_id: str, undo: str, now: int) -> StepResult:
    """Begin to put back what a change did; `go_back` with the rest.

    Asking again within the 30 seconds does no harm. Raises NotFound when they are over.
    """
    kept = tx.execute(_FIND, {"which": undo, "owner": user_id, "after": now - UNDO_MS}).one_or_none()
    if kept is None:
        raise NotFound("There is nothing to undo, or no longer.")
    rest = Remaining(user_id=user_id, verb=kept.verb, first=kept.first_seq, last=kept.last_seq, change=kept.change)
    return continue_undo(tx, rest=rest, now=now)


def continue_undo(tx: Connection, *, rest: Remaining, now: int) -> StepResult:
    """Do the next part of an undo."""
    act = UNDOS[rest.verb]
    part = change_steps.next_part(tx, act, rest, IDS_AT_ONCE)
    what: dict[str, Any] = {"owner": part.user_id, "first": part.first, "last": part.last, "change": part.change}
    measured = tx.execute(act.measure_range, what).one()
    if not measured.changing:
        return StepResult(_changes(change_steps.counts(tx, part.user_id)), _after(part, rest))
    _, counts = change_steps.update_counters(tx, part.user_id, measured)
    _tell(tx, part, tx.execute(act.apply_range_telling, what).all(), counts, now)
    return StepResult(_changes(counts), _after(part, rest))


def find_expired(tx: Connection, *, now: int, limit: int) -> list[str]:
    """At most `limit` undos whose time is over."""
    return list(tx.execute(_DUE, {"before": now - UNDO_MS, "most": limit}).scalars())


def delete_undos(tx: Connection, *, ids: Sequence[str]) -> None:
    """Forget these undos."""
    tx.execute(_DROP, {"ids": list(ids)})


def _tell(tx: Connection, part: Remaining, rows: Sequence[Row[*tuple[Any, ...]]], counts: Counts, now: int) -> None:
    """Those that are unseen again in an event of their own, with the counts between the two."""
    state, newest_first = UNDOS[part.verb].told, sorted(rows, key=lambda row: -row.seq)
    unseen = [row for row in newest_first if row.seen_at is None] if state == "unread" else []
    others = [row for row in newest_first if row.seen_at is not None or not unseen]
    if unseen:
        later = sum(row.archived_at is None for row in others)
        between = Counts(counts.unread - later, counts.unseen)
        ids = [row.id for row in unseen]
        events.publish_changed(tx, part.user_id, ids=ids, state=state, counts=between, seen=False, now=now)
    if others:
        ids = [row.id for row in others]
        events.publish_changed(tx, part.user_id, ids=ids, state=state, counts=counts, seen=UNSET, now=now)


def _after(part: Remaining, rest: Remaining) -> Remaining | None:
    """What remains of `rest` when `part` is done."""
    return None if part.last == rest.last else replace(rest, first=part.last + 1)


def _changes(counts: Counts) -> ChangeResult:
    return ChangeResult(counts.unread, counts.unseen)
