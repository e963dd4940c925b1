"""The wallet: what is in it, its statement, and every movement of money, each one transfer between two accounts."""

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

# The world that money comes from and goes to; its balance is what it has given, below zero.
EXTERNAL_ACCOUNT: Final = "outside"
# What can have come in altogether, and so what can be on one account: the whole numbers of every JSON reader.
MAX_BALANCE: Final = 2**53 - 1

_a, _t = accounts.c, transfers.c
_source, _target = accounts.alias("source"), accounts.alias("target")

_BALANCES = select(_a.kind, _a.balance).where(_a.id.in_([bindparam("available"), bindparam("held")]))
_SPENDABLE = Statement(
    select(
        select(_a.balance).where(_a.id == bindparam("which")).scalar_subquery().label("balance"),
        exists(select(freezes.c.id)).label("frozen"),
    )
)
_OPEN = insert(accounts)
# All that a transfer asks for, in one statement; the balances themselves are moved by the database when it is there.
_AMOUNT = bindparam("amount", type_=_t.amount.type)
_LEFT = _source.c.balance - _AMOUNT
_MOVE = Statement(
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
            bindparam("which", type_=_t.id.type),
            bindparam("named", type_=_t.kind.type),
            _AMOUNT,
            _source.c.id,
            _LEFT,
            _target.c.id,
            _target.c.balance + _AMOUNT,
            bindparam("job", type_=_t.job_id.type),
            bindparam("payment", type_=_t.payment_id.type),
            bindparam("at", type_=_t.created_at.type),
        )
        .select_from(_source.join(_target, _target.c.id == bindparam("target")))
        .where(
            _source.c.id == bindparam("source"),
            case((_source.c.kind == "outside", -MAX_BALANCE), else_=0) <= _LEFT,
            ~exists(select(freezes.c.id)),
        ),
    )
    .returning(_t.from_balance, _t.to_balance)
)

_ENTRY = (_t.seq, _t.id, _t.kind, _t.job_id, _t.created_at)
_OUT = (*_ENTRY, (-_t.amount).label("amount"), _t.from_balance.label("balance"))
_IN = (*_ENTRY, _t.amount, _t.to_balance.label("balance"))
_BELOW = bindparam("below", type_=_t.seq.type)
# Each half comes in the order of its index, so the two are merged as far as the page goes and no further.
_STATEMENT = (
    union_all(
        select(*_OUT).where(_t.from_account == bindparam("which"), _t.seq < _BELOW),
        select(*_IN).where(_t.to_account == bindparam("which"), _t.seq < _BELOW),
    )
    .order_by(desc("seq"))
    .limit(bindparam("most"))
)
_DEPOSIT = select(*_IN, _t.to_account).where(_t.payment_id == bindparam("which"))


def get_wallet(tx: Connection, *, user_id: str, currency: str) -> Wallet:
    """What a user can spend, and what is held for their jobs."""
    found = tx.execute(_BALANCES, {"available": _available(user_id), "held": _held(user_id)})
    balances = {row.kind: row.balance for row in found}
    return Wallet(available=balances.get("available", 0), held=balances.get("held", 0), currency=currency)


def list_entries(
    tx: Connection, *, user_id: str, limit: int = pagination.DEFAULT_LIMIT, after: str | None = None
) -> Page[WalletEntry]:
    """A page of the statement of what a user can spend, the newest first. Raises InvalidField.

    The amounts add up to `available`; what is spent for a job leaves it when it is held.
    """
    asked = {"which": _available(user_id), "below": pagination.seq_from_token(after), "most": limit + 1}
    return pagination.page(tx.execute(_STATEMENT, asked).all(), limit=limit, show=_show, key=lambda row: row.seq)


def is_frozen(tx: Connection) -> bool:
    """Whether no money moves, because the books did not add up."""
    return bool(_SPENDABLE.one_or_none(tx, {"which": EXTERNAL_ACCOUNT}).frozen)


def require_not_frozen(tx: Connection) -> None:
    """See that money moves at all, before anything is written. Raises BooksFrozen."""
    if is_frozen(tx):
        raise PaymentsFrozen


def require_funds(tx: Connection, *, user_id: str, amount: int) -> None:
    """See that money moves and that a user can spend `amount`, before anything is written.

    Raises BooksFrozen and InsufficientFunds.
    """
    found = _SPENDABLE.one_or_none(tx, {"which": _available(user_id)})
    if found.frozen:
        raise PaymentsFrozen
    available = found.balance or 0
    if available < amount:
        raise InsufficientFunds(available)


