"""Recomputes the ledger in steps and freezes payments when it does not balance.

A step reads one page of accounts, jobs or transfers in a snapshot of its own. A run first compares accounts and jobs
with their transfers, and then each transfer with the ones before it, up to the last one that the earlier steps saw.
Transfers never change, so the steps need no common snapshot. Short reads let SQLite truncate the write-ahead log.
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

from services import pagination
from services.database.statements import upsert
from services.tables import accounts, bids, freezes, jobs, transfers

Part = Literal["accounts", "jobs", "transfers"]

# Rows read in one step, which takes a reader a few milliseconds.
MAX_ROWS_PER_STEP: Final = 500
# Faults reported by one run; a damaged ledger may have one in every row.
MAX_FAULTS: Final = 20

_Row = Row[*tuple[Any, ...]]

_HIRED: Final = ("assigned", "in_progress", "submitted")
_CLOSED: Final = ("completed", "cancelled", "expired", "deleted")

_a, _j, _t, _b = accounts.c, jobs.c, transfers.c, bids.c


def _balance_before(outer: FromClause, seq: Any, account: Any) -> ScalarSelect[int]:
    """Return a subquery for the balance of an account after its last transfer before `seq`; NULL without one."""
    outgoing = select(_t.seq, _t.from_balance.label("balance")).where(_t.from_account == account, _t.seq < seq)
    incoming = select(_t.seq, _t.to_balance).where(_t.to_account == account, _t.seq < seq)
    transfers_of_account = (
        union_all(outgoing.correlate(outer), incoming.correlate(outer)).order_by(desc("seq")).limit(1).subquery()
    )
    return select(transfers_of_account.c.balance).scalar_subquery()


_SUM = select(func.coalesce(func.sum(_a.balance), 0))
_LAST = select(func.coalesce(func.max(_t.seq), 0))
# A constraint lets closed jobs hold nothing, so only the other jobs of an owner are read.
_HELD_BY_JOBS = (
    select(func.coalesce(func.sum(_j.held), 0))
    .where(_j.owner_id == _a.user_id, _j.status.in_(("open", *_HIRED)))
    .correlate(accounts)
)
_ACCOUNTS = (
    select(
        _a.id,
        _a.balance,
        func.coalesce(_balance_before(accounts, bindparam("before_seq", pagination.AFTER_ALL_SEQS), _a.id), 0).label(
            "last_balance"
        ),
        case((_a.kind == "held", _HELD_BY_JOBS.scalar_subquery()), else_=_a.balance).label("held_by_jobs"),
    )
    .where(_a.id > bindparam("after"))
    .order_by(_a.id)
    .limit(bindparam("limit"))
)

_page = (
    select(_j.id, _j.owner_id, _j.status, _j.held, _j.hired_bid_id)
    .where(_j.id > bindparam("after"))
    .order_by(_j.id)
    .limit(bindparam("limit"))
    .subquery("page")
)
_held = "held:" + _page.c.owner_id
_is_final = _t.kind.in_(("payment", "refund"))
_has_wrong_account = or_(
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
        func.count(_t.seq).label("transfer_count"),
        func.coalesce(func.sum(case((_t.kind == "hold", _t.amount), else_=-_t.amount)), 0).label("transfer_sum"),
        func.count(case((_is_final, 1))).label("final_count"),
        func.max(_t.seq).label("last_seq"),
        func.max(case((_is_final, _t.seq))).label("final_seq"),
        func.max(case((_t.kind == "payment", _t.amount))).label("paid"),
        func.count(case((_has_wrong_account, 1))).label("wrong_accounts"),
    )
    .select_from(_page.outerjoin(bids, _b.id == _page.c.hired_bid_id).outerjoin(transfers, _t.job_id == _page.c.id))
    .group_by(_page.c.id, _page.c.status, _page.c.held, _b.price)
    .order_by(_page.c.id)
)

_current = transfers.alias("current")
_TRANSFERS = (
    select(
        _current.c.seq,
        _current.c.id,
        _current.c.amount,
        _current.c.from_balance,
        _current.c.to_balance,
        func.coalesce(_balance_before(_current, _current.c.seq, _current.c.from_account), 0).label(
            "from_balance_before"
        ),
        func.coalesce(_balance_before(_current, _current.c.seq, _current.c.to_account), 0).label("to_balance_before"),
    )
    .where(_current.c.seq > bindparam("after"), _current.c.seq <= bindparam("up_to_seq"))
    .order_by(_current.c.seq)
    .limit(bindparam("limit"))
)

_REASON = select(freezes.c.reason)
_INSERT = upsert(freezes)
_UPSERT = _INSERT.on_conflict_do_update(
    index_elements=[freezes.c.id], set_={"since": _INSERT.excluded.since, "reason": _INSERT.excluded.reason}
)
_DELETE_OLDER = delete(freezes).where(freezes.c.since < bindparam("started_at"))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The progress of a run: the part, its last row, and the last transfer that the earlier steps saw."""

    part: Part = "accounts"
    after: str | int = ""
    up_to_seq: int = 0


