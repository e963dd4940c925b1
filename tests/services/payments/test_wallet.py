"""The wallet: a statement that adds up, payments that come once, and every transfer whole or not at all."""

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


def someone(tx: Connection, role: Any = "client", money: int = 0) -> Person:
    made = users.create(tx, email=None, password_hash=None, name=role.title(), role=role, now=NOW)
    if money:
        wallet.deposit(tx, user_id=made.id, amount=money, now=NOW)
    return Person(id=made.id, name=made.name)


def posted(tx: Connection, owner: Person, budget: int) -> str:
    return posting.post(tx, owner=owner, title="T", description="D", budget=budget, currency="USD", now=NOW).id


def standing(tx: Connection, user: Person) -> tuple[int, int]:
    found = wallet.get_wallet(tx, user_id=user.id, currency="USD")
    return found.available, found.held


def statement(tx: Connection, user: Person, limit: int = 100) -> list[WalletEntry]:
    """All of it, page by page, the newest first."""
    found, after = [], None
    while True:
        page = wallet.list_entries(tx, user_id=user.id, limit=limit, after=after)
        found += page.items
        after = page.next
        if after is None:
            return found


def pay_in(tx: Connection, user: Person, amount: int, payment_id: str) -> WalletEntry:
    return deposits_and_withdrawals.deposit(
        tx, user=UserRef("/userId", user.id), amount=amount, payment_id=payment_id, currency="USD", now=NOW
    )


def freeze(tx: Connection) -> None:
    tx.execute(text("INSERT INTO freezes (id, since, reason) VALUES (1, 0, 'a test')"))


def test_a_new_wallet_is_empty(tx: Connection) -> None:
    ann = someone(tx)
    assert wallet.get_wallet(tx, user_id=ann.id, currency="EUR") == Wallet(available=0, held=0, currency="EUR")
    assert statement(tx, ann) == []


def test_the_statement_is_of_what_can_be_spent_and_adds_up(tx: Connection) -> None:
    ann, bob = someone(tx, money=10_000), someone(tx, "freelancer")
    job = posted(tx, ann, 6_000)
    assert standing(tx, ann) == (4_000, 6_000)
    bid = bidding.place(tx, job_id=job, freelancer=bob, message="Me", price=5_000, now=NOW)
    hiring.hire(tx, bid_id=bid.id, owner_id=ann.id, now=NOW)
    assert standing(tx, ann) == (5_000, 5_000)
    wallet.pay(tx, owner_id=ann.id, freelancer_id=bob.id, job_id=job, amount=5_000, now=NOW)
    wallet.withdraw(tx, user_id=bob.id, amount=2_000, now=NOW)
    assert (standing(tx, ann), standing(tx, bob)) == ((5_000, 0), (3_000, 0))

    def lines(user: Person) -> list[tuple[str, int, int, str | None]]:
        return [(entry.kind, entry.amount, entry.balance, entry.job_id) for entry in statement(tx, user)]

    assert lines(ann) == [
        ("release", 1_000, 5_000, job),
        ("hold", -6_000, 4_000, job),
        ("deposit", 10_000, 10_000, None),
    ]
    assert lines(bob) == [("withdrawal", -2_000, 3_000, None), ("payment", 5_000, 5_000, job)]


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
def test_pages_of_the_statement_follow_each_other(tx: Connection, limit: int) -> None:
    ann, bob = someone(tx, money=1_000), someone(tx, money=50)
    for number in range(1, 12):
        wallet.withdraw(tx, user_id=ann.id, amount=number, now=NOW)
        wallet.deposit(tx, user_id=(ann if number % 2 else bob).id, amount=3 * number, now=NOW)
    found = statement(tx, ann, limit)
    assert len({entry.id for entry in found}) == len(found) == 18
    assert sum(entry.amount for entry in found) == standing(tx, ann)[0] == found[0].balance
    for newer, older in pairwise(found):
        assert newer.balance == older.balance + newer.amount


