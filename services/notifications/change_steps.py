"""How a change of many inbox rows goes on in steps, oldest rows first, and what it answers."""

from dataclasses import dataclass, replace
from typing import Any

from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, Row, bindparam, select, update

from services.notifications.change_rules import ChangeRule, Verb
from services.notifications.events import Counts
from services.notifications.inbox import counts_of
from services.schemas import Schema
from services.tables import inboxes

_SHIFT = (
    update(inboxes)
    .where(inboxes.c.user_id == bindparam("owner"))
    .values(
        seq=inboxes.c.seq + 1,
        unread=inboxes.c.unread + bindparam("unread_more"),
        unseen=inboxes.c.unseen + bindparam("unseen_more"),
    )
    .returning(inboxes.c.seq, inboxes.c.unread, inboxes.c.unseen)
)
_SEQ = select(inboxes.c.seq).where(inboxes.c.user_id == bindparam("owner"))


class ChangeResult(Schema, frozen=True):
    """The counts after a change, and what takes it back within 30 s (null: nothing was changed)."""

    unread: int
    unseen: int
    undo: str | UnsetType | None = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """What is still to be done of a change or undo of a user's rows, from `first` to `last` (seq, inclusive).

    `before` is the id that stands for `last` in events; `change` is the mark in the rows that are changed or put
    back, `undo_id` what takes the change back: both None until something was changed. `left_at` is the inbox's `seq`
    after the last part, which every change by anybody raises.
    """

    user_id: str
    verb: Verb
    first: int
    last: int
    before: str = ""
    change: int | None = None
    undo_id: str | None = None
    left_at: int | None = None


@dataclass(frozen=True, slots=True)
class StepResult:
    """How far a change has come; there is more to do while `rest` is not None."""

    changes: ChangeResult
    rest: Remaining | None = None


def next_part(tx: Connection, act: ChangeRule, rest: Remaining, rows: int) -> Remaining:
    """The part of `rest` that holds its first `rows` rows (all of it, if there are no more)."""
    what = {"owner": rest.user_id, "first": rest.first, "last": rest.last, "change": rest.change}
    end = tx.execute(act.nth, what | {"earlier": rows - 1}).one_or_none()
    return rest if end is None else replace(rest, last=end.seq, before=end.id)


def is_unchanged(tx: Connection, rest: Remaining) -> bool:
    """Whether nothing was added to the inbox or changed in it since the last part."""
    return rest.left_at == tx.execute(_SEQ, {"owner": rest.user_id}).scalar_one_or_none()


def update_counters(tx: Connection, user_id: str, measured: Row[*tuple[Any, ...]]) -> tuple[int, Counts]:
    """Change an inbox's counts by what was measured; a mark that no change of this inbox had before, and the counts."""
    more = {"owner": user_id, "unread_more": measured.unread, "unseen_more": measured.unseen}
    mark, unread, unseen = tx.execute(_SHIFT, more).one()
    return mark, Counts(unread, unseen)


def counts(tx: Connection, user_id: str) -> Counts:
    """The counts of an inbox, which may not have been made yet."""
    return counts_of(tx, ids=[user_id]).get(user_id, Counts(0, 0))