@dataclass(slots=True)
class ReconciliationRun:
    """One reconciliation of the ledger, started at `started_at` (ms); complete when `checkpoint` is None.

    `rows` counts the rows read of each part; `faults` holds one sentence for each fault.
    """

    started_at: int
    checkpoint: Checkpoint | None = field(default_factory=Checkpoint)
    rows: dict[Part, int] = field(default_factory=lambda: {"accounts": 0, "jobs": 0, "transfers": 0})
    faults: list[str] = field(default_factory=list)

    def run_step(self, tx: Connection, *, max_rows: int = MAX_ROWS_PER_STEP) -> None:
        """Check the next `max_rows` rows; `tx` is a snapshot for this step only."""
        checkpoint = self.checkpoint
        if checkpoint is None:
            return
        statement, find_faults, next_checkpoint = _PARTS[checkpoint.part]
        parameters = {"after": checkpoint.after, "up_to_seq": checkpoint.up_to_seq, "limit": max_rows}
        rows = tx.execute(statement, parameters).all()
        self.rows[checkpoint.part] += len(rows)
        self.faults += [fault for row in rows for fault in find_faults(row)]
        if checkpoint.part == "accounts" and len(rows) < max_rows:
            self.faults += _sum_faults(tx)
        del self.faults[MAX_FAULTS:]
        # Later steps need only the transfers up to the last one of this snapshot.
        up_to_seq = checkpoint.up_to_seq if checkpoint.part == "transfers" else tx.execute(_LAST).scalar_one()
        if len(rows) == max_rows:
            self.checkpoint = replace(checkpoint, after=rows[-1][0], up_to_seq=up_to_seq)
        else:
            self.checkpoint = None if next_checkpoint is None else replace(next_checkpoint, up_to_seq=up_to_seq)


def freeze_reason(tx: Connection) -> str | None:
    """Return why payments are frozen; None when they are not."""
    return tx.execute(_REASON).scalar_one_or_none()


def record_result(tx: Connection, *, started_at: int, faults: Sequence[str], now: int) -> None:
    """Freeze payments if the run found faults; otherwise lift a freeze from before its start (ms)."""
    if faults:
        tx.execute(_UPSERT, {"id": 1, "since": now, "reason": faults[0]})
    else:
        tx.execute(_DELETE_OLDER, {"started_at": started_at})


def _sum_faults(tx: Connection) -> Iterator[str]:
    total = tx.execute(_SUM).scalar_one()
    if total != 0:
        yield f"The balances of all accounts add up to {total} instead of 0."


def _account_faults(row: _Row) -> Iterator[str]:
    if row.balance != row.last_balance:
        yield f"Account {row.id} has a balance of {row.balance}; its transfers add up to {row.last_balance}."
    if row.balance != row.held_by_jobs:
        yield f"Account {row.id} has a balance of {row.balance}; the jobs of its owner hold {row.held_by_jobs}."


def _job_faults(row: _Row) -> Iterator[str]:
    if row.held != row.transfer_sum:
        yield f"Job {row.id} holds {row.held}; its transfers add up to {row.transfer_sum}."
    if row.status in _HIRED and row.held != row.price:
        yield f"Job {row.id} holds {row.held}; the price of the hired bid is {row.price}."
    if row.wrong_accounts:
        yield f"Job {row.id} has a transfer of a user who is neither its owner nor its freelancer."
    # A job that was closed before the ledger existed has no transfers.
    final_count = 1 if row.status in _CLOSED and row.transfer_count else 0
    if row.final_count != final_count or (final_count and row.final_seq != row.last_seq):
        yield f"Job {row.id} is {row.status}; it has {row.final_count} final transfers, or transfers after them."
    is_completed = row.status == "completed" and row.transfer_count > 0
    if (row.paid is not None) != is_completed or (is_completed and row.paid != row.price):
        yield f"Job {row.id} is {row.status} at a price of {row.price or 0}; its freelancer was paid {row.paid or 0}."


def _transfer_faults(row: _Row) -> Iterator[str]:
    if row.from_balance != row.from_balance_before - row.amount or row.to_balance != row.to_balance_before + row.amount:
        yield f"Transfer {row.id} does not continue from the previous balances of its accounts."


_PARTS: Final[Mapping[Part, tuple[Select[*tuple[Any, ...]], Callable[[_Row], Iterator[str]], Checkpoint | None]]] = {
    "accounts": (_ACCOUNTS, _account_faults, Checkpoint("jobs")),
    "jobs": (_JOBS, _job_faults, Checkpoint("transfers", after=0)),
    "transfers": (_TRANSFERS, _transfer_faults, None),
}