def test_what_comes_in_between_two_pages_neither_repeats_nor_hides_an_entry(tx: Connection) -> None:
    ann = someone(tx, money=1_000)
    for _ in range(6):
        wallet.withdraw(tx, user_id=ann.id, amount=1, now=NOW)
    whole = [entry.id for entry in statement(tx, ann)]
    first = wallet.list_entries(tx, user_id=ann.id, limit=3)
    wallet.deposit(tx, user_id=ann.id, amount=5, now=NOW)
    rest = wallet.list_entries(tx, user_id=ann.id, limit=100, after=first.next)
    assert [entry.id for entry in (*first.items, *rest.items)] == whole


def test_a_mark_of_another_list_is_refused(tx: Connection) -> None:
    with pytest.raises(InvalidField):
        wallet.list_entries(tx, user_id=someone(tx).id, after="~~~")


@pytest.fixture
def steps(tx: Connection) -> Iterator[list[int]]:
    """Grows with every instruction that SQLite's machine runs."""
    count = [0]

    def step() -> None:
        count[0] += 1

    engine.raw_connection(tx).set_progress_handler(step, 1)
    yield count
    engine.raw_connection(tx).set_progress_handler(None, 0)


def test_a_page_costs_the_same_wherever_it_is_and_whatever_others_do(tx: Connection, steps: list[int]) -> None:
    ann, bob = someone(tx, money=100_000), someone(tx, money=100_000)

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


def test_too_little_money_says_how_much_there_is_and_writes_nothing(tx: Connection) -> None:
    ann, bob = someone(tx, money=70), someone(tx)
    before = engine.raw_connection(tx).total_changes
    for act in (
        lambda: wallet.withdraw(tx, user_id=ann.id, amount=71, now=NOW),
        lambda: wallet.hold(tx, owner_id=ann.id, job_id="j", amount=71, now=NOW),
        lambda: wallet.require_funds(tx, user_id=ann.id, amount=71),
    ):
        with pytest.raises(InsufficientFunds) as refused:
            act()
        assert refused.value.details == {"available": 70}
    with pytest.raises(InsufficientFunds) as refused:
        wallet.withdraw(tx, user_id=bob.id, amount=1, now=NOW)
    assert refused.value.details == {"available": 0}
    assert engine.raw_connection(tx).total_changes == before
    wallet.require_funds(tx, user_id=ann.id, amount=70)
    wallet.require_funds(tx, user_id=bob.id, amount=0)


def test_what_is_held_is_not_paid_twice(tx: Connection) -> None:
    ann, bob = someone(tx, money=100), someone(tx, "freelancer")
    job = posted(tx, ann, 60)
    wallet.pay(tx, owner_id=ann.id, freelancer_id=bob.id, job_id=job, amount=60, now=NOW)
    with pytest.raises(InsufficientFunds):
        wallet.pay(tx, owner_id=ann.id, freelancer_id=bob.id, job_id=job, amount=60, now=NOW)
    with pytest.raises(InsufficientFunds):
        wallet.refund(tx, owner_id=ann.id, job_id=job, amount=1, now=NOW)


