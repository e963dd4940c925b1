"""The marketplace against a model: random people do random things, and after each the books, jobs and letters agree."""

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
from tests.services.jobs.marketplace_model import Bid, Job, Market, Refused, User

T = TypeVar("T")

BEGINNING = 1_700_000_000_000
AMOUNTS = (1, 40, 60, 100, 101, 250)
STATUSES = ("open", "assigned", "in_progress", "submitted", "completed", "cancelled", "expired")
# Who may bring a job on from where to where, the way of most jobs the most often.
ON = {
    "assigned": [*[("worker", "in_progress")] * 4, ("owner", "cancelled"), ("worker", "cancelled")],
    "in_progress": [*[("worker", "submitted")] * 4, ("worker", "cancelled"), ("owner", "cancelled")],
    "submitted": [*[("owner", "completed")] * 2, *[("owner", "in_progress")] * 2, ("worker", "cancelled")],
}
# How often each act is tried; those that cannot be now are left out.
ACTS = {
    "post": 2,
    "bid": 6,
    "hire": 6,
    "take": 2,
    "go_on": 20,
    "edit": 2,
    "withdraw_bid": 3,
    "end_open": 3,
    "move_anyhow": 3,
    "do_as_somebody_else": 4,
    "hire_too_late": 2,
    "deposit": 2,
    "withdraw": 2,
    "wait": 4,
    "see_to_what_is_due": 5,
    "tell_late": 2,
    "freeze": 1,
}


