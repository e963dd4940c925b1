"""What is refused has written nothing by then: a refusal after a write makes the whole batch run once more."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest
from sqlalchemy import Connection

from services.accounts.users import UserRef
from services.database.outbox import PendingEvent
from services.database.sqlite import engine
from services.errors import (
    Conflict,
    DomainError,
    Forbidden,
    GigNotOpen,
    IdempotencyKeyReused,
    InsufficientFunds,
    InvalidField,
    NotFound,
    PaymentsFrozen,
)
from services.jobs import bidding, closing, comments, editing, hiring
from services.jobs.editing import JobEdit
from services.payments import deposits_and_withdrawals, reconciliation, wallet
from services.payments.wallet import MAX_BALANCE
from services.schemas import Person
from tests.services.jobs.job_factory import FUNDS, NOW, DEADLINES, PostedJob, bid, create_job, person, post, change_status

Act = Callable[[Connection, PostedJob], object]
AT_ONCE: Final = replace(DEADLINES, review_ms=0)


def edit(tx: Connection, g: PostedJob, who: Person | None = None, **changes: Any) -> None:
    editing.edit(tx, job_id=g.job.id, owner_id=(who or g.owner).id, edit=JobEdit(**changes), now=NOW)


def delete(tx: Connection, g: PostedJob, who: Person | None = None) -> None:
    closing.delete(tx, job_id=g.job.id, owner_id=(who or g.owner).id, now=NOW)


def hire(tx: Connection, g: PostedJob, price: int = 4_000) -> Callable[[], object]:
    offer = bid(tx, g.job, person(tx, "Eve"), price)
    return lambda: hiring.hire(tx, bid_id=offer, owner_id=g.owner.id, now=NOW)


def deposit(tx: Connection, g: PostedJob, amount: int, payment_id: str) -> None:
    deposits_and_withdrawals.deposit(
        tx, user=UserRef("/userId", user_id=g.owner.id), amount=amount, payment_id=payment_id, currency="USD", now=NOW
    )


# What is refused while everything is well, by the state of the job: the kind of refusal, and the act.
REFUSED: Final[dict[str, tuple[str, type[DomainError], Act]]] = {
    "post too late": ("open", InvalidField, lambda tx, g: post(tx, g.owner, expires_at=NOW)),
    "post without money": ("open", InsufficientFunds, lambda tx, g: post(tx, g.owner, budget=FUNDS)),
    "edit of another's": ("open", Forbidden, lambda tx, g: edit(tx, g, g.ann, title="X")),
    "edit too late": ("open", InvalidField, lambda tx, g: edit(tx, g, expires_at=NOW)),
    "edit without money": ("open", InsufficientFunds, lambda tx, g: edit(tx, g, budget=FUNDS + 1)),
    "edit of what is not open": ("assigned", Conflict, lambda tx, g: edit(tx, g, title="X")),
    "delete of another's": ("open", Forbidden, lambda tx, g: delete(tx, g, g.ann)),
    "delete of what is not open": ("submitted", Conflict, lambda tx, g: delete(tx, g)),
    "a state nobody names": ("open", Conflict, lambda tx, g: change_status(tx, g.job, g.owner, "expired")),
    "a note elsewhere": ("submitted", InvalidField, lambda tx, g: change_status(tx, g.job, g.owner, "completed", note="N")),
    "cancel before delivery": ("in_progress", Conflict, lambda tx, g: change_status(tx, g.job, g.owner, "cancelled")),
    "take of what is bid on": ("open", Conflict, lambda tx, g: change_status(tx, g.job, g.bob, "in_progress")),
    "take of what is over": ("completed", Conflict, lambda tx, g: change_status(tx, g.job, g.bob, "in_progress")),
    "comment on nothing": (
        "open",
        NotFound,
        lambda tx, g: comments.create(tx, job_id="none", author=g.ann, text="T", now=NOW),
    ),
    "withdrawal without money": (
        "open",
        InsufficientFunds,
        lambda tx, g: wallet.withdraw(tx, user_id=g.ann.id, amount=1, now=NOW),
    ),
    "deposit of too much": ("open", Conflict, lambda tx, g: deposit(tx, g, MAX_BALANCE, "p")),
}
# What is refused while no money moves: each of these would move some.
FROZEN: Final[dict[str, tuple[str, Act]]] = {
    "post": ("open", lambda tx, g: post(tx, g.owner)),
    "edit": ("open", lambda tx, g: edit(tx, g, budget=4_999)),
    "delete": ("open", delete),
    "take": ("open", lambda tx, g: change_status(tx, g.job, g.bob, "in_progress")),
    "cancel": ("open", lambda tx, g: change_status(tx, g.job, g.owner, "cancelled")),
    "give up": ("assigned", lambda tx, g: change_status(tx, g.job, g.ann, "cancelled")),
    "complete": ("submitted", lambda tx, g: change_status(tx, g.job, g.owner, "completed")),
    "submit with no review": ("in_progress", lambda tx, g: change_status(tx, g.job, g.ann, "submitted", deadlines=AT_ONCE)),
    "deposit": ("open", lambda tx, g: deposit(tx, g, 1, "p")),
    "withdrawal": ("open", lambda tx, g: wallet.withdraw(tx, user_id=g.owner.id, amount=1, now=NOW)),
}


def refuses(tx: Connection, told: list[PendingEvent], kind: type[DomainError], act: Callable[[], object]) -> None:
    """Refused, and nothing was written or told before."""
    before = engine.raw_connection(tx).total_changes, len(told)
    with pytest.raises(kind):
        act()
    assert (engine.raw_connection(tx).total_changes, len(told)) == before


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_comes_before_anything_is_written(tx: Connection, told: list[PendingEvent], name: str) -> None:
    status, kind, act = REFUSED[name]
    g = create_job(tx, status)
    refuses(tx, told, kind, lambda: act(tx, g))


@pytest.mark.parametrize("name", FROZEN)
def test_while_money_is_frozen_a_refusal_comes_before_anything_is_written(
    tx: Connection, told: list[PendingEvent], name: str
) -> None:
    status, act = FROZEN[name]
    g = create_job(tx, status, instant_accept=True)
    reconciliation.record_result(tx, started_at=NOW, faults=["a test"], now=NOW)
    refuses(tx, told, PaymentsFrozen, lambda: act(tx, g))


def test_a_hire_is_refused_before_anything_is_written(tx: Connection, told: list[PendingEvent]) -> None:
    g = create_job(tx)
    cheap, dear = hire(tx, g), hire(tx, g, FUNDS + 1)
    refuses(tx, told, InsufficientFunds, dear)
    reconciliation.record_result(tx, started_at=NOW, faults=["a test"], now=NOW)
    refuses(tx, told, PaymentsFrozen, cheap)


def test_a_job_that_was_taken_is_refused_before_anything_is_written(tx: Connection, told: list[PendingEvent]) -> None:
    g = create_job(tx, instant_accept=True)
    change_status(tx, g.job, g.ann, "in_progress")
    refuses(tx, told, GigNotOpen, lambda: change_status(tx, g.job, g.bob, "in_progress"))


def test_a_payment_told_of_twice_is_refused_before_anything_is_written(
    tx: Connection, told: list[PendingEvent]
) -> None:
    g = create_job(tx)
    deposit(tx, g, 5, "p")
    refuses(tx, told, IdempotencyKeyReused, lambda: deposit(tx, g, 6, "p"))


def test_a_bid_that_cannot_be_withdrawn_is_refused_before_anything_is_written(
    tx: Connection, told: list[PendingEvent]
) -> None:
    g = create_job(tx)
    offer = bid(tx, g.job, person(tx, "Eve"))
    refuses(tx, told, NotFound, lambda: bidding.withdraw(tx, bid_id=offer, freelancer_id=g.ann.id, now=NOW))