def test_the_books_hold_no_more_than_every_reader_of_json_can_read(tx: Connection) -> None:
    ann = someone(tx)
    most = 10**12
    for _ in range(wallet.MAX_BALANCE // most):
        wallet.deposit(tx, user_id=ann.id, amount=most, now=NOW)
    with pytest.raises(Conflict):
        wallet.deposit(tx, user_id=ann.id, amount=most, now=NOW)
    wallet.deposit(tx, user_id=ann.id, amount=wallet.MAX_BALANCE % most, now=NOW)
    assert standing(tx, ann) == (wallet.MAX_BALANCE, 0)
    with pytest.raises(Conflict):
        wallet.deposit(tx, user_id=someone(tx).id, amount=1, now=NOW)
    wallet.withdraw(tx, user_id=ann.id, amount=1, now=NOW)
    wallet.deposit(tx, user_id=ann.id, amount=1, now=NOW)


def test_a_payment_is_deposited_once_and_told_once(tx: Connection, told: list[outbox.PendingEvent]) -> None:
    ann, bob = someone(tx), someone(tx)
    first = pay_in(tx, ann, 5_000, "stripe-1")
    wallet.withdraw(tx, user_id=ann.id, amount=100, now=NOW)
    assert pay_in(tx, ann, 5_000, "stripe-1") == first
    assert (first.kind, first.amount, first.balance) == ("deposit", 5_000, 5_000)
    for who, amount in ((bob, 5_000), (ann, 5_001)):
        with pytest.raises(IdempotencyKeyReused):
            pay_in(tx, who, amount, "stripe-1")
    assert (standing(tx, ann), standing(tx, bob)) == ((4_900, 0), (0, 0))
    (letter,) = told
    assert (letter.channel, letter.type) == (f"user:{ann.id}", "notification")
    said = msgspec.json.decode(letter.data)
    assert {name: said[name] for name in ("type", "category", "priority", "icon", "invalidates")} == {
        "type": "deposit",
        "category": "payment",
        "priority": "normal",
        "icon": "💰",
        "invalidates": ["wallet"],
    }
    assert said["title"] == "50.00 USD paid in"
    assert said["data"] == {"entryId": first.id, "amount": 5_000, "balance": 5_000, "currency": "USD"}


def test_a_payment_for_nobody_is_refused(tx: Connection) -> None:
    with pytest.raises(InvalidField):
        deposits_and_withdrawals.deposit(
            tx, user=UserRef("/externalId", None, "nobody"), amount=1, payment_id="p", currency="USD", now=NOW
        )


def test_a_withdrawal_is_told(tx: Connection, told: list[outbox.PendingEvent]) -> None:
    ann = someone(tx, money=5_000)
    entry = deposits_and_withdrawals.withdraw(tx, user_id=ann.id, amount=1_250, currency="USD", now=NOW)
    assert (entry.kind, entry.amount, entry.balance) == ("withdrawal", -1_250, 3_750)
    (letter,) = told
    said = msgspec.json.decode(letter.data)
    assert (said["type"], said["title"], said["icon"]) == ("withdrawal", "12.50 USD paid out", "💰")
    assert said["body"] == "Your wallet now has 37.50 USD to spend."


def test_frozen_books_move_no_money_in_any_way(tx: Connection) -> None:
    ann, bob = someone(tx, money=1_000), someone(tx, "freelancer")
    first = pay_in(tx, ann, 100, "before")
    job = posted(tx, ann, 600)
    freeze(tx)
    before = engine.raw_connection(tx).total_changes
    for act in (
        lambda: wallet.require_funds(tx, user_id=ann.id, amount=0),
        lambda: pay_in(tx, ann, 1, "after"),
        lambda: wallet.withdraw(tx, user_id=ann.id, amount=1, now=NOW),
        lambda: wallet.hold(tx, owner_id=ann.id, job_id=job, amount=1, now=NOW),
        lambda: wallet.release(tx, owner_id=ann.id, job_id=job, amount=1, now=NOW),
        lambda: wallet.refund(tx, owner_id=ann.id, job_id=job, amount=600, now=NOW),
        lambda: wallet.pay(tx, owner_id=ann.id, freelancer_id=bob.id, job_id=job, amount=600, now=NOW),
        lambda: posted(tx, ann, 1),
    ):
        with pytest.raises(PaymentsFrozen):
            act()
    assert engine.raw_connection(tx).total_changes == before
    # What was done before is answered as it was, and what is there can be looked at.
    assert pay_in(tx, ann, 100, "before") == first
    assert standing(tx, ann) == (500, 600)
    assert len(statement(tx, ann)) == 3