class Marketplace(RuleBasedStateMachine):
    """Two clients and four freelancers; every act goes to the real units and to the model."""

    def __init__(self, store: Path, seen: Counter[str]) -> None:
        super().__init__()
        self.seen = seen
        self.sound = False
        self.frozen_for = -1
        self.engine = engine.writer_engine(store)
        self.tx = self.engine.connect()
        # Nothing here is about a power cut.
        engine.raw_connection(self.tx).execute("PRAGMA synchronous=OFF")
        self.drafts: list[outbox.PendingEvent] = []

    def teardown(self) -> None:
        # What went wrong in the last act is to be told, and not what came of it.
        if self.sound:
            self.everybody_can_account_for_their_money()
        self.tx.close()
        self.engine.dispose()

    @initialize(review=st.sampled_from([7 * DAY_MS, 7 * DAY_MS, 0]))
    def begin(self, review: int) -> None:
        self.market = Market(Deadlines(review_ms=review, delivery_ms=30 * DAY_MS), BEGINNING)
        with self.tx.begin():
            outbox.begin(self.tx)
            for role in ("client", "client", *["freelancer"] * 4):
                make: dict[str, Any] = {"email": None, "password_hash": None, "name": role, "role": role}
                self.market.users.append(User(users.create(self.tx, **make, now=BEGINNING).id, role))
        for number, client in enumerate(self.market.users[:2]):
            self.pay_in(client, 1_500, f"opening {number}")

    def do(self, predict: Callable[[], Any], unit: Callable[..., Any], **arguments: Any) -> tuple[Any, Any]:
        """Have the model say what should come of it, and the hub do it: the same, or the same refusal."""
        self.market.begin()
        expected, refused, made = None, None, None
        try:
            expected = predict()
        except Refused as error:
            refused = error
        with self.tx.begin() as transaction:
            outbox.begin(self.tx)
            try:
                made = unit(self.tx, now=self.market.now, **arguments)
            except DomainError as error:
                transaction.rollback()
                outcome: Any = (error.code, error.details)
            else:
                outcome = None
                self.drafts = list(self.tx.info["outbox"].events)
                outbox.assign_positions(self.tx)
        if refused is not None:
            self.seen[refused.code] += 1
        assert outcome == (refused and (refused.code, refused.details)), unit.__name__
        return expected, made

    def compare_told(self) -> None:
        """What the act told, by the model and by the hub; once every id is known."""
        for type, _, (status, *_) in self.market.events:
            self.seen.update((type, f"a job that is {status}"))
        self.seen.update(type for _, type in self.market.letters)
        events = [
            (type, job.id, (status, budget, count, hired and hired.id))
            for type, job, (status, budget, count, hired) in self.market.events
        ]
        letters = Counter((user.id, type) for user, type in self.market.letters)
        told_events, told_letters = [], Counter[tuple[str, str]]()
        for draft in self.drafts:
            data = msgspec.json.decode(draft.data)
            if draft.channel == "jobs":
                shown = (data["status"], data["budget"], data["bidCount"], data["hiredBidId"])
                told_events.append((draft.type, data["id"], shown))
            else:
                assert draft.type == "notification"
                told_letters[draft.channel.removeprefix("user:"), data["type"]] += 1
        self.drafts = []
        self.market.begin()
        assert told_events == events
        assert told_letters == letters

    def person(self, user: User) -> Person:
        return Person(id=user.id, name=user.role)

    @rule(data=st.data())
    def something(self, data: st.DataObject) -> None:
        """One act: they share a rule, because rules of their own are seldom tried in an order that leads on."""
        self.draw = data.draw
        self.sound = False
        if self.frozen_for == 0:
            self.let_go()
        self.frozen_for -= 1
        possible = [name for name in ACTS if self.can(name)]
        name = self.pick([name for name in possible for _ in range(ACTS[name])])
        getattr(self, name)()
        self.compare_told()

    def can(self, act: str) -> bool:
        """Whether there is anything to do it to."""
        market = self.market
        wanted: dict[str, Any] = {
            # Few jobs, so that much happens to each.
            "post": len(self.jobs("open")) < 3,
            "bid": self.jobs("open"),
            "edit": self.jobs("open"),
            "end_open": self.jobs("open"),
            "take": [job for job in self.jobs("open") if job.instant],
            "hire": [bid for bid in market.bids if bid.job.status == "open"],
            "withdraw_bid": market.bids,
            "go_on": self.jobs(*ON),
            "move_anyhow": market.jobs,
            "do_as_somebody_else": market.bids,
            "hire_too_late": [bid for bid in market.bids if bid.job.status != "open"],
            "freeze": not market.frozen and len(market.jobs) > 2,
        }
        return bool(wanted.get(act, True))

    def pick(self, items: Sequence[T]) -> T:
        return self.draw(st.sampled_from(items))

    def jobs(self, *statuses: str) -> list[Job]:
        return [job for job in self.market.jobs if job.status in statuses]

    # Money

    def pay_in(self, user: User, amount: int, payment: str) -> None:
        asked = {"user": UserRef("/userId", user.id), "amount": amount, "payment_id": payment, "currency": "USD"}
        self.do(lambda: self.market.deposit(user, amount, payment), deposits_and_withdrawals.deposit, **asked)
        self.compare_told()

    def deposit(self) -> None:
        """Sometimes one that came before, for the same user or another."""
        payment = self.pick(["new", *list(self.market.payments)[-2:]])
        user, amount = self.market.payments.get(payment, (self.pick(self.market.users), self.pick(AMOUNTS)))
        user = self.pick([user, user, user, self.market.users[0]])
        self.pay_in(user, amount, f"payment {len(self.market.payments)}" if payment == "new" else payment)

    def withdraw(self) -> None:
        user = self.pick(self.market.users)
        amount = self.pick([*AMOUNTS, user.available + 1, user.available or 1])
        asked = {"user_id": user.id, "amount": amount, "currency": "USD"}
        self.do(lambda: self.market.withdraw(user, amount), deposits_and_withdrawals.withdraw, **asked)

    def freeze(self) -> None:
        with self.tx.begin():
            reconciliation.record_result(self.tx, started_at=0, faults=["a test"], now=self.market.now)
        self.market.frozen = True
        self.frozen_for = 8

    def let_go(self) -> None:
        self.market.now += 1
        with self.tx.begin():
            reconciliation.record_result(self.tx, started_at=self.market.now, faults=[], now=self.market.now)
        self.market.frozen = False

    # Jobs and bids

    def post(self) -> None:
        owner, budget, instant = self.pick(self.market.users[:2]), self.pick(AMOUNTS), self.pick([False, True])
        expires = self.pick([None, 1_000, 1_000, 3 * DAY_MS])
        at = None if expires is None else self.market.now + expires
        asked = {"title": "T", "description": "D", "budget": budget, "currency": "USD"}
        job, made = self.do(
            lambda: self.market.post(owner, budget, at, instant),
            posting.post,
            owner=self.person(owner),
            expires_at=at,
            instant_accept=instant,
            **asked,
        )
        if made is not None:
            job.id = made.id

    def edit(self) -> None:
        job, budget = self.pick(self.jobs("open")), self.pick([None, *AMOUNTS])
        self.edit_by(job, job.owner, budget)

    def edit_by(self, job: Job, user: User, budget: int | None) -> None:
        change = JobEdit(title="U") if budget is None else JobEdit(budget=budget)
        asked = {"job_id": job.id, "owner_id": user.id, "edit": change}
        self.do(lambda: self.market.edit(job, user, budget), editing.edit, **asked)

    def end_open(self) -> None:
        job = self.pick([job for job in self.jobs("open") if job.bids] or self.jobs("open"))
        if self.pick([True, True, False]):
            self.delete_by(job, job.owner)
        else:
            self.bring(job, job.owner, "cancelled")

    def delete_by(self, job: Job, user: User) -> None:
        self.do(lambda: self.market.delete(job, user), closing.delete, job_id=job.id, owner_id=user.id)

    def bid(self) -> None:
        self.bid_on(self.pick(self.jobs("open")))

    def bid_on(self, job: Job) -> None:
        user, price = self.pick(self.market.users[2:]), self.pick(AMOUNTS)
        asked = {"job_id": job.id, "freelancer": self.person(user), "message": "Me", "price": price}
        bid, made = self.do(lambda: self.market.bid(job, user, price), bidding.place, **asked)
        if made is not None:
            bid.id = made.id

    def withdraw_bid(self) -> None:
        pending = [bid for bid in self.market.bids if bid.status == "pending"]
        bid = self.pick(pending or self.market.bids)
        self.withdraw_bid_by(bid, bid.who)

    def withdraw_bid_by(self, bid: Bid, user: User) -> None:
        asked = {"bid_id": bid.id, "freelancer_id": user.id}
        self.do(lambda: self.market.withdraw_bid(bid, user), bidding.withdraw, **asked)

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

    # The life of a job

    def take(self) -> None:
        job = self.pick([job for job in self.jobs("open") if job.instant])
        self.bring(job, self.pick(self.market.users[2:]), "in_progress")

    def go_on(self) -> None:
        job = self.pick(self.jobs(*ON))
        who, status = self.pick(ON[job.status])
        self.bring(job, job.owner if who == "owner" else self.market.worker(job), status)

    def move_anyhow(self) -> None:
        job = self.pick(self.market.jobs)
        users = [*self.market.users, job.owner, job.hired.who if job.hired else job.owner]
        self.bring(job, self.pick(users), self.pick(STATUSES))

    def do_as_somebody_else(self) -> None:
        """Or once more, or too late."""
        # What is rare among them comes as often as what is not.
        kinds: dict[tuple[str, str], list[Bid]] = {}
        for bid in self.market.bids:
            kinds.setdefault((bid.status, bid.job.status), []).append(bid)
        bid, user = self.pick(kinds[self.pick(sorted(kinds))]), self.pick(self.market.users)
        acts: tuple[Callable[[], None], ...] = (
            lambda: self.hire_by(bid, user),
            lambda: self.hire_by(bid, bid.job.owner),
            lambda: self.edit_by(bid.job, user, 41),
            lambda: self.edit_by(bid.job, bid.job.owner, 41),
            lambda: self.delete_by(bid.job, user),
            lambda: self.delete_by(bid.job, bid.job.owner),
            lambda: self.withdraw_bid_by(bid, user),
            lambda: self.bid_on(bid.job),
        )
        self.pick(acts)()

    def bring(self, job: Job, user: User, target: str) -> None:
        _, made = self.do(
            lambda: self.market.move(job, user, target),
            status_change.change_status,
            job_id=job.id,
            user=self.person(user),
            role=user.role,
            target=target,
            deadlines=self.market.terms,
        )
        if made is not None and made.action == "accept instantly":
            assert job.hired is not None
            job.hired.id = made.job.hired_bid_id

    # What the hub does by itself

    def wait(self) -> None:
        """Often to just before something is due, or to that moment."""
        now = self.market.now
        nearest = min((job.due - now for job in self.market.jobs if job.due is not None and job.due > now), default=1)
        self.market.now += self.pick([nearest - 1, nearest - 1, nearest, 1, 400, 1_000, DAY_MS, 30 * DAY_MS])

    def see_to_what_is_due(self) -> None:
        with self.tx.begin():
            found = deadlines.DeadlineFinder().find_due(self.tx, now=self.market.now, limit=1_000)
        waiting = {job.id: job for job in self.market.due()}
        assert set(found) == set(waiting)
        for job_id in found:
            self.do(partial(self.market.settle, waiting[job_id]), deadlines.process_due, found=[job_id])
            self.compare_told()
        # What is not due, whoever found it, stays as it is.
        early = [job.id for job in self.market.jobs if job.id not in waiting and not self.market.frozen]
        self.do(lambda: None, deadlines.process_due, found=early)

    def tell_late(self) -> None:
        with self.tx.begin():
            found = job_events.find_unpublished(self.tx, now=self.market.now, limit=1_000)
        waiting = {job.id: job for job in self.market.untold()}
        assert set(found) == set(waiting)
        for job_id in found:
            self.do(partial(self.market.tell_late, waiting[job_id]), job_events.publish_pending, found=[job_id])
            self.compare_told()

    # What must always be so

    @invariant()
    def everything_agrees(self) -> None:
        if hasattr(self, "market"):
            self.the_books_add_up()
            self.every_job_and_bid_is_as_the_model_has_it()
            self.sound = True

    def the_books_add_up(self) -> None:
        with self.tx.begin():
            look = ReconciliationRun(started_at=0)
            while look.checkpoint is not None:
                look.run_step(self.tx)
            outside = self.tx.execute(select(accounts.c.balance).where(accounts.c.id == "external")).scalar_one()
            standing = [wallet.get_wallet(self.tx, user_id=user.id, currency="USD") for user in self.market.users]
        assert look.faults == []
        assert outside == -self.market.came_in
        assert sum(each.available + each.held for each in standing) == self.market.came_in
        assert [(each.available, each.held) for each in standing] == [
            (user.available, user.held) for user in self.market.users
        ]

    def every_job_and_bid_is_as_the_model_has_it(self) -> None:
        with self.tx.begin():
            stored = {row.id: row for row in self.tx.execute(select(table_jobs))}
            offers = {row.id: (row.job_id, row.status, row.price) for row in self.tx.execute(select(bid_rows))}
        assert set(stored) == {job.id for job in self.market.jobs}
        for job in self.market.jobs:
            row = stored[job.id]
            assert (row.status, row.budget, row.held, row.bid_count) == (job.status, job.budget, job.held, job.count)
            assert (row.due_at, row.accepted_at, bool(row.has_unpublished_changes)) == (
                job.due,
                job.accepted,
                job.untold,
            )
            assert row.hired_bid_id == (job.hired and job.hired.id)
        assert offers == {bid.id: (bid.job.id, bid.status, bid.price) for bid in self.market.bids}

    def everybody_can_account_for_their_money(self) -> None:
        """At the end: each statement adds up line by line, and each inbox holds what was told, and nothing else."""
        with self.tx.begin():
            for user in self.market.users:
                lines, after = [], None
                while True:
                    page = wallet.list_entries(self.tx, user_id=user.id, limit=3, after=after)
                    lines += page.items
                    after = page.next
                    if after is None:
                        break
                balance = 0
                for line in reversed(lines):
                    balance += line.amount
                    assert line.balance == balance >= 0
                assert balance == user.available
                got = self.tx.execute(select(notifications.c.type).where(notifications.c.user_id == user.id))
                assert Counter(got.scalars()) == user.letters
            counted = self.tx.execute(text("SELECT count(*) FROM notifications")).scalar_one()
        assert counted == sum(user.letters.total() for user in self.market.users)


