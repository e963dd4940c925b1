"""Wallet balances, statements and every transfer between accounts."""

from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, case, desc, exists, insert, select, union_all

from services import pagination
from services.database.statements import Statement
from services.errors import Conflict, InsufficientFunds, PaymentsFrozen
from services.ids import new_id
from services.pagination import Page
from services.payments.schemas import EntryKind, Wallet, WalletEntry
from services.tables import accounts, freezes, transfers
from services.times import to_rfc3339

# The source of deposits and the target of withdrawals; its balance is the negated sum of all other balances.
EXTERNAL_ACCOUNT: Final = "external"
# The largest sum of all balances: the largest integer that every JSON parser reads exactly.
MAX_BALANCE: Final = 2**53 - 1

_a, _t = accounts.c, transfers.c
_source, _target = accounts.alias("source"), accounts.alias("target")

_BALANCES = select(_a.kind, _a.balance).where(_a.id.in_([bindparam("available_id"), bindparam("held_id")]))
_FUNDS = Statement(
    select(
        select(_a.balance).where(_a.id == bindparam("account_id")).scalar_subquery().label("balance"),
        exists(select(freezes.c.id)).label("frozen"),
    )
)
_INSERT_ACCOUNT = insert(accounts)
# One statement checks and inserts a transfer; a trigger of the table then updates both balances.
_AMOUNT = bindparam("amount", type_=_t.amount.type)
_NEW_SOURCE_BALANCE = _source.c.balance - _AMOUNT
_INSERT_TRANSFER = Statement(
    insert(transfers)
    .from_select(
        (
            _t.id,
            _t.kind,
            _t.amount,
            _t.from_account,
            _t.from_balance,
            _t.to_account,
            _t.to_balance,
            _t.job_id,
            _t.payment_id,
            _t.created_at,
        ),
        select(
            bindparam("id", type_=_t.id.type),
            bindparam("kind", type_=_t.kind.type),
            _AMOUNT,
            _source.c.id,
            _NEW_SOURCE_BALANCE,
            _target.c.id,
            _target.c.balance + _AMOUNT,
            bindparam("job_id", type_=_t.job_id.type),
            bindparam("payment_id", type_=_t.payment_id.type),
            bindparam("created_at", type_=_t.created_at.type),
        )
        .select_from(_source.join(_target, _target.c.id == bindparam("target_id")))
        .where(
            _source.c.id == bindparam("source_id"),
            case((_source.c.kind == "external", -MAX_BALANCE), else_=0) <= _NEW_SOURCE_BALANCE,
            ~exists(select(freezes.c.id)),
        ),
    )
    .returning(_t.from_balance, _t.to_balance)
)

_ENTRY_COLUMNS = (_t.seq, _t.id, _t.kind, _t.job_id, _t.created_at)
_OUTGOING = (*_ENTRY_COLUMNS, (-_t.amount).label("amount"), _t.from_balance.label("balance"))
_INCOMING = (*_ENTRY_COLUMNS, _t.amount, _t.to_balance.label("balance"))
_BEFORE_SEQ = bindparam("before_seq", type_=_t.seq.type)
# Each half is read in index order, so SQLite merges only the rows of the page.
_STATEMENT = (
    union_all(
        select(*_OUTGOING).where(_t.from_account == bindparam("account_id"), _t.seq < _BEFORE_SEQ),
        select(*_INCOMING).where(_t.to_account == bindparam("account_id"), _t.seq < _BEFORE_SEQ),
    )
    .order_by(desc("seq"))
    .limit(bindparam("limit"))
)
_DEPOSIT = select(*_INCOMING, _t.to_account).where(_t.payment_id == bindparam("payment_id"))


def get_wallet(tx: Connection, *, user_id: str, currency: str) -> Wallet:
    """Return the available and the held amount of a user."""
    rows = tx.execute(_BALANCES, {"available_id": _available(user_id), "held_id": _held(user_id)})
    balances = {row.kind: row.balance for row in rows}
    return Wallet(available=balances.get("available", 0), held=balances.get("held", 0), currency=currency)


def list_entries(
    tx: Connection, *, user_id: str, limit: int = pagination.DEFAULT_LIMIT, after: str | None = None
) -> Page[WalletEntry]:
    """Return one page of the statement of a user's available balance, newest first.

    The amounts of all entries add up to the available amount; a hold is an outgoing entry. Raises InvalidField for an
    invalid `after`.
    """
    parameters = {"account_id": _available(user_id), "before_seq": pagination.seq_from_token(after), "limit": limit + 1}
    return pagination.make_page(
        tx.execute(_STATEMENT, parameters).all(), limit=limit, to_item=_to_entry, key=lambda row: row.seq
    )


def is_frozen(tx: Connection) -> bool:
    """Return whether payments are frozen because the ledger did not balance."""
    return bool(_FUNDS.one_or_none(tx, {"account_id": EXTERNAL_ACCOUNT}).frozen)


def require_not_frozen(tx: Connection) -> None:
    """Require that payments are not frozen, before anything is written. Raises PaymentsFrozen."""
    if is_frozen(tx):
        raise PaymentsFrozen


