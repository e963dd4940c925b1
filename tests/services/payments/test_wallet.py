"""Wallets: balances, statements, transfers, deposits and frozen payments."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, text

from services.accounts import users
from services.accounts.users import UserRef
from services.database import outbox
from services.database.sqlite import engine
from services.errors import Conflict, IdempotencyKeyReused, InsufficientFunds, InvalidField, PaymentsFrozen
from services.jobs import bidding, hiring, posting
from services.payments import deposits_and_withdrawals, wallet
from services.payments.schemas import Wallet, WalletEntry
from services.schemas import Person

NOW = 1_700_000_000_000


def create_user(tx: Connection, role: Any = "client", money: int = 0) -> Person:
    created = users.create(tx, email=None, password_hash=None, name=role.title(), role=role, now=NOW)
    if money:
        wallet.deposit(tx, user_id=created.id, amount=money, now=NOW)
    return Person(id=created.id, name=created.name)


def post_job(tx: Connection, owner: Person, budget: int) -> str:
    return posting.post(tx, owner=owner, title="T", description="D", budget=budget, currency="USD", now=NOW).id


def balances(tx: Connection, user: Person) -> tuple[int, int]:
    result = wallet.get_wallet(tx, user_id=user.id, currency="USD")
    return result.available, result.held


def statement(tx: Connection, user: Person, limit: int = 100) -> list[WalletEntry]:
    """Return all entries, read page by page, newest first."""
    entries, after = [], None
    while True:
        page = wallet.list_entries(tx, user_id=user.id, limit=limit, after=after)
        entries += page.items
        after = page.next
        if after is None:
            return entries


def deposit(tx: Connection, user: Person, amount: int, payment_id: str) -> WalletEntry:
    return deposits_and_withdrawals.deposit(
        tx, user=UserRef("/userId", user.id), amount=amount, payment_id=payment_id, currency="USD", now=NOW
    )


def freeze(tx: Connection) -> None:
    tx.execute(text("INSERT INTO freezes (id, since, reason) VALUES (1, 0, 'a test')"))


def test_new_wallet_is_empty(tx: Connection) -> None:
    ann = create_user(tx)
    assert wallet.get_wallet(tx, user_id=ann.id, currency="EUR") == Wallet(available=0, held=0, currency="EUR")
    assert statement(tx, ann) == []


def test_statement_entries_add_up_to_the_available_balance(tx: Connection) -> None:
    ann, bob = create_user(tx, money=10_000), create_user(tx, "freelancer")
    job = post_job(tx, ann, 6_000)
    assert balances(tx, ann) == (4_000, 6_000)
    bid = bidding.place(tx, job_id=job, freelancer=bob, message="Me", price=5_000, now=NOW)
    hiring.hire(tx, bid_id=bid.id, owner_id=ann.id, now=NOW)
    assert balances(tx, ann) == (5_000, 5_000)
    wallet.pay(tx, owner_id=ann.id, freelancer_id=bob.id, job_id=job, amount=5_000, now=NOW)
    wallet.withdraw(tx, user_id=bob.id, amount=2_000, now=NOW)
    assert (balances(tx, ann), balances(tx, bob)) == ((5_000, 0), (3_000, 0))

    def lines(user: Person) -> list[tuple[str, int, int, str | None]]:
        return [(entry.kind, entry.amount, entry.balance, entry.job_id) for entry in statement(tx, user)]

    assert lines(ann) == [
        ("release", 1_000, 5_000, job),
        ("hold", -6_000, 4_000, job),
        ("deposit", 10_000, 10_000, None),
    ]
    assert lines(bob) == [("withdrawal", -2_000, 3_000, None), ("payment", 5_000, 5_000, job)]


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
def test_statement_pages_continue_each_other(tx: Connection, limit: int) -> None:
    ann, bob = create_user(tx, money=1_000), create_user(tx, money=50)
    for number in range(1, 12):
        wallet.withdraw(tx, user_id=ann.id, amount=number, now=NOW)
        wallet.deposit(tx, user_id=(ann if number % 2 else bob).id, amount=3 * number, now=NOW)
    entries = statement(tx, ann, limit)
    assert len({entry.id for entry in entries}) == len(entries) == 18
    assert sum(entry.amount for entry in entries) == balances(tx, ann)[0] == entries[0].balance
    for newer, older in pairwise(entries):
        assert newer.balance == older.balance + newer.amount


def test_new_entry_between_two_pages_repeats_and_hides_none(tx: Connection) -> None:
    ann = create_user(tx, money=1_000)
    for _ in range(6):
        wallet.withdraw(tx, user_id=ann.id, amount=1, now=NOW)
    before = [entry.id for entry in statement(tx, ann)]
    first = wallet.list_entries(tx, user_id=ann.id, limit=3)
    wallet.deposit(tx, user_id=ann.id, amount=5, now=NOW)
    rest = wallet.list_entries(tx, user_id=ann.id, limit=100, after=first.next)
    assert [entry.id for entry in (*first.items, *rest.items)] == before


def test_page_token_of_another_list_is_rejected(tx: Connection) -> None:
    with pytest.raises(InvalidField):
        wallet.list_entries(tx, user_id=create_user(tx).id, after="~~~")


@pytest.fixture
def steps(tx: Connection) -> Iterator[list[int]]:
    """A counter of executed SQLite virtual machine instructions."""
    count = [0]

    def step() -> None:
        count[0] += 1

    engine.raw_connection(tx).set_progress_handler(step, 1)
    yield count
    engine.raw_connection(tx).set_progress_handler(None, 0)


def test_page_cost_is_independent_of_position_and_other_users(tx: Connection, steps: list[int]) -> None:
    ann, bob = create_user(tx, money=100_000), create_user(tx, money=100_000)

    def cost(after: str | None) -> int:
        before = steps[0]
        assert len(wallet.list_entries(tx, user_id=ann.id, limit=10, after=after).items) == 10
        return steps[0] - before

    for _ in range(10):
        wallet.withdraw(tx, user_id=ann.id, amount=1, now=NOW)
        wallet.deposit(tx, user_id=ann.id, amount=1, now=NOW)
    alone = cost(None)
    for _ in range(300):
        wallet.withdraw(tx, user_id=ann.id, amount=1, now=NOW)
        wallet.deposit(tx, user_id=ann.id, amount=1, now=NOW)
        wallet.withdraw(tx, user_id=bob.id, amount=1, now=NOW)
    deep = wallet.list_entries(tx, user_id=ann.id, limit=100)
    for _ in range(4):
        deep = wallet.list_entries(tx, user_id=ann.id, limit=100, after=deep.next)
    assert max(cost(None), cost(deep.next)) <= alone * 1.1


def test_insufficient_funds_names_the_balance_and_writes_nothing(tx: Connection) -> None:
    ann, bob = create_user(tx, money=70), create_user(tx)
    before = engine.raw_connection(tx).total_changes
    for unit in (
        lambda: wallet.withdraw(tx, user_id=ann.id, amount=71, now=NOW),
        lambda: wallet.hold(tx, owner_id=ann.id, job_id="j", amount=71, now=NOW),
        lambda: wallet.require_funds(tx, user_id=ann.id, amount=71),
    ):
        with pytest.raises(InsufficientFunds) as caught:
            unit()
        assert caught.value.details == {"available": 70}
    with pytest.raises(InsufficientFunds) as caught:
        wallet.withdraw(tx, user_id=bob.id, amount=1, now=NOW)
    assert caught.value.details == {"available": 0}
    assert engine.raw_connection(tx).total_changes == before
    wallet.require_funds(tx, user_id=ann.id, amount=70)
    wallet.require_funds(tx, user_id=bob.id, amount=0)


def test_hold_is_paid_only_once(tx: Connection) -> None:
    ann, bob = create_user(tx, money=100), create_user(tx, "freelancer")
    job = post_job(tx, ann, 60)
    wallet.pay(tx, owner_id=ann.id, freelancer_id=bob.id, job_id=job, amount=60, now=NOW)
    with pytest.raises(InsufficientFunds):
        wallet.pay(tx, owner_id=ann.id, freelancer_id=bob.id, job_id=job, amount=60, now=NOW)
    with pytest.raises(InsufficientFunds):
        wallet.refund(tx, owner_id=ann.id, job_id=job, amount=1, now=NOW)


def test_deposits_are_rejected_beyond_the_largest_safe_integer(tx: Connection) -> None:
    ann = create_user(tx)
    amount = 10**12
    for _ in range(wallet.MAX_BALANCE // amount):
        wallet.deposit(tx, user_id=ann.id, amount=amount, now=NOW)
    with pytest.raises(Conflict):
        wallet.deposit(tx, user_id=ann.id, amount=amount, now=NOW)
    wallet.deposit(tx, user_id=ann.id, amount=wallet.MAX_BALANCE % amount, now=NOW)
    assert balances(tx, ann) == (wallet.MAX_BALANCE, 0)
    with pytest.raises(Conflict):
        wallet.deposit(tx, user_id=create_user(tx).id, amount=1, now=NOW)
    wallet.withdraw(tx, user_id=ann.id, amount=1, now=NOW)
    wallet.deposit(tx, user_id=ann.id, amount=1, now=NOW)


def test_payment_is_deposited_and_announced_once(tx: Connection, pending_events: list[outbox.PendingEvent]) -> None:
    ann, bob = create_user(tx), create_user(tx)
    first = deposit(tx, ann, 5_000, "stripe-1")
    wallet.withdraw(tx, user_id=ann.id, amount=100, now=NOW)
    assert deposit(tx, ann, 5_000, "stripe-1") == first
    assert (first.kind, first.amount, first.balance) == ("deposit", 5_000, 5_000)
    for user, amount in ((bob, 5_000), (ann, 5_001)):
        with pytest.raises(IdempotencyKeyReused):
            deposit(tx, user, amount, "stripe-1")
    assert (balances(tx, ann), balances(tx, bob)) == ((4_900, 0), (0, 0))
    (event,) = pending_events
    assert (event.channel, event.type) == (f"user:{ann.id}", "notification")
    notification = msgspec.json.decode(event.data)
    assert {name: notification[name] for name in ("type", "category", "priority", "icon", "invalidates")} == {
        "type": "deposit",
        "category": "payment",
        "priority": "normal",
        "icon": "💰",
        "invalidates": ["wallet"],
    }
    assert notification["title"] == "50.00 USD paid in"
    assert notification["data"] == {"entryId": first.id, "amount": 5_000, "balance": 5_000, "currency": "USD"}


def test_deposit_for_an_unknown_user_is_rejected(tx: Connection) -> None:
    with pytest.raises(InvalidField):
        deposits_and_withdrawals.deposit(
            tx, user=UserRef("/externalId", None, "nobody"), amount=1, payment_id="p", currency="USD", now=NOW
        )


def test_withdrawal_sends_a_notification(tx: Connection, pending_events: list[outbox.PendingEvent]) -> None:
    ann = create_user(tx, money=5_000)
    entry = deposits_and_withdrawals.withdraw(tx, user_id=ann.id, amount=1_250, currency="USD", now=NOW)
    assert (entry.kind, entry.amount, entry.balance) == ("withdrawal", -1_250, 3_750)
    (event,) = pending_events
    notification = msgspec.json.decode(event.data)
    assert (notification["type"], notification["title"], notification["icon"]) == (
        "withdrawal",
        "12.50 USD paid out",
        "💰",
    )
    assert notification["body"] == "Your wallet now has 37.50 USD to spend."


def test_all_transfers_are_rejected_while_payments_are_frozen(tx: Connection) -> None:
    ann, bob = create_user(tx, money=1_000), create_user(tx, "freelancer")
    first = deposit(tx, ann, 100, "before")
    job = post_job(tx, ann, 600)
    freeze(tx)
    before = engine.raw_connection(tx).total_changes
    for unit in (
        lambda: wallet.require_funds(tx, user_id=ann.id, amount=0),
        lambda: deposit(tx, ann, 1, "after"),
        lambda: wallet.withdraw(tx, user_id=ann.id, amount=1, now=NOW),
        lambda: wallet.hold(tx, owner_id=ann.id, job_id=job, amount=1, now=NOW),
        lambda: wallet.release(tx, owner_id=ann.id, job_id=job, amount=1, now=NOW),
        lambda: wallet.refund(tx, owner_id=ann.id, job_id=job, amount=600, now=NOW),
        lambda: wallet.pay(tx, owner_id=ann.id, freelancer_id=bob.id, job_id=job, amount=600, now=NOW),
        lambda: post_job(tx, ann, 1),
    ):
        with pytest.raises(PaymentsFrozen):
            unit()
    assert engine.raw_connection(tx).total_changes == before
    # A repeated deposit returns the first entry, and balances and statements can be read.
    assert deposit(tx, ann, 100, "before") == first
    assert balances(tx, ann) == (500, 600)
    assert len(statement(tx, ann)) == 3
