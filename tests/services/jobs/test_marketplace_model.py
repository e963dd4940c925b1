"""The marketplace compared with its model after each random action."""

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select, text

from services.accounts import users
from services.accounts.users import UserRef
from services.database import outbox
from services.database.sqlite import engine
from services.errors import DomainError
from services.jobs import bidding, closing, deadlines, editing, hiring, posting, status_change
from services.jobs import events as job_events
from services.jobs.editing import JobEdit
from services.jobs.lifecycle import Deadlines
from services.payments import deposits_and_withdrawals, reconciliation, wallet
from services.payments.reconciliation import ReconciliationRun
from services.schemas import Person
from services.tables import accounts, notifications
from services.tables import bids as bid_rows
from services.tables import jobs as table_jobs
from services.times import DAY_MS
from tests.services.jobs.marketplace_model import Bid, ExpectedError, Job, MarketModel, User

T = TypeVar("T")

START = 1_700_000_000_000
AMOUNTS = (1, 40, 60, 100, 101, 250)
STATUSES = ("open", "assigned", "in_progress", "submitted", "completed", "cancelled", "expired")
# The status changes that continue a job, by status; the usual ones are listed more often.
NEXT_STATUSES = {
    "assigned": [*[("freelancer", "in_progress")] * 4, ("owner", "cancelled"), ("freelancer", "cancelled")],
    "in_progress": [*[("freelancer", "submitted")] * 4, ("freelancer", "cancelled"), ("owner", "cancelled")],
    "submitted": [*[("owner", "completed")] * 2, *[("owner", "in_progress")] * 2, ("freelancer", "cancelled")],
}
# The weight of each action; actions that are impossible at the moment are left out.
WEIGHTS = {
    "post": 2,
    "bid": 6,
    "hire": 6,
    "accept_instantly": 2,
    "continue_job": 20,
    "edit": 2,
    "withdraw_bid": 3,
    "close_open": 3,
    "change_any_status": 3,
    "act_as_any_user": 4,
    "hire_too_late": 2,
    "deposit": 2,
    "withdraw": 2,
    "wait": 4,
    "process_deadlines": 5,
    "publish_pending": 2,
    "freeze": 1,
}


