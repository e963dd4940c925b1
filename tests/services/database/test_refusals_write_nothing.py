"""Rejections precede writes: a rejection after a write makes the batch run again."""

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
from tests.services.jobs.job_factory import (
    DEADLINES,
    FUNDS,
    NOW,
    PostedJob,
    bid,
    change_status,
    create_job,
    person,
    post,
)

Act = Callable[[Connection, PostedJob], object]
CONCURRENT: Final = replace(DEADLINES, review_ms=0)


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


# Rejections in normal operation, by job state: the error and the operation.
REJECTED: Final[dict[str, tuple[str, type[DomainError], Act]]] = {
    "post too late": ("open", InvalidField, lambda tx, g: post(tx, g.owner, expires_at=NOW)),
    "post without money": ("open", InsufficientFunds, lambda tx, g: post(tx, g.owner, budget=FUNDS)),
    "edit of another's": ("open", Forbidden, lambda tx, g: edit(tx, g, g.ann, title="X")),
    "edit too late": ("open", InvalidField, lambda tx, g: edit(tx, g, expires_at=NOW)),
    "edit without money": ("open", InsufficientFunds, lambda tx, g: edit(tx, g, budget=FUNDS + 1)),
    "edit of what is not open": ("assigned", Conflict, lambda tx, g: edit(tx, g, title="X")),
    "delete of another's": ("open", Forbidden, lambda tx, g: delete(tx, g, g.ann)),
    "delete of what is not open": ("submitted", Conflict, lambda tx, g: delete(tx, g)),
    "a state nobody names": ("open", Conflict, lambda tx, g: change_status(tx, g.job, g.owner, "expired")),
    "a note elsewhere": (
        "submitted",
        InvalidField,
        lambda tx, g: change_status(tx, g.job, g.owner, "completed", note="N"),
    ),
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
# Rejections while payments are frozen: each of these operations moves money.
FROZEN: Final[dict[str, tuple[str, Act]]] = {
    "post": ("open", lambda tx, g: post(tx, g.owner)),
    "edit": ("open", lambda tx, g: edit(tx, g, budget=4_999)),
    "delete": ("open", delete),
    "take": ("open", lambda tx, g: change_status(tx, g.job, g.bob, "in_progress")),
    "cancel": ("open", lambda tx, g: change_status(tx, g.job, g.owner, "cancelled")),
    "give up": ("assigned", lambda tx, g: change_status(tx, g.job, g.ann, "cancelled")),
    "complete": ("submitted", lambda tx, g: change_status(tx, g.job, g.owner, "completed")),
    "submit with no review": (
        "in_progress",
        lambda tx, g: change_status(tx, g.job, g.ann, "submitted", deadlines=CONCURRENT),
    ),
    "deposit": ("open", lambda tx, g: deposit(tx, g, 1, "p")),
    "withdrawal": ("open", lambda tx, g: wallet.withdraw(tx, user_id=g.owner.id, amount=1, now=NOW)),
}


def expect_rejection(
    tx: Connection, pending_events: list[PendingEvent], kind: type[DomainError], act: Callable[[], object]
) -> None:
    """Fail unless the unit is rejected before any write and any event."""
    before = engine.raw_connection(tx).total_changes, len(pending_events)
    with pytest.raises(kind):
        act()
    assert (engine.raw_connection(tx).total_changes, len(pending_events)) == before


@pytest.mark.parametrize("name", REJECTED)
def test_rejection_precedes_every_write(tx: Connection, pending_events: list[PendingEvent], name: str) -> None:
    status, kind, act = REJECTED[name]
    g = create_job(tx, status)
    expect_rejection(tx, pending_events, kind, lambda: act(tx, g))


@pytest.mark.parametrize("name", FROZEN)
def test_rejection_precedes_every_write_while_payments_are_frozen(
    tx: Connection, pending_events: list[PendingEvent], name: str
) -> None:
    status, act = FROZEN[name]
    g = create_job(tx, status, instant_accept=True)
    reconciliation.record_result(tx, started_at=NOW, faults=["a test"], now=NOW)
    expect_rejection(tx, pending_events, PaymentsFrozen, lambda: act(tx, g))


def test_rejected_hire_precedes_every_write(tx: Connection, pending_events: list[PendingEvent]) -> None:
    g = create_job(tx)
    cheap, dear = hire(tx, g), hire(tx, g, FUNDS + 1)
    expect_rejection(tx, pending_events, InsufficientFunds, dear)
    reconciliation.record_result(tx, started_at=NOW, faults=["a test"], now=NOW)
    expect_rejection(tx, pending_events, PaymentsFrozen, cheap)


def test_rejected_instant_acceptance_precedes_every_write(tx: Connection, pending_events: list[PendingEvent]) -> None:
    g = create_job(tx, instant_accept=True)
    change_status(tx, g.job, g.ann, "in_progress")
    expect_rejection(tx, pending_events, GigNotOpen, lambda: change_status(tx, g.job, g.bob, "in_progress"))


def test_repeated_deposit_precedes_every_write(tx: Connection, pending_events: list[PendingEvent]) -> None:
    g = create_job(tx)
    deposit(tx, g, 5, "p")
    expect_rejection(tx, pending_events, IdempotencyKeyReused, lambda: deposit(tx, g, 6, "p"))


def test_rejected_withdrawal_precedes_every_write(tx: Connection, pending_events: list[PendingEvent]) -> None:
    g = create_job(tx)
    offer = bid(tx, g.job, person(tx, "Eve"))
    expect_rejection(
        tx, pending_events, NotFound, lambda: bidding.withdraw(tx, bid_id=offer, freelancer_id=g.ann.id, now=NOW)
    )