# Unless all of this has happened, the walk was not worth much.
WORTH = (
    *(f"a job that is {status}" for status in (*STATUSES, "deleted")),
    *("job_created", "job_updated", "job_accepted", "job_completed", "job_refunded", "job_deleted"),
    *("bid_received", "hired", "bid_rejected", "job_submitted", "changes_requested", "payment_released"),
    *("job_cancelled", "deposit", "withdrawal"),
    *("STORAGE_UNAVAILABLE", "INSUFFICIENT_FUNDS", "IDEMPOTENCY_KEY_REUSED", "CONFLICT", "FORBIDDEN", "NOT_FOUND"),
    *("UNAUTHORIZED", "GIG_NOT_OPEN", "GIG_NOT_FOUND", "BID_NOT_PENDING"),
)


def test_the_marketplace_does_what_the_contract_says_whatever_is_done(template: Path, tmp_path: Path) -> None:
    made, seen = 0, Counter[str]()

    def fresh() -> Marketplace:
        nonlocal made
        made += 1
        return Marketplace(Path(shutil.copy(template, tmp_path / f"{made}.db")), seen)

    run_state_machine_as_test(
        fresh,  # type: ignore[arg-type]  # it calls it
        settings=settings(
            max_examples=60,
            stateful_step_count=80,
            deadline=None,
            # The same ones each time, or now and then one would be missing of what is worth seeing.
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
            # To make a failure shorter takes longer than a test may.
            phases=[Phase.generate],
        ),
    )
    assert [what for what in WORTH if not seen[what]] == []
