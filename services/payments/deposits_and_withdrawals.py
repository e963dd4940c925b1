"""Money comes in and goes out: the transfer, and the notification to the one whose wallet it is."""

from typing import Literal

from sqlalchemy import Connection

from services.accounts import users
from services.accounts.users import UserRef
from services.errors import IdempotencyKeyReused
from services.notifications import inbox
from services.payments import amounts, wallet
from services.payments.schemas import WalletEntry


def deposit(tx: Connection, *, user: UserRef, amount: int, payment_id: str, currency: str, now: int) -> WalletEntry:
    """Put a payment of `amount` minor units of `currency` into a user's wallet and tell them; once, however often.

    A payment that came before is answered as it was then, also while the books are frozen. Raises InvalidField
    (unknown user), IdempotencyKeyReused (that payment was another's, or of another amount), BooksFrozen, Conflict.
    """
    (user_id,) = users.resolve_refs(tx, refs=[user])
    before = wallet.find_deposit(tx, payment_id=payment_id)
    if before is not None:
        owner_id, entry = before
        if (owner_id, entry.amount) != (user_id, amount):
            raise IdempotencyKeyReused("This paymentId was deposited before, for another user or with another amount.")
        return entry
    entry = wallet.deposit(tx, user_id=user_id, amount=amount, payment_id=payment_id, now=now)
    _tell(tx, user_id, "deposit", entry, currency, now)
    return entry


def withdraw(tx: Connection, *, user_id: str, amount: int, currency: str, now: int) -> WalletEntry:
    """Take `amount` minor units of `currency` out of a user's wallet and tell them.

    Raises BooksFrozen and InsufficientFunds.
    """
    entry = wallet.withdraw(tx, user_id=user_id, amount=amount, now=now)
    _tell(tx, user_id, "withdrawal", entry, currency, now)
    return entry


def _tell(
    tx: Connection, user_id: str, type: Literal["deposit", "withdrawal"], entry: WalletEntry, currency: str, now: int
) -> None:
    amount, balance = amounts.format_amount(abs(entry.amount), currency), amounts.format_amount(entry.balance, currency)
    came = type == "deposit"
    inbox.deliver_fields(
        tx,
        user_id=user_id,
        type=type,
        category="payment",
        title=f"{amount} paid in" if came else f"{amount} paid out",
        body=f"Your wallet now has {balance} to spend.",
        data={"entryId": entry.id, "amount": entry.amount, "balance": entry.balance, "currency": currency},
        icon="💰",
        url="/wallet",
        invalidates=["wallet"],
        now=now,
    )
