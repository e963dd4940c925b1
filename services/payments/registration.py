"""Creates accounts together with their opening balance."""

from typing import Any

from sqlalchemy import Connection

from services.accounts import users
from services.accounts.schemas import Me
from services.payments import wallet
from services.schemas import Role


def register(tx: Connection, *, opening_balance: int, now: int, **account: Any) -> Me:
    """Create a user with `opening_balance` minor units; `account` holds the arguments of `users.create`.

    Raises InvalidField, and Conflict when the e-mail address is in use.
    """
    user = users.create(tx, **account, now=now)
    _deposit_opening_balance(tx, user.id, opening_balance, now)
    return user


def upsert_external_user(
    tx: Connection,
    *,
    external_id: str,
    name: str,
    role: Role | None = None,
    email: str | None = None,
    opening_balance: int,
    now: int,
) -> Me:
    """Update the user with this external id, or create it with `opening_balance` minor units.

    Raises InvalidField, and Conflict when another user has the e-mail address.
    """
    exists = users.exists_external(tx, external_id=external_id)
    user = users.upsert_external(tx, external_id=external_id, name=name, role=role, email=email, now=now)
    if not exists:
        _deposit_opening_balance(tx, user.id, opening_balance, now)
    return user


def _deposit_opening_balance(tx: Connection, user_id: str, amount: int, now: int) -> None:
    # Users may register while payments are frozen; they then start without an opening balance.
    if amount and not wallet.is_frozen(tx):
        wallet.deposit(tx, user_id=user_id, amount=amount, now=now)
