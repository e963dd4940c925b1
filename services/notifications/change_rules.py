"""The SQL of each inbox change and its inverse."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Select,
    Update,
    and_,
    bindparam,
    case,
    func,
    null,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from services.notifications.events import State
from services.tables import notifications

Verb = Literal["read", "unread", "seen", "archive", "unarchive"]

_n = notifications.c
VISIBLE = and_(_n.archived_at.is_(None), _n.expired_at.is_(None))
_NOT_EXPIRED = _n.expired_at.is_(None)

Query = Select[*tuple[Any, ...]]
_RETURNED = (_n.id, _n.seq, _n.seen_at, _n.archived_at)
Values = Mapping[str, ColumnElement[Any]]


@dataclass(frozen=True)
class ChangeRule:
    """The statements of one change of inbox rows.

    All statements take `owner_id`, and either `ids` or `first_seq` and `last_seq` (inclusive).
    `measure_…` return `changing` (number of rows), `first_seq` (the lowest) and the differences `unread` and `unseen`.
    They also take `now` (ms); those of UNDOS take `change` instead.
    `apply_…` update the rows and take `apply_parameters`. `apply_ids` and `apply_range_returning` return `id`, `seq`,
    `seen_at` and `archived_at`. `nth_row` returns the row after `offset` other rows.
    """

    state: State
    measure_ids: Query
    apply_ids: ReturningUpdate[*tuple[Any, ...]]
    measure_range: Query
    apply_range: Update
    apply_range_returning: ReturningUpdate[*tuple[Any, ...]]
    nth_row: Query
    parameters: frozenset[str]

    def apply_parameters(self, *, now: int, change: int | None) -> dict[str, int | None]:
        """Return the time (ms) and the change number, as far as the `apply_…` statements take them."""
        return {name: value for name, value in (("now", now), ("change", change)) if name in self.parameters}


def _rule(
    state: State, matches: ColumnElement[bool], values: Values, matches_range: ColumnElement[bool] | None = None
) -> ChangeRule:
    """Return the rule that sets `values` on matching rows; `matches_range` replaces `matches` for changes by range."""
    of_user = _n.user_id == bindparam("owner_id")
    by_ids = and_(of_user, _n.id.in_(bindparam("ids", expanding=True)), matches)
    by_range = and_(
        of_user,
        _n.seq >= bindparam("first_seq"),
        _n.seq <= bindparam("last_seq"),
        matches if matches_range is None else matches_range,
    )
    return ChangeRule(
        state=state,
        measure_ids=_measure(values).where(by_ids),
        apply_ids=_apply(values).where(by_ids).returning(*_RETURNED),
        measure_range=_measure(values).where(by_range),
        apply_range=_apply(values).where(by_range),
        apply_range_returning=_apply(values).where(by_range).returning(*_RETURNED),
        nth_row=select(_n.id, _n.seq).where(by_range).order_by(_n.seq).offset(bindparam("offset")).limit(1),
        parameters=frozenset(_apply(values).where(by_range).compile().params) & {"now", "change"},
    )


def _measure(values: Values) -> Query:
    archived, read = values.get("archived_at", _n.archived_at), values.get("read_at", _n.read_at)
    seen = values.get("seen_at", _n.seen_at)
    unread = _is_counted(archived, read) - _is_counted(_n.archived_at, _n.read_at)
    unseen = _is_counted(archived, seen) - _is_counted(_n.archived_at, _n.seen_at)
    return select(
        func.count().label("changing"),
        func.min(_n.seq).label("first_seq"),
        func.coalesce(func.sum(unread), 0).label("unread"),
        func.coalesce(func.sum(unseen), 0).label("unseen"),
    )


def _is_counted(archived_at: ColumnElement[Any], state_at: ColumnElement[Any]) -> ColumnElement[int]:
    """Return 1 for a row that a counter includes; `state_at` is the time at which the row was read or seen."""
    return case((and_(archived_at.is_(None), _n.expired_at.is_(None), state_at.is_(None)), 1), else_=0)


def _apply(values: Values) -> Update:
    return update(notifications).values(dict(values))


_now: ColumnElement[Any] = bindparam("now")
_change: ColumnElement[Any] = bindparam("change")

_READ_UNDO: Values = {
    "read_at": _n.previous_read_at,
    "seen_at": _n.previous_seen_at,
    "read_change": null(),
    "previous_read_at": null(),
    "previous_seen_at": null(),
}
_ARCHIVE_UNDO: Values = {
    "archived_at": _n.previous_archived_at,
    "archive_change": null(),
    "previous_archived_at": null(),
}
_READ_BY_CHANGE = and_(_NOT_EXPIRED, _n.read_change == _change)
_ARCHIVED_BY_CHANGE = and_(_NOT_EXPIRED, _n.archive_change == _change)

# A read row is also seen. A change by range affects only visible rows when it is read, unread or seen.
CHANGES: Mapping[Verb, ChangeRule] = {
    "read": _rule(
        "read",
        and_(_NOT_EXPIRED, _n.read_at.is_(None)),
        {
            "read_at": _now,
            "seen_at": func.coalesce(_n.seen_at, _now),
            "read_change": _change,
            "previous_read_at": null(),
            "previous_seen_at": _n.seen_at,
        },
        and_(VISIBLE, _n.read_at.is_(None)),
    ),
    "unread": _rule(
        "unread",
        and_(_NOT_EXPIRED, _n.read_at.is_not(None)),
        {"read_at": null(), "read_change": _change, "previous_read_at": _n.read_at, "previous_seen_at": _n.seen_at},
        and_(VISIBLE, _n.read_at.is_not(None)),
    ),
    "seen": _rule(
        "seen",
        and_(_NOT_EXPIRED, _n.seen_at.is_(None)),
        {"seen_at": _now},
        and_(VISIBLE, _n.seen_at.is_(None)),
    ),
    "archive": _rule(
        "archived", VISIBLE, {"archived_at": _now, "archive_change": _change, "previous_archived_at": null()}
    ),
    "unarchive": _rule(
        "unarchived",
        and_(_NOT_EXPIRED, _n.archived_at.is_not(None)),
        {"archived_at": null(), "archive_change": _change, "previous_archived_at": _n.archived_at},
    ),
}

# The inverse of each change, for rows that no later change has touched. Only the range statements are used.
UNDOS: Mapping[str, ChangeRule] = {
    "read": _rule("unread", _READ_BY_CHANGE, _READ_UNDO),
    "unread": _rule("read", _READ_BY_CHANGE, _READ_UNDO),
    "archive": _rule("unarchived", _ARCHIVED_BY_CHANGE, _ARCHIVE_UNDO),
    "unarchive": _rule("archived", _ARCHIVED_BY_CHANGE, _ARCHIVE_UNDO),
}