def find_deposit(tx: Connection, *, payment_id: str) -> tuple[str, WalletEntry] | None:
    """Whose deposit a payment already is, and its entry."""
    row = tx.execute(_DEPOSIT, {"which": payment_id}).one_or_none()
    return None if row is None else (row.to_account.partition(":")[2], _show(row))


def deposit(tx: Connection, *, user_id: str, amount: int, payment_id: str | None = None, now: int) -> WalletEntry:
    """Bring money in from the outside; a `payment_id` must be new. Raises BooksFrozen, and Conflict: it is too much."""
    return _moved(tx, "deposit", EXTERNAL_ACCOUNT, _available(user_id), amount, payment_id=payment_id, now=now)[1]


def withdraw(tx: Connection, *, user_id: str, amount: int, now: int) -> WalletEntry:
    """Let money go to the outside. Raises BooksFrozen and InsufficientFunds."""
    return _moved(tx, "withdrawal", _available(user_id), EXTERNAL_ACCOUNT, amount, now=now)[0]


def hold(tx: Connection, *, owner_id: str, job_id: str, amount: int, now: int) -> None:
    """Set money of a job's owner aside for the job. Raises BooksFrozen and InsufficientFunds."""
    _moved(tx, "hold", _available(owner_id), _held(owner_id), amount, job_id=job_id, now=now)


def release(tx: Connection, *, owner_id: str, job_id: str, amount: int, now: int) -> None:
    """Give a job's owner back what the job does not need: it was hired, or edited, for less than was held.

    Raises BooksFrozen.
    """
    _moved(tx, "release", _held(owner_id), _available(owner_id), amount, job_id=job_id, now=now)


def change_hold(tx: Connection, *, owner_id: str, job_id: str, old: int, new: int, now: int) -> None:
    """Hold `new` for a job in place of `old`. Raises BooksFrozen and InsufficientFunds."""
    if new > old:
        hold(tx, owner_id=owner_id, job_id=job_id, amount=new - old, now=now)
    elif new < old:
        release(tx, owner_id=owner_id, job_id=job_id, amount=old - new, now=now)


def refund(tx: Connection, *, owner_id: str, job_id: str, amount: int, now: int) -> None:
    """Give a job's owner back what was held for a job that comes to nothing. Raises BooksFrozen."""
    _moved(tx, "refund", _held(owner_id), _available(owner_id), amount, job_id=job_id, now=now)


def pay(tx: Connection, *, owner_id: str, freelancer_id: str, job_id: str, amount: int, now: int) -> None:
    """Pay the freelancer what was held for a job. Raises BooksFrozen."""
    _moved(tx, "payment", _held(owner_id), _available(freelancer_id), amount, job_id=job_id, now=now)


def _available(user_id: str) -> str:
    return f"available:{user_id}"


def _held(user_id: str) -> str:
    return f"held:{user_id}"


def _moved(
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
    """Move money: what the one it leaves and the one it reaches read in their statements."""
    asked = {
        "which": new_id(),
        "named": kind,
        "amount": amount,
        "source": source,
        "target": target,
        "job": job_id,
        "payment": payment_id,
        "at": now,
    }
    moved = _MOVE.one_or_none(tx, asked)
    if moved is None:
        _prepare(tx, source, target, amount)
        moved = _MOVE.one_or_none(tx, asked)
    common: dict[str, Any] = {"id": asked["which"], "kind": kind, "job_id": job_id, "created_at": to_rfc3339(now)}
    left = WalletEntry(amount=-amount, balance=moved.from_balance, **common)
    return left, WalletEntry(amount=amount, balance=moved.to_balance, **common)


def _prepare(tx: Connection, source: str, target: str, amount: int) -> None:
    """Open the account that money reaches for the first time; if there is another reason why it stays, raise that."""
    found = _SPENDABLE.one_or_none(tx, {"which": source})
    balance = found.balance or 0
    if found.frozen:
        raise PaymentsFrozen
    if source == EXTERNAL_ACCOUNT and balance - amount < -MAX_BALANCE:
        raise Conflict("The books can hold no more money.")
    if source != EXTERNAL_ACCOUNT and balance < amount:
        raise InsufficientFunds(balance)
    kind, _, user_id = target.partition(":")
    tx.execute(_OPEN, {"id": target, "kind": kind, "user_id": user_id or None, "balance": 0})


def _show(row: Row[*tuple[Any, ...]]) -> WalletEntry:
    return WalletEntry(
        id=row.id,
        kind=row.kind,
        amount=row.amount,
        balance=row.balance,
        job_id=row.job_id,
        created_at=to_rfc3339(row.created_at),
    )
