"""Deposits and withdrawals, with their notifications."""

from typing import Literal

from sqlalchemy import Connection

from services.accounts import users
from services.accounts.users import UserRef
from services.errors import IdempotencyKeyReused
from services.notifications import inbox
from services.payments import amounts, wallet
from services.payments.schemas import WalletEntry


def deposit(tx: Connection, *, user: UserRef, amount: int, payment_id: str, currency: str, now: int) -> WalletEntry:
    """Deposit a payment of `amount` minor units of `currency` once and notify the user.

    A repeated `payment_id` returns the first entry, even while payments are frozen. Raises InvalidField (unknown
    user), IdempotencyKeyReused (the payment had another user or amount), PaymentsFrozen and Conflict.
    """
    (user_id,) = users.resolve_refs(tx, refs=[user])
    earlier = wallet.find_deposit(tx, payment_id=payment_id)
    if earlier is not None:
        owner_id, entry = earlier
        if (owner_id, entry.amount) != (user_id, amount):
            raise IdempotencyKeyReused("This paymentId was used before for another user or another amount.")
        return entry
    entry = wallet.deposit(tx, user_id=user_id, amount=amount, payment_id=payment_id, now=now)
    _notify(tx, user_id, "deposit", entry, currency, now)
    return entry


def withdraw(tx: Connection, *, user_id: str, amount: int, currency: str, now: int) -> WalletEntry:
    """Withdraw `amount` minor units of `currency` from a user's wallet and notify the user.

    Raises PaymentsFrozen and InsufficientFunds.
    """
    entry = wallet.withdraw(tx, user_id=user_id, amount=amount, now=now)
    _notify(tx, user_id, "withdrawal", entry, currency, now)
    return entry


def _notify(
    tx: Connection, user_id: str, type: Literal["deposit", "withdrawal"], entry: WalletEntry, currency: str, now: int
) -> None:
    amount, balance = amounts.format_amount(abs(entry.amount), currency), amounts.format_amount(entry.balance, currency)
    inbox.deliver_fields(
        tx,
        user_id=user_id,
        type=type,
        category="payment",
        title=f"{amount} paid in" if type == "deposit" else f"{amount} paid out",
        body=f"Your wallet now has {balance} to spend.",
        data={"entryId": entry.id, "amount": entry.amount, "balance": entry.balance, "currency": currency},
        icon="💰",
        url="/wallet",
        invalidates=["wallet"],
        now=now,
    )
