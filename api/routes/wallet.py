"""Wallets."""

from api.http.bodies import Amount, Body, Id, PageQuery
from api.operations.call import Call
from services.accounts.users import UserRef
from services.errors import InvalidField
from services.pagination import Page
from services.payments import deposits_and_withdrawals, wallet
from services.payments.schemas import Wallet, WalletEntry


class Deposit(Body, frozen=True):
    """A payment to a user; `amount` is in minor units of the hub's currency."""

    amount: Amount
    payment_id: Id
    user_id: Id | None = None
    external_id: Id | None = None


class Withdrawal(Body, frozen=True):
    """The amount of a withdrawal, in minor units of the hub's currency."""

    amount: Amount


async def get_wallet(call: Call[None, None]) -> Wallet:
    """Get your wallet: the available amount and the amount held for your jobs."""
    return await call.read(wallet.get_wallet, user_id=call.user.id, currency=call.hub.settings.currency)


async def list_entries(call: Call[None, PageQuery]) -> Page[WalletEntry]:
    """List the entries of your available balance, newest first."""
    return await call.read(wallet.list_entries, user_id=call.user.id, limit=call.query.limit, after=call.query.after)


async def deposit(call: Call[Deposit, None]) -> WalletEntry | bytes:
    """Deposit a payment into a user's wallet; a repeated paymentId returns the first deposit."""
    body = call.body
    if (body.user_id is None) == (body.external_id is None):
        raise InvalidField("/userId", "type", "Name the user by userId or by externalId.")
    user = UserRef("/externalId" if body.user_id is None else "/userId", body.user_id, body.external_id)
    return await call.write_idempotent(
        deposits_and_withdrawals.deposit,
        user=user,
        amount=body.amount,
        payment_id=body.payment_id,
        currency=call.hub.settings.currency,
    )


async def withdraw(call: Call[Withdrawal, None]) -> WalletEntry | bytes:
    """Withdraw money from your wallet."""
    call.hub.rate_limits.job_changes.hit(call.user.id)
    return await call.write_idempotent(
        deposits_and_withdrawals.withdraw,
        user_id=call.user.id,
        amount=call.body.amount,
        currency=call.hub.settings.currency,
    )