class Marketplace(RuleBasedStateMachine):
    """Two clients and four freelancers; every action is run by the real units and by the model."""

    def __init__(self, store: Path, seen: Counter[str]) -> None:
        super().__init__()
        self.seen = seen
        self.consistent = False
        self.frozen_actions_left = -1
        self.engine = engine.writer_engine(store)
        self.tx = self.engine.connect()
        # Durability is not tested here.
        engine.raw_connection(self.tx).execute("PRAGMA synchronous=OFF")
        self.pending_events: list[outbox.PendingEvent] = []

    def teardown(self) -> None:
        # After a failure of the last action, these checks would hide its error.
        if self.consistent:
            self.statements_and_inboxes_are_complete()
        self.tx.close()
        self.engine.dispose()

    @initialize(review=st.sampled_from([7 * DAY_MS, 7 * DAY_MS, 0]))
    def begin(self, review: int) -> None:
        self.market = MarketModel(Deadlines(review_ms=review, delivery_ms=30 * DAY_MS), START)
        with self.tx.begin():
            outbox.begin(self.tx)
            for role in ("client", "client", *["freelancer"] * 4):
                fields: dict[str, Any] = {"email": None, "password_hash": None, "name": role, "role": role}
                self.market.users.append(User(users.create(self.tx, **fields, now=START).id, role))
        for number, client in enumerate(self.market.users[:2]):
            self.deposit_for(client, 1_500, f"opening {number}")

    def do(self, predict: Callable[[], Any], unit: Callable[..., Any], **arguments: Any) -> tuple[Any, Any]:
        """Run an action on the model and on the hub; check that both succeed or raise the same error."""
        self.market.start_action()
        expected, expected_error, result = None, None, None
        try:
            expected = predict()
        except ExpectedError as error:
            expected_error = error
        with self.tx.begin() as transaction:
            outbox.begin(self.tx)
            try:
                result = unit(self.tx, now=self.market.now, **arguments)
            except DomainError as error:
                transaction.rollback()
                outcome: Any = (error.code, error.details)
            else:
                outcome = None
                self.pending_events = list(self.tx.info["outbox"].events)
                outbox.assign_positions(self.tx)
        if expected_error is not None:
            self.seen[expected_error.code] += 1
        assert outcome == (expected_error and (expected_error.code, expected_error.details)), unit.__name__
        return expected, result

    def compare_published(self) -> None:
        """Compare the events and notifications of the action in model and hub, once every id is set."""
        for type, _, (status, *_) in self.market.events:
            self.seen.update((type, f"a job that is {status}"))
        self.seen.update(type for _, type in self.market.notifications)
        events = [
            (type, job.id, (status, budget, count, hired and hired.id))
            for type, job, (status, budget, count, hired) in self.market.events
        ]
        notifications = Counter((user.id, type) for user, type in self.market.notifications)
        published_events, published_notifications = [], Counter[tuple[str, str]]()
        for event in self.pending_events:
            data = msgspec.json.decode(event.data)
            if event.channel == "jobs":
                fields = (data["status"], data["budget"], data["bidCount"], data["hiredBidId"])
                published_events.append((event.type, data["id"], fields))
            else:
                assert event.type == "notification"
                published_notifications[event.channel.removeprefix("user:"), data["type"]] += 1
        self.pending_events = []
        self.market.start_action()
        assert published_events == events
        assert published_notifications == notifications

    def person(self, user: User) -> Person:
        return Person(id=user.id, name=user.role)

    @rule(data=st.data())
    def act(self, data: st.DataObject) -> None:
        """Run one action. Separate rules would rarely run in an order in which jobs make progress."""
        self.draw = data.draw
        self.consistent = False
        if self.frozen_actions_left == 0:
            self.unfreeze()
        self.frozen_actions_left -= 1
        possible = [name for name in WEIGHTS if self.is_possible(name)]
        name = self.pick([name for name in possible for _ in range(WEIGHTS[name])])
        getattr(self, name)()
        self.compare_published()

    def is_possible(self, action: str) -> bool:
        """Return whether the action has an object."""
        market = self.market
        objects: dict[str, Any] = {
            # A low number of jobs, so that each of them changes often.
            "post": len(self.jobs("open")) < 3,
            "bid": self.jobs("open"),
            "edit": self.jobs("open"),
            "close_open": self.jobs("open"),
            "accept_instantly": [job for job in self.jobs("open") if job.instant_accept],
            "hire": [bid for bid in market.bids if bid.job.status == "open"],
            "withdraw_bid": market.bids,
            "continue_job": self.jobs(*NEXT_STATUSES),
            "change_any_status": market.jobs,
            "act_as_any_user": market.bids,
            "hire_too_late": [bid for bid in market.bids if bid.job.status != "open"],
            "freeze": not market.frozen and len(market.jobs) > 2,
        }
        return bool(objects.get(action, True))

    def pick(self, items: Sequence[T]) -> T:
        return self.draw(st.sampled_from(items))

    def jobs(self, *statuses: str) -> list[Job]:
        return [job for job in self.market.jobs if job.status in statuses]

    # Money

    def deposit_for(self, user: User, amount: int, payment: str) -> None:
        arguments = {"user": UserRef("/userId", user.id), "amount": amount, "payment_id": payment, "currency": "USD"}
        self.do(lambda: self.market.deposit(user, amount, payment), deposits_and_withdrawals.deposit, **arguments)
        self.compare_published()

    def deposit(self) -> None:
        """Deposit a new payment, or repeat an earlier one for the same or another user."""
        payment = self.pick(["new", *list(self.market.payments)[-2:]])
        user, amount = self.market.payments.get(payment, (self.pick(self.market.users), self.pick(AMOUNTS)))
        user = self.pick([user, user, user, self.market.users[0]])
        self.deposit_for(user, amount, f"payment {len(self.market.payments)}" if payment == "new" else payment)

    def withdraw(self) -> None:
        user = self.pick(self.market.users)
        amount = self.pick([*AMOUNTS, user.available + 1, user.available or 1])
        arguments = {"user_id": user.id, "amount": amount, "currency": "USD"}
        self.do(lambda: self.market.withdraw(user, amount), deposits_and_withdrawals.withdraw, **arguments)

    def freeze(self) -> None:
        with self.tx.begin():
            reconciliation.record_result(self.tx, started_at=0, faults=["a test"], now=self.market.now)
        self.market.frozen = True
        self.frozen_actions_left = 8

    def unfreeze(self) -> None:
        self.market.now += 1
        with self.tx.begin():
            reconciliation.record_result(self.tx, started_at=self.market.now, faults=[], now=self.market.now)
        self.market.frozen = False

    # Jobs and bids

    def post(self) -> None:
        owner, budget, instant = self.pick(self.market.users[:2]), self.pick(AMOUNTS), self.pick([False, True])
        expires_in = self.pick([None, 1_000, 1_000, 3 * DAY_MS])
        expires_at = None if expires_in is None else self.market.now + expires_in
        arguments = {"title": "T", "description": "D", "budget": budget, "currency": "USD"}
        job, created = self.do(
            lambda: self.market.post(owner, budget, expires_at, instant),
            posting.post,
            owner=self.person(owner),
            expires_at=expires_at,
            instant_accept=instant,
            **arguments,
        )
        if created is not None:
            job.id = created.id

    def edit(self) -> None:
        job, budget = self.pick(self.jobs("open")), self.pick([None, *AMOUNTS])
        self.edit_by(job, job.owner, budget)

    def edit_by(self, job: Job, user: User, budget: int | None) -> None:
        change = JobEdit(title="U") if budget is None else JobEdit(budget=budget)
        arguments = {"job_id": job.id, "owner_id": user.id, "edit": change}
        self.do(lambda: self.market.edit(job, user, budget), editing.edit, **arguments)

    def close_open(self) -> None:
        job = self.pick([job for job in self.jobs("open") if job.bids] or self.jobs("open"))
        if self.pick([True, True, False]):
            self.delete_by(job, job.owner)
        else:
            self.change_status(job, job.owner, "cancelled")

    def delete_by(self, job: Job, user: User) -> None:
        self.do(lambda: self.market.delete(job, user), closing.delete, job_id=job.id, owner_id=user.id)

    def bid(self) -> None:
        self.bid_on(self.pick(self.jobs("open")))

    def bid_on(self, job: Job) -> None:
        user, price = self.pick(self.market.users[2:]), self.pick(AMOUNTS)
        arguments = {"job_id": job.id, "freelancer": self.person(user), "message": "Me", "price": price}
        bid, created = self.do(lambda: self.market.bid(job, user, price), bidding.place, **arguments)
        if created is not None:
            bid.id = created.id

    def withdraw_bid(self) -> None:
        pending = [bid for bid in self.market.bids if bid.status == "pending"]
        bid = self.pick(pending or self.market.bids)
        self.withdraw_bid_by(bid, bid.freelancer)

    def withdraw_bid_by(self, bid: Bid, user: User) -> None:
        arguments = {"bid_id": bid.id, "freelancer_id": user.id}
        self.do(lambda: self.market.withdraw_bid(bid, user), bidding.withdraw, **arguments)

    def hire(self) -> None:
        bid = self.pick([bid for bid in self.market.bids if bid.job.status == "open"])
        self.hire_by(bid, bid.job.owner)

    def hire_by(self, bid: Bid, user: User) -> None:
        self.do(lambda: self.market.hire(bid, user), hiring.hire, bid_id=bid.id, owner_id=user.id)

    def hire_too_late(self) -> None:
        late = [bid for bid in self.market.bids if bid.job.status != "open"]
        status = self.pick(sorted({bid.job.status for bid in late}))
        bid = self.pick([bid for bid in late if bid.job.status == status])
        self.hire_by(bid, bid.job.owner)

    # Status changes

    def accept_instantly(self) -> None:
        job = self.pick([job for job in self.jobs("open") if job.instant_accept])
        self.change_status(job, self.pick(self.market.users[2:]), "in_progress")

    def continue_job(self) -> None:
        job = self.pick(self.jobs(*NEXT_STATUSES))
        actor, status = self.pick(NEXT_STATUSES[job.status])
        self.change_status(job, job.owner if actor == "owner" else self.market.hired_freelancer(job), status)

    def change_any_status(self) -> None:
        job = self.pick(self.market.jobs)
        users = [*self.market.users, job.owner, job.hired.freelancer if job.hired else job.owner]
        self.change_status(job, self.pick(users), self.pick(STATUSES))

    def act_as_any_user(self) -> None:
        """Repeat an action as another user, again, or too late."""
        # Each combination of statuses is equally likely, including the rare ones.
        kinds: dict[tuple[str, str], list[Bid]] = {}
        for bid in self.market.bids:
            kinds.setdefault((bid.status, bid.job.status), []).append(bid)
        bid, user = self.pick(kinds[self.pick(sorted(kinds))]), self.pick(self.market.users)
        actions: tuple[Callable[[], None], ...] = (
            lambda: self.hire_by(bid, user),
            lambda: self.hire_by(bid, bid.job.owner),
            lambda: self.edit_by(bid.job, user, 41),
            lambda: self.edit_by(bid.job, bid.job.owner, 41),
            lambda: self.delete_by(bid.job, user),
            lambda: self.delete_by(bid.job, bid.job.owner),
            lambda: self.withdraw_bid_by(bid, user),
            lambda: self.bid_on(bid.job),
        )
        self.pick(actions)()

    def change_status(self, job: Job, user: User, target: str) -> None:
        _, result = self.do(
            lambda: self.market.change_status(job, user, target),
            status_change.change_status,
            job_id=job.id,
            user=self.person(user),
            role=user.role,
            target=target,
            deadlines=self.market.deadlines,
        )
        if result is not None and result.action == "accept instantly":
            assert job.hired is not None
            job.hired.id = result.job.hired_bid_id

    # Periodic tasks

    def wait(self) -> None:
        """Advance the clock, often to the next deadline or to the moment before it."""
        now = self.market.now
        next_deadline = min(
            (job.due_at - now for job in self.market.jobs if job.due_at is not None and job.due_at > now), default=1
        )
        self.market.now += self.pick(
            [next_deadline - 1, next_deadline - 1, next_deadline, 1, 400, 1_000, DAY_MS, 30 * DAY_MS]
        )

    def process_deadlines(self) -> None:
        with self.tx.begin():
            found = deadlines.DeadlineFinder().find_due(self.tx, now=self.market.now, limit=1_000)
        expected = {job.id: job for job in self.market.due()}
        assert set(found) == set(expected)
        for job_id in found:
            self.do(partial(self.market.process_due, expected[job_id]), deadlines.process_due, found=[job_id])
            self.compare_published()
        # Jobs that are not due stay unchanged.
        not_due = [job.id for job in self.market.jobs if job.id not in expected and not self.market.frozen]
        self.do(lambda: None, deadlines.process_due, found=not_due)

    def publish_pending(self) -> None:
        with self.tx.begin():
            found = job_events.find_unpublished(self.tx, now=self.market.now, limit=1_000)
        expected = {job.id: job for job in self.market.unpublished()}
        assert set(found) == set(expected)
        for job_id in found:
            self.do(partial(self.market.publish_pending, expected[job_id]), job_events.publish_pending, found=[job_id])
            self.compare_published()

    # Invariants

    @invariant()
    def store_equals_model(self) -> None:
        if hasattr(self, "market"):
            self.ledger_balances()
            self.jobs_and_bids_equal_the_model()
            self.consistent = True

    def ledger_balances(self) -> None:
        with self.tx.begin():
            run = ReconciliationRun(started_at=0)
            while run.checkpoint is not None:
                run.run_step(self.tx)
            external = self.tx.execute(select(accounts.c.balance).where(accounts.c.id == "external")).scalar_one()
            wallets = [wallet.get_wallet(self.tx, user_id=user.id, currency="USD") for user in self.market.users]
        assert run.faults == []
        assert external == -self.market.deposited
        assert sum(owned.available + owned.held for owned in wallets) == self.market.deposited
        assert [(owned.available, owned.held) for owned in wallets] == [
            (user.available, user.held) for user in self.market.users
        ]

    def jobs_and_bids_equal_the_model(self) -> None:
        with self.tx.begin():
            stored = {row.id: row for row in self.tx.execute(select(table_jobs))}
            bids = {row.id: (row.job_id, row.status, row.price) for row in self.tx.execute(select(bid_rows))}
        assert set(stored) == {job.id for job in self.market.jobs}
        for job in self.market.jobs:
            row = stored[job.id]
            assert (row.status, row.budget, row.held, row.bid_count) == (
                job.status,
                job.budget,
                job.held,
                job.bid_count,
            )
            assert (row.due_at, row.accepted_at, bool(row.has_unpublished_changes)) == (
                job.due_at,
                job.accepted_at,
                job.has_unpublished_changes,
            )
            assert row.hired_bid_id == (job.hired and job.hired.id)
        assert bids == {bid.id: (bid.job.id, bid.status, bid.price) for bid in self.market.bids}

    def statements_and_inboxes_are_complete(self) -> None:
        """Check that each statement adds up line by line, and that each inbox contains exactly the notifications."""
        with self.tx.begin():
            for user in self.market.users:
                entries, after = [], None
                while True:
                    page = wallet.list_entries(self.tx, user_id=user.id, limit=3, after=after)
                    entries += page.items
                    after = page.next
                    if after is None:
                        break
                balance = 0
                for entry in reversed(entries):
                    balance += entry.amount
                    assert entry.balance == balance >= 0
                assert balance == user.available
                received = self.tx.execute(select(notifications.c.type).where(notifications.c.user_id == user.id))
                assert Counter(received.scalars()) == user.notifications
            total = self.tx.execute(text("SELECT count(*) FROM notifications")).scalar_one()
        assert total == sum(user.notifications.total() for user in self.market.users)


