"""Splits a change of many rows into bounded steps."""

from dataclasses import dataclass, replace
from typing import Any

from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, Row, bindparam, select, update

from services.notifications.change_rules import ChangeRule, Verb
from services.notifications.events import Counts
from services.notifications.inbox import load_counts
from services.schemas import Schema
from services.tables import inboxes

_UPDATE_COUNTERS = (
    update(inboxes)
    .where(inboxes.c.user_id == bindparam("owner_id"))
    .values(
        seq=inboxes.c.seq + 1,
        unread=inboxes.c.unread + bindparam("unread_difference"),
        unseen=inboxes.c.unseen + bindparam("unseen_difference"),
    )
    .returning(inboxes.c.seq, inboxes.c.unread, inboxes.c.unseen)
)
_SEQ = select(inboxes.c.seq).where(inboxes.c.user_id == bindparam("user_id"))


class ChangeResult(Schema, frozen=True):
    """The counts after a change, and the id that reverts it within 30 s (null: nothing changed)."""

    unread: int
    unseen: int
    undo: str | UnsetType | None = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """The part of a change or undo that is still to be done, from `first_seq` to `last_seq` (inclusive).

    `before` is the id of the row `last_seq`, used in events. `change` is the number stored in changed rows, and
    `undo_id` identifies the undo record; both are None until a row was changed. `inbox_seq` is the inbox's `seq` after
    the previous part. Every change of the inbox increments `seq`.
    """

    user_id: str
    verb: Verb
    first_seq: int
    last_seq: int
    before: str = ""
    change: int | None = None
    undo_id: str | None = None
    inbox_seq: int | None = None


@dataclass(frozen=True, slots=True)
class StepResult:
    """The result of a step; the change is complete when `remaining` is None."""

    result: ChangeResult
    remaining: Remaining | None = None


def find_next_part(tx: Connection, rule: ChangeRule, remaining: Remaining, max_rows: int) -> Remaining:
    """Return the part of `remaining` with its first `max_rows` rows, or all of it if it has fewer."""
    parameters = {
        "owner_id": remaining.user_id,
        "first_seq": remaining.first_seq,
        "last_seq": remaining.last_seq,
        "change": remaining.change,
        "offset": max_rows - 1,
    }
    end = tx.execute(rule.nth_row, parameters).one_or_none()
    return remaining if end is None else replace(remaining, last_seq=end.seq, before=end.id)


def is_unchanged(tx: Connection, remaining: Remaining) -> bool:
    """Return whether the inbox is the same as after the previous part."""
    return remaining.inbox_seq == tx.execute(_SEQ, {"user_id": remaining.user_id}).scalar_one_or_none()


def update_counters(tx: Connection, user_id: str, measured: Row[*tuple[Any, ...]]) -> tuple[int, Counts]:
    """Apply measured differences to an inbox; return a change number unique in this inbox, and the new counts."""
    parameters = {
        "owner_id": user_id,
        "unread_difference": measured.unread,
        "unseen_difference": measured.unseen,
    }
    change, unread, unseen = tx.execute(_UPDATE_COUNTERS, parameters).one()
    return change, Counts(unread, unseen)


def get_counts(tx: Connection, user_id: str) -> Counts:
    """Return the counts of an inbox; zeros for a user without an inbox."""
    return load_counts(tx, ids=[user_id]).get(user_id, Counts(0, 0))
