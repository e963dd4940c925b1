"""The books, added up again in steps that stall nobody; where they do not add up, money is frozen until they do.

A step looks at a page of accounts, of jobs or of transfers; what it compares is all in its own snapshot. Accounts and
jobs are held against their transfers first, then the transfers against each other, up to the last that was seen:
nothing changes a transfer, so those need no snapshot in common. So no read is long, and the log is free to be cut.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from sqlalchemy import (
    Connection,
    FromClause,
    Row,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    case,
    delete,
    desc,
    func,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from services import pagination
from services.tables import accounts, bids, freezes, jobs, transfers

Part = Literal["accounts", "jobs", "transfers"]

# Rows of a step: some milliseconds of a reader.
MAX_ROWS_PER_STEP: Final = 500
# Faults that one look tells of; there may be as many as there are rows.
MAX_FAULTS: Final = 20

_Row = Row[*tuple[Any, ...]]

_AT_WORK: Final = ("assigned", "in_progress", "submitted")
_OVER: Final = ("completed", "cancelled", "expired", "deleted")

_a, _j, _t, _b = accounts.c, jobs.c, transfers.c, bids.c


def _balance_before(outer: FromClause, seq: Any, account: Any) -> ScalarSelect[int]:
    """What the last transfer of an account before `seq` left on it; NULL where there is none."""
    left = select(_t.seq, _t.from_balance.label("balance")).where(_t.from_account == account, _t.seq < seq)
    reached = select(_t.seq, _t.to_balance).where(_t.to_account == account, _t.seq < seq)
    both = union_all(left.correlate(outer), reached.correlate(outer)).order_by(desc("seq")).limit(1).subquery()
    return select(both.c.balance).scalar_subquery()


_SUM = select(func.coalesce(func.sum(_a.balance), 0))
_LAST = select(func.coalesce(func.max(_t.seq), 0))
# Those that are over hold nothing, says a constraint: of an owner of thousands the few that are not are read.
_PROMISED = (
    select(func.coalesce(func.sum(_j.held), 0))
    .where(_j.owner_id == _a.user_id, _j.status.in_(("open", *_AT_WORK)))
    .correlate(accounts)
)
_ACCOUNTS = (
    select(
        _a.id,
        _a.balance,
        func.coalesce(_balance_before(accounts, bindparam("end", pagination.AFTER_ALL_SEQS), _a.id), 0).label(
            "written"
        ),
        case((_a.kind == "held", _PROMISED.scalar_subquery()), else_=_a.balance).label("promised"),
    )
    .where(_a.id > bindparam("after"))
    .order_by(_a.id)
    .limit(bindparam("most"))
)

_page = (
    select(_j.id, _j.owner_id, _j.status, _j.held, _j.hired_bid_id)
    .where(_j.id > bindparam("after"))
    .order_by(_j.id)
    .limit(bindparam("most"))
    .subquery("page")
)
_held = "held:" + _page.c.owner_id
_ends = _t.kind.in_(("payment", "refund"))
_stray = or_(
    and_(_t.kind == "hold", _t.to_account != _held),
    and_(_t.kind != "hold", _t.from_account != _held),
    and_(_t.kind == "payment", _t.to_account != "available:" + func.coalesce(_b.freelancer_id, "")),
)
_JOBS = (
    select(
        _page.c.id,
        _page.c.status,
        _page.c.held,
        _b.price,
        func.count(_t.seq).label("transfers"),
        func.coalesce(func.sum(case((_t.kind == "hold", _t.amount), else_=-_t.amount)), 0).label("written"),
        func.count(case((_ends, 1))).label("ends"),
        func.max(_t.seq).label("last"),
        func.max(case((_ends, _t.seq))).label("ended"),
        func.max(case((_t.kind == "payment", _t.amount))).label("paid"),
        func.count(case((_stray, 1))).label("strays"),
    )
    .select_from(_page.outerjoin(bids, _b.id == _page.c.hired_bid_id).outerjoin(transfers, _t.job_id == _page.c.id))
    .group_by(_page.c.id, _page.c.status, _page.c.held, _b.price)
    .order_by(_page.c.id)
)

_now = transfers.alias("now")
_TRANSFERS = (
    select(
        _now.c.seq,
        _now.c.id,
        _now.c.amount,
        _now.c.from_balance,
        _now.c.to_balance,
        func.coalesce(_balance_before(_now, _now.c.seq, _now.c.from_account), 0).label("left"),
        func.coalesce(_balance_before(_now, _now.c.seq, _now.c.to_account), 0).label("reached"),
    )
    .where(_now.c.seq > bindparam("after"), _now.c.seq <= bindparam("upto"))
    .order_by(_now.c.seq)
    .limit(bindparam("most"))
)

_WHY = select(freezes.c.reason)
_FREEZE = upsert(freezes)
_FREEZE_AGAIN = _FREEZE.on_conflict_do_update(
    index_elements=[freezes.c.id], set_={"since": _FREEZE.excluded.since, "reason": _FREEZE.excluded.reason}
)
_LIFT = delete(freezes).where(freezes.c.since < bindparam("before"))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a look through the books has come: the part, its last row, and the last transfer seen beside rows."""

    part: Part = "accounts"
    after: str | int = ""
    up_to_seq: int = 0


