"""The marketplace against a model: random people do random things, and after each the books, jobs and letters agree."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select, text

from services import (
    banking,
    bidding,
    books,
    closing,
    due,
    editing,
    hiring,
    job_events,
    jobs,
    moving,
    outbox,
    sqlite,
    users,
    wallet,
)
from services.books import Look
from services.editing import Edit
from services.errors import DomainError
from services.life import Terms
from services.shapes import Person
from services.tables import accounts, notifications
from services.tables import bids as bid_rows
from services.tables import jobs as job_rows
from services.times import DAY
from services.users import Ref
from tests.services.market_model import Job, Market, Refused, User

BEGINNING = 1_700_000_000_000
AMOUNTS = st.sampled_from([1, 40, 60, 100, 101, 250])
# Of the newest few: what was made last is what most can be done with.
PLACE = st.integers(0, 3)
WHO = st.integers(0, 5)
TARGETS = st.sampled_from(["in_progress", "submitted", "completed", "cancelled"])
ODD_TARGETS = st.sampled_from(["open", "assigned", "expired"])


class Marketplace(RuleBasedStateMachine):
    """Two clients and four freelancers; every act goes to the real units and to the model."""

    def __init__(self, store: Path) -> None:
        super().__init__()
        self.engine = sqlite.writer_engine(store)
        self.tx = self.engine.connect()
        self.drafts: list[outbox.Draft] = []

    def teardown(self) -> None:
        if hasattr(self, "market"):
            self.everybody_can_account_for_their_money()
        self.tx.close()
        self.engine.dispose()

    @initialize(review=st.sampled_from([0, 7 * DAY]))
    def begin(self, review: int) -> None:
        self.market = Market(Terms(review_ms=review, delivery_ms=30 * DAY), BEGINNING)
        with self.tx.begin():
            outbox.begin(self.tx)
            for role in ("client", "client", *["freelancer"] * 4):
                make: dict[str, Any] = {"email": None, "password_hash": None, "name": role, "role": role}
                self.market.users.append(User(users.create(self.tx, **make, now=BEGINNING).id, role))
        for number, client in enumerate(self.market.users[:2]):
            self.pay_in(client, 1_000, f"opening {number}")

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
                self.drafts = list(self.tx.info["outbox"].drafts)
                outbox.seal(self.tx)
        assert outcome == (refused and (refused.code, refused.details)), unit.__name__
        return expected, made

    def compare_told(self) -> None:
        """What the act told, by the model and by the hub; once every id is known."""
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
        assert told_events == events
        assert told_letters == letters

    def person(self, user: User) -> Person:
        return Person(id=user.id, name=user.role)

    def user(self, who: int) -> User:
        return self.market.users[who]

    def job(self, place: int) -> Job | None:
        return self.market.jobs[-1 - place] if place < len(self.market.jobs) else None

    # Money

    def pay_in(self, user: User, amount: int, payment: str) -> None:
        asked = {"user": Ref("/userId", user.id), "amount": amount, "payment_id": payment, "currency": "USD"}
        self.do(lambda: self.market.deposit(user, amount, payment), banking.deposit, **asked)
        self.compare_told()

    @rule(who=WHO, amount=AMOUNTS, payment=st.sampled_from("abcdef"))
    def deposit(self, who: int, amount: int, payment: str) -> None:
        self.pay_in(self.user(who), amount, payment)

    @rule(who=WHO, amount=AMOUNTS)
    def withdraw(self, who: int, amount: int) -> None:
        user = self.user(who)
        self.do(
            lambda: self.market.withdraw(user, amount), banking.withdraw, user_id=user.id, amount=amount, currency="USD"
        )
        self.compare_told()

    @rule()
    def freeze(self) -> None:
        with self.tx.begin():
            books.settle(self.tx, began=0, faults=["a test"], now=self.market.now)
        self.market.frozen = True
        self.market.now += 1

    @rule()
    def look_and_let_go(self) -> None:
        with self.tx.begin():
            books.settle(self.tx, began=self.market.now, faults=[], now=self.market.now)
        self.market.frozen = False

    # Jobs and bids

    @rule(
        who=st.integers(0, 1),
        budget=AMOUNTS,
        expires=st.sampled_from([None, 1_000, 3 * DAY]),
        instant=st.booleans(),
    )
    def post(self, who: int, budget: int, expires: int | None, instant: bool) -> None:
        owner, at = self.user(who), None if expires is None else self.market.now + expires
        asked = {"title": "T", "description": "D", "budget": budget, "currency": "USD"}
        job, made = self.do(
            lambda: self.market.post(owner, budget, at, instant),
            jobs.post,
            owner=self.person(owner),
            expires_at=at,
            instant_accept=instant,
            **asked,
        )
        if made is not None:
            job.id = made.id
        self.compare_told()

    @rule(place=PLACE, who=WHO, budget=st.one_of(st.none(), AMOUNTS))
    def edit(self, place: int, who: int, budget: int | None) -> None:
        if job := self.job(place):
            user = self.user(who) if who > 1 else job.owner
            change = Edit(title="U") if budget is None else Edit(budget=budget)
            asked = {"job_id": job.id, "owner_id": user.id, "edit": change}
            self.do(lambda: self.market.edit(job, user, budget), editing.edit, **asked)
            self.compare_told()

    @rule(place=PLACE, who=WHO)
    def delete(self, place: int, who: int) -> None:
        if job := self.job(place):
            user = self.user(who)
            self.do(lambda: self.market.delete(job, user), closing.delete, job_id=job.id, owner_id=user.id)
            self.compare_told()

    @rule(place=PLACE, who=st.integers(2, 5), price=AMOUNTS)
    def bid(self, place: int, who: int, price: int) -> None:
        if job := self.job(place):
            user = self.user(who)
            asked = {"job_id": job.id, "freelancer": self.person(user), "message": "Me", "price": price}
            bid, made = self.do(lambda: self.market.bid(job, user, price), bidding.place, **asked)
            if made is not None:
                bid.id = made.id
            self.compare_told()

    @rule(place=PLACE, who=st.one_of(st.none(), WHO))
    def withdraw_bid(self, place: int, who: int | None) -> None:
        if place < len(self.market.bids):
            bid = self.market.bids[-1 - place]
            user = bid.who if who is None else self.user(who)
            asked = {"bid_id": bid.id, "freelancer_id": user.id}
            self.do(lambda: self.market.withdraw_bid(bid, user), bidding.withdraw, **asked)
            self.compare_told()

    @rule(place=PLACE, who=st.one_of(st.none(), WHO))
    def hire(self, place: int, who: int | None) -> None:
        if place < len(self.market.bids):
            bid = self.market.bids[-1 - place]
            user = bid.job.owner if who is None else self.user(who)
            self.do(lambda: self.market.hire(bid, user), hiring.hire, bid_id=bid.id, owner_id=user.id)
            self.compare_told()

    # The life of a job

    @rule(place=PLACE, who=WHO, status=st.one_of(TARGETS, ODD_TARGETS))
    def move(self, place: int, who: int, status: str) -> None:
        if job := self.job(place):
            self.bring(job, self.user(who), status)

    @rule(place=PLACE, owner=st.booleans(), status=TARGETS)
    def move_by_one_who_may(self, place: int, owner: bool, status: str) -> None:
        if (job := self.job(place)) and (owner or job.hired):
            self.bring(job, job.owner if owner else self.market.worker(job), status)

    def bring(self, job: Job, user: User, target: str) -> None:
        _, made = self.do(
            lambda: self.market.move(job, user, target),
            moving.move,
            job_id=job.id,
            user=self.person(user),
            role=user.role,
            target=target,
            terms=self.market.terms,
        )
        if made is not None and made.act == "take":
            assert job.hired is not None
            job.hired.id = made.answer.hired_bid_id
        self.compare_told()

    # What the hub does by itself

    @rule(ms=st.sampled_from([1, 400, 1_000, 1_001, DAY, 7 * DAY, 30 * DAY]))
    def wait(self, ms: int) -> None:
        self.market.now += ms

    @rule()
    def see_to_what_is_due(self) -> None:
        self.market.begin()
        with self.tx.begin():
            found = due.find(self.tx, now=self.market.now, limit=1_000)
        waiting = self.market.due()
        assert sorted(found) == sorted(job.id for job in waiting)
        for job_id in found:
            (job,) = [job for job in waiting if job.id == job_id]
            self.do(lambda job=job: self.market.settle(job), due.settle, found=[job_id])  # type: ignore[misc]
            self.compare_told()

    @rule()
    def tell_late(self) -> None:
        with self.tx.begin():
            found = job_events.due(self.tx, now=self.market.now, limit=1_000)
        waiting = {job.id: job for job in self.market.untold()}
        assert set(found) == set(waiting)
        for job_id in found:
            self.do(lambda job_id=job_id: self.market.tell_late(waiting[job_id]), job_events.tell, found=[job_id])  # type: ignore[misc]
            self.compare_told()

    # What must always be so

    @invariant()
    def the_books_add_up(self) -> None:
        if not hasattr(self, "market"):
            return
        with self.tx.begin():
            look = Look(began=0)
            while look.place is not None:
                look.go_on(self.tx)
            outside = self.tx.execute(select(accounts.c.balance).where(accounts.c.id == "outside")).scalar_one()
            standing = [wallet.one(self.tx, user_id=user.id, currency="USD") for user in self.market.users]
        assert look.faults == []
        assert outside == -self.market.came_in
        assert sum(each.available + each.held for each in standing) == self.market.came_in
        assert [(each.available, each.held) for each in standing] == [
            (user.available, user.held) for user in self.market.users
        ]

    @invariant()
    def every_job_and_bid_is_as_the_model_has_it(self) -> None:
        if not hasattr(self, "market"):
            return
        with self.tx.begin():
            stored = {row.id: row for row in self.tx.execute(select(job_rows))}
            offers = {row.id: (row.job_id, row.status, row.price) for row in self.tx.execute(select(bid_rows))}
        assert set(stored) == {job.id for job in self.market.jobs}
        for job in self.market.jobs:
            row = stored[job.id]
            assert (row.status, row.budget, row.held, row.bid_count) == (job.status, job.budget, job.held, job.count)
            assert (row.due_at, row.accepted_at, bool(row.untold)) == (job.due, job.accepted, job.untold)
            assert row.hired_bid_id == (job.hired and job.hired.id)
        assert offers == {bid.id: (bid.job.id, bid.status, bid.price) for bid in self.market.bids}

    def everybody_can_account_for_their_money(self) -> None:
        """At the end: each statement adds up line by line, and each inbox holds what was told, and nothing else."""
        with self.tx.begin():
            for user in self.market.users:
                lines, after = [], None
                while True:
                    page = wallet.entries(self.tx, user_id=user.id, limit=3, after=after)
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


def test_the_marketplace_does_what_the_contract_says_whatever_is_done(template: Path, tmp_path: Path) -> None:
    made = 0

    def fresh() -> Marketplace:
        nonlocal made
        made += 1
        return Marketplace(Path(shutil.copy(template, tmp_path / f"{made}.db")))

    run_state_machine_as_test(
        fresh,  # type: ignore[arg-type]  # it calls it
        settings=settings(
            max_examples=100, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