# All of these events, notifications and errors must occur in the test.
REQUIRED = (
    *(f"a job that is {status}" for status in (*STATUSES, "deleted")),
    *("job_created", "job_updated", "job_accepted", "job_completed", "job_refunded", "job_deleted"),
    *("bid_received", "hired", "bid_rejected", "job_submitted", "changes_requested", "payment_released"),
    *("job_cancelled", "deposit", "withdrawal"),
    *("STORAGE_UNAVAILABLE", "INSUFFICIENT_FUNDS", "IDEMPOTENCY_KEY_REUSED", "CONFLICT", "FORBIDDEN", "NOT_FOUND"),
    *("UNAUTHORIZED", "GIG_NOT_OPEN", "GIG_NOT_FOUND", "BID_NOT_PENDING"),
)


def test_marketplace_equals_its_model_after_any_actions(template: Path, tmp_path: Path, deep: bool) -> None:
    created, seen = 0, Counter[str]()

    def create_machine() -> Marketplace:
        nonlocal created
        created += 1
        return Marketplace(Path(shutil.copy(template, tmp_path / f"{created}.db")), seen)

    run_state_machine_as_test(
        create_machine,  # type: ignore[arg-type]  # a factory is called like the class
        settings=settings(
            max_examples=60 if deep else 20,
            stateful_step_count=80,
            deadline=None,
            # The same examples on each run; otherwise one of `REQUIRED` would be missing now and then.
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
            # Shrinking a failure takes too long.
            phases=[Phase.generate],
        ),
    )
    assert [name for name in REQUIRED if not seen[name]] == []