@dataclass(slots=True)
class ReconciliationRun:
    """One look through the books, begun at `began` (ms); over when `place` is None.

    `rows` are those it has seen of each part, `faults` sentences about what does not add up.
    """

    started_at: int
    checkpoint: Checkpoint | None = field(default_factory=Checkpoint)
    rows: dict[Part, int] = field(default_factory=lambda: {"accounts": 0, "jobs": 0, "transfers": 0})
    faults: list[str] = field(default_factory=list)

    def run_step(self, tx: Connection, *, max_rows: int = MAX_ROWS_PER_STEP) -> None:
        """Look at the next `most` rows; `tx` is a snapshot of this step's own."""
        place = self.checkpoint
        if place is None:
            return
        statement, faults_of, following = _PARTS[place.part]
        found = tx.execute(statement, {"after": place.after, "upto": place.up_to_seq, "most": max_rows}).all()
        self.rows[place.part] += len(found)
        self.faults += [fault for row in found for fault in faults_of(row)]
        if place.part == "accounts" and len(found) < max_rows:
            self.faults += _sum_faults(tx)
        del self.faults[MAX_FAULTS:]
        # Transfers after the snapshot's last one are nothing that these rows could rest on.
        upto = place.up_to_seq if place.part == "transfers" else tx.execute(_LAST).scalar_one()
        if len(found) == max_rows:
            self.checkpoint = replace(place, after=found[-1][0], up_to_seq=upto)
        else:
            self.checkpoint = None if following is None else replace(following, up_to_seq=upto)


def freeze_reason(tx: Connection) -> str | None:
    """What was wrong when money was frozen; None while it moves."""
    return tx.execute(_WHY).scalar_one_or_none()


def record_result(tx: Connection, *, started_at: int, faults: Sequence[str], now: int) -> None:
    """Freeze money for faults; without any, lift what was frozen before the look began (ms) that found none."""
    if faults:
        tx.execute(_FREEZE_AGAIN, {"id": 1, "since": now, "reason": faults[0]})
    else:
        tx.execute(_LIFT, {"before": started_at})


def _sum_faults(tx: Connection) -> Iterator[str]:
    total = tx.execute(_SUM).scalar_one()
    if total != 0:
        yield f"All accounts together hold {total} with outside, and not 0."


def _account_faults(row: _Row) -> Iterator[str]:
    if row.balance != row.written:
        yield f"Account {row.id} holds {row.balance}, its transfers say {row.written}."
    if row.balance != row.promised:
        yield f"Account {row.id} holds {row.balance}, its owner's jobs say {row.promised}."


def _job_faults(row: _Row) -> Iterator[str]:
    if row.held != row.written:
        yield f"Job {row.id} holds {row.held}, its transfers say {row.written}."
    if row.status in _AT_WORK and row.held != row.price:
        yield f"Job {row.id} holds {row.held}, the hired bid's price is {row.price}."
    if row.strays:
        yield f"Job {row.id} moved money of somebody who has no part in it."
    # Jobs that were over before there was money have no transfers at all.
    ends = 1 if row.status in _OVER and row.transfers else 0
    if row.ends != ends or (ends and row.ended != row.last):
        yield f"Job {row.id} is {row.status}, its transfers end {row.ends} times or go on after the end."
    done = row.status == "completed" and row.transfers > 0
    if (row.paid is not None) != done or (done and row.paid != row.price):
        yield f"Job {row.id} is {row.status} for {row.price or 0}, its freelancer was paid {row.paid or 0}."


def _transfer_faults(row: _Row) -> Iterator[str]:
    if row.from_balance != row.left - row.amount or row.to_balance != row.reached + row.amount:
        yield f"Transfer {row.id} does not go on where its accounts stood before it."


_PARTS: Final[Mapping[Part, tuple[Select[*tuple[Any, ...]], Callable[[_Row], Iterator[str]], Checkpoint | None]]] = {
    "accounts": (_ACCOUNTS, _account_faults, Checkpoint("jobs")),
    "jobs": (_JOBS, _job_faults, Checkpoint("transfers", after=0)),
    "transfers": (_TRANSFERS, _transfer_faults, None),
}