def require_funds(tx: Connection, *, user_id: str, amount: int) -> None:
    """Require that payments are not frozen and a user has `amount` available, before anything is written.

    Raises PaymentsFrozen and InsufficientFunds.
    """
    row = _FUNDS.one_or_none(tx, {"account_id": _available(user_id)})
    if row.frozen:
        raise PaymentsFrozen
    available = row.balance or 0
    if available < amount:
        raise InsufficientFunds(available)


def find_deposit(tx: Connection, *, payment_id: str) -> tuple[str, WalletEntry] | None:
    """Return the user id and the entry of a deposited payment."""
    row = tx.execute(_DEPOSIT, {"payment_id": payment_id}).one_or_none()
    return None if row is None else (row.to_account.partition(":")[2], _to_entry(row))


def deposit(tx: Connection, *, user_id: str, amount: int, payment_id: str | None = None, now: int) -> WalletEntry:
    """Deposit an amount; a `payment_id` must be new. Raises PaymentsFrozen, and Conflict when the ledger is full."""
    return _transfer(tx, "deposit", EXTERNAL_ACCOUNT, _available(user_id), amount, payment_id=payment_id, now=now)[1]


def withdraw(tx: Connection, *, user_id: str, amount: int, now: int) -> WalletEntry:
    """Withdraw an amount. Raises PaymentsFrozen and InsufficientFunds."""
    return _transfer(tx, "withdrawal", _available(user_id), EXTERNAL_ACCOUNT, amount, now=now)[0]


def hold(tx: Connection, *, owner_id: str, job_id: str, amount: int, now: int) -> None:
    """Hold an amount of a job's owner for the job. Raises PaymentsFrozen and InsufficientFunds."""
    _transfer(tx, "hold", _available(owner_id), _held(owner_id), amount, job_id=job_id, now=now)


def release(tx: Connection, *, owner_id: str, job_id: str, amount: int, now: int) -> None:
    """Release a part of the hold to the job's owner, because the price or the budget is lower.

    Raises PaymentsFrozen.
    """
    _transfer(tx, "release", _held(owner_id), _available(owner_id), amount, job_id=job_id, now=now)


def change_hold(tx: Connection, *, owner_id: str, job_id: str, old: int, new: int, now: int) -> None:
    """Change the hold of a job from `old` to `new` minor units. Raises PaymentsFrozen and InsufficientFunds."""
    if new > old:
        hold(tx, owner_id=owner_id, job_id=job_id, amount=new - old, now=now)
    elif new < old:
        release(tx, owner_id=owner_id, job_id=job_id, amount=old - new, now=now)


def refund(tx: Connection, *, owner_id: str, job_id: str, amount: int, now: int) -> None:
    """Refund the hold of a job that is not completed to its owner. Raises PaymentsFrozen."""
    _transfer(tx, "refund", _held(owner_id), _available(owner_id), amount, job_id=job_id, now=now)


def pay(tx: Connection, *, owner_id: str, freelancer_id: str, job_id: str, amount: int, now: int) -> None:
    """Pay the hold of a job to its freelancer. Raises PaymentsFrozen."""
    _transfer(tx, "payment", _held(owner_id), _available(freelancer_id), amount, job_id=job_id, now=now)


def _available(user_id: str) -> str:
    return f"available:{user_id}"


def _held(user_id: str) -> str:
    return f"held:{user_id}"


def _transfer(
    tx: Connection,
    kind: EntryKind,
    source: str,
    target: str,
    amount: int,
    *,
    job_id: str | None = None,
    payment_id: str | None = None,
    now: int,
) -> tuple[WalletEntry, WalletEntry]:
    """Insert a transfer and return the statement entries of its source and its target."""
    parameters = {
        "id": new_id(),
        "kind": kind,
        "amount": amount,
        "source_id": source,
        "target_id": target,
        "job_id": job_id,
        "payment_id": payment_id,
        "created_at": now,
    }
    row = _INSERT_TRANSFER.one_or_none(tx, parameters)
    if row is None:
        _open_target(tx, source, target, amount)
        row = _INSERT_TRANSFER.one_or_none(tx, parameters)
    common: dict[str, Any] = {"id": parameters["id"], "kind": kind, "job_id": job_id, "created_at": to_rfc3339(now)}
    outgoing = WalletEntry(amount=-amount, balance=row.from_balance, **common)
    return outgoing, WalletEntry(amount=amount, balance=row.to_balance, **common)


def _open_target(tx: Connection, source: str, target: str, amount: int) -> None:
    """Create the target account after a failed insert.

    Raises PaymentsFrozen, Conflict or InsufficientFunds if one of them is the reason of the failure.
    """
    row = _FUNDS.one_or_none(tx, {"account_id": source})
    balance = row.balance or 0
    if row.frozen:
        raise PaymentsFrozen
    if source == EXTERNAL_ACCOUNT and balance - amount < -MAX_BALANCE:
        raise Conflict("The ledger cannot hold more money.")
    if source != EXTERNAL_ACCOUNT and balance < amount:
        raise InsufficientFunds(balance)
    kind, _, user_id = target.partition(":")
    tx.execute(_INSERT_ACCOUNT, {"id": target, "kind": kind, "user_id": user_id or None, "balance": 0})


def _to_entry(row: Row[*tuple[Any, ...]]) -> WalletEntry:
    return WalletEntry(
        id=row.id,
        kind=row.kind,
        amount=row.amount,
        balance=row.balance,
        job_id=row.job_id,
        created_at=to_rfc3339(row.created_at),
    )
