"""The SQL of changing inbox rows: what each act changes, which rows it fits, and what it does to the counts."""

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
_KEPT = _n.expired_at.is_(None)

# A statement that gives rows.
Rows = Select[*tuple[Any, ...]]
_TOLD = (_n.id, _n.seq, _n.seen_at, _n.archived_at)
Values = Mapping[str, ColumnElement[Any]]


@dataclass(frozen=True)
class ChangeRule:
    """One way to change rows of an inbox, and the statements that do it.

    `measure…` gives `changing` (how many rows), `first` (the lowest seq) and the differences `unread` and `unseen`;
    `apply_ids` and `apply_range_telling` change them and give `id`, `seq`, `seen_at` and `archived_at`, `apply_range`
    gives nothing. Both take `owner` and either `ids` or `first` and `last` (seq,
    inclusive); a measure takes `at` (now, ms) too, or `change` where UNDOS look for it, and `apply…` takes the `marks`.
    `nth` finds the row that `earlier` others precede.
    """

    told: State
    measure_ids: Rows
    apply_ids: ReturningUpdate[*tuple[Any, ...]]
    measure_range: Rows
    apply_range: Update
    apply_range_telling: ReturningUpdate[*tuple[Any, ...]]
    nth: Rows
    needs: frozenset[str]

    def marks(self, *, now: int, change: int | None) -> dict[str, int | None]:
        """What of the time (ms) and the change's mark the `apply…` statements take."""
        return {name: value for name, value in (("at", now), ("change", change)) if name in self.needs}


def _act(
    told: State, fits: ColumnElement[bool], values: Values, fits_all: ColumnElement[bool] | None = None
) -> ChangeRule:
    """An act on the rows that fit; without naming ids it may fit fewer."""
    mine = _n.user_id == bindparam("owner")
    named = and_(mine, _n.id.in_(bindparam("ids", expanding=True)), fits)
    within = and_(
        mine,
        _n.seq >= bindparam("first"),
        _n.seq <= bindparam("last"),
        fits if fits_all is None else fits_all,
    )
    return ChangeRule(
        told=told,
        measure_ids=_measure(values).where(named),
        apply_ids=_apply(values).where(named).returning(*_TOLD),
        measure_range=_measure(values).where(within),
        apply_range=_apply(values).where(within),
        apply_range_telling=_apply(values).where(within).returning(*_TOLD),
        nth=select(_n.id, _n.seq).where(within).order_by(_n.seq).offset(bindparam("earlier")).limit(1),
        needs=frozenset(_apply(values).where(within).compile().params) & {"at", "change"},
    )


def _measure(values: Values) -> Rows:
    archived, read = values.get("archived_at", _n.archived_at), values.get("read_at", _n.read_at)
    seen = values.get("seen_at", _n.seen_at)
    unread = _counted(archived, read) - _counted(_n.archived_at, _n.read_at)
    unseen = _counted(archived, seen) - _counted(_n.archived_at, _n.seen_at)
    return select(
        func.count().label("changing"),
        func.min(_n.seq).label("first"),
        func.coalesce(func.sum(unread), 0).label("unread"),
        func.coalesce(func.sum(unseen), 0).label("unseen"),
    )


def _counted(archived: ColumnElement[Any], state: ColumnElement[Any]) -> ColumnElement[int]:
    """1 for a row that a count counts: `state` is when it was read or seen."""
    return case((and_(archived.is_(None), _n.expired_at.is_(None), state.is_(None)), 1), else_=0)


def _apply(values: Values) -> Update:
    return update(notifications).values(dict(values))


_now: ColumnElement[Any] = bindparam("at")
_change: ColumnElement[Any] = bindparam("change")

_READ_UNDO: Values = {
    "read_at": _n.read_before,
    "seen_at": _n.seen_before,
    "read_change": null(),
    "read_before": null(),
    "seen_before": null(),
}
_ARCHIVE_UNDO: Values = {"archived_at": _n.archived_before, "archive_change": null(), "archived_before": null()}
_BY_READ = and_(_KEPT, _n.read_change == _change)
_BY_ARCHIVE = and_(_KEPT, _n.archive_change == _change)

# Reading implies having seen. Without ids only what is in the list is read, or unread, or seen.
CHANGES: Mapping[Verb, ChangeRule] = {
    "read": _act(
        "read",
        and_(_KEPT, _n.read_at.is_(None)),
        {
            "read_at": _now,
            "seen_at": func.coalesce(_n.seen_at, _now),
            "read_change": _change,
            "read_before": null(),
            "seen_before": _n.seen_at,
        },
        and_(VISIBLE, _n.read_at.is_(None)),
    ),
    "unread": _act(
        "unread",
        and_(_KEPT, _n.read_at.is_not(None)),
        {"read_at": null(), "read_change": _change, "read_before": _n.read_at, "seen_before": _n.seen_at},
        and_(VISIBLE, _n.read_at.is_not(None)),
    ),
    "seen": _act("seen", and_(_KEPT, _n.seen_at.is_(None)), {"seen_at": _now}, and_(VISIBLE, _n.seen_at.is_(None))),
    "archive": _act("archived", VISIBLE, {"archived_at": _now, "archive_change": _change, "archived_before": null()}),
    "unarchive": _act(
        "unarchived",
        and_(_KEPT, _n.archived_at.is_not(None)),
        {"archived_at": null(), "archive_change": _change, "archived_before": _n.archived_at},
    ),
}

# What takes back what one change did, and nobody has changed since; only ranges are used of these.
UNDOS: Mapping[str, ChangeRule] = {
    "read": _act("unread", _BY_READ, _READ_UNDO),
    "unread": _act("read", _BY_READ, _READ_UNDO),
    "archive": _act("unarchived", _BY_ARCHIVE, _ARCHIVE_UNDO),
    "unarchive": _act("archived", _BY_ARCHIVE, _ARCHIVE_UNDO),
}
