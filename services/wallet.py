"""The wallet: every movement of money is one transfer between two accounts, checked first, then written."""

from typing import Any, Final, Literal

from sqlalchemy import Connection, bindparam, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from services.errors import InsufficientFunds
from services.ids import new_id
from services.tables import accounts, transfers

Kind = Literal["deposit", "hold", "release", "payment", "refund", "withdrawal"]

# The world that money comes from and goes to; its balance is what it has given, below zero.
OUTSIDE: Final = "outside"

_a = accounts.c

_BALANCE = select(_a.balance).where(_a.id == bindparam("which"))
_TAKE = (
    update(accounts)
    .where(_a.id == bindparam("which"), or_(_a.kind == "outside", _a.balance >= bindparam("amount")))
    .values(balance=_a.balance - bindparam("amount"))
    .returning(_a.balance)
)
_GIVE = upsert(accounts)
_GIVE_TO = _GIVE.on_conflict_do_update(
    index_elements=[_a.id], set_={"balance": _a.balance + _GIVE.excluded.balance}
).returning(_a.balance)
_WRITE = insert(transfers)


def available_of(tx: Connection, *, user_id: str) -> int:
    """What a user can spend, in minor units."""
    return tx.execute(_BALANCE, {"which": _available(user_id)}).scalar_one_or_none() or 0


def require(tx: Connection, *, user_id: str, amount: int) -> None:
    """See that a user can spend `amount`, before anything is written. Raises InsufficientFunds."""
    available = available_of(tx, user_id=user_id)
    if available < amount:
        raise InsufficientFunds(available)


def deposit(tx: Connection, *, user_id: str, amount: int, payment_id: str | None = None, now: int) -> str:
    """Bring money in from the outside; returns the transfer's id. A `payment_id` must be new."""
    return _transfer(tx, "deposit", OUTSIDE, _available(user_id), amount, payment_id=payment_id, now=now)


def withdraw(tx: Connection, *, user_id: str, amount: int, now: int) -> str:
    """Let money go to the outside; returns the transfer's id. Raises InsufficientFunds."""
    return _transfer(tx, "withdrawal", _available(user_id), OUTSIDE, amount, now=now)


def hold(tx: Connection, *, owner_id: str, job_id: str, amount: int, now: int) -> None:
    """Set money of a job's owner aside for the job. Raises InsufficientFunds."""
    _transfer(tx, "hold", _available(owner_id), _held(owner_id), amount, job_id=job_id, now=now)


def release(tx: Connection, *, owner_id: str, job_id: str, amount: int, now: int) -> None:
    """Give a job's owner back what the job does not need: it was hired, or edited, for less than was held."""
    _transfer(tx, "release", _held(owner_id), _available(owner_id), amount, job_id=job_id, now=now)


def refund(tx: Connection, *, owner_id: str, job_id: str, amount: int, now: int) -> None:
    """Give a job's owner back what was held for a job that comes to nothing."""
    _transfer(tx, "refund", _held(owner_id), _available(owner_id), amount, job_id=job_id, now=now)


def pay(tx: Connection, *, owner_id: str, freelancer_id: str, job_id: str, amount: int, now: int) -> None:
    """Pay the freelancer what was held for a job."""
    _transfer(tx, "payment", _held(owner_id), _available(freelancer_id), amount, job_id=job_id, now=now)


def _available(user_id: str) -> str:
    return f"available:{user_id}"


def _held(user_id: str) -> str:
    return f"held:{user_id}"


def _transfer(
    tx: Connection,
    kind: Kind,
    source: str,
    target: str,
    amount: int,
    *,
    job_id: str | None = None,
    payment_id: str | None = None,
    now: int,
) -> str:
    """Move money and write it down. The account it leaves comes first: if there is too little, nothing is written."""
    left = tx.execute(_TAKE, {"which": source, "amount": amount}).scalar_one_or_none()
    if left is None:
        raise InsufficientFunds(tx.execute(_BALANCE, {"which": source}).scalar_one_or_none() or 0)
    row = {
        "id": new_id(),
        "kind": kind,
        "amount": amount,
        "from_account": source,
        "from_balance": left,
        "to_account": target,
        "to_balance": tx.execute(_GIVE_TO, _account(target, amount)).scalar_one(),
        "job_id": job_id,
        "payment_id": payment_id,
        "created_at": now,
    }
    tx.execute(_WRITE, row)
    return str(row["id"])


def _account(account_id: str, balance: int) -> dict[str, Any]:
    kind, _, user_id = account_id.partition(":")
    return {"id": account_id, "kind": kind, "user_id": user_id or None, "balance": balance}
