"""Becoming a user: an account, and the money that the hub opens its wallet with."""

from typing import Any

from sqlalchemy import Connection

from services.accounts import users
from services.accounts.schemas import Me
from services.payments import wallet
from services.schemas import Role


def register(tx: Connection, *, opening_balance: int, now: int, **account: Any) -> Me:
    """A new user, made by `users.create` from `account`, with `opening_balance` minor units. Raises what it raises."""
    made = users.create(tx, **account, now=now)
    _open(tx, made.id, opening_balance, now)
    return made


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
    """The user another system knows by this id, brought up to date, or made with `opening_balance` minor units.

    Raises InvalidField, and Conflict when the e-mail belongs to somebody else.
    """
    known = users.exists_external(tx, external_id=external_id)
    put = users.upsert_external(tx, external_id=external_id, name=name, role=role, email=email, now=now)
    if not known:
        _open(tx, put.id, opening_balance, now)
    return put


def _open(tx: Connection, user_id: str, amount: int, now: int) -> None:
    # While no money moves people may still join; they begin with nothing.
    if amount and not wallet.is_frozen(tx):
        wallet.deposit(tx, user_id=user_id, amount=amount, now=now)
