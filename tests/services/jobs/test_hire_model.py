"""A model of bids and hires: whatever people do, rows, counts, events and inboxes are what the rules say."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, text

from services.database import outbox
from services.database.sqlite import engine
from services.errors import DomainError
from services.jobs import bidding, bids, hiring, listing, posting
from services.jobs import events as job_events
from services.notifications import inbox
from services.schemas import Person
from tests.services.jobs import marketplace

PEOPLE = ("Olga", "Oleg", "Ann", "Bob", "Cat")
WHO = st.sampled_from(PEOPLE)
PLACE = st.integers(0, 5)
# The right person three times in four; the others may be the right one too.
MOSTLY = st.sampled_from([True, True, True, False])
SECOND = 1_000

# An event on `jobs`, its type and the job as shown; or a notification, for whom, its type and the job.
Told = tuple[Any, ...]


@dataclass
class Bid:
    """A bid as the model has it."""

    id: str
    job: "Job"
    who: str
    status: str = "pending"


@dataclass
class Job:
    """A job as the model has it; `told` is when everybody last heard of its bids, `untold` that they should again."""

    id: str
    owner: str
    status: str = "open"
    hired: str | None = None
    bids: list[Bid] = field(default_factory=list)
    told: int = -SECOND
    untold: bool = False

    @property
    def count(self) -> int:
        return sum(bid.status != "withdrawn" for bid in self.bids)

    def pending(self) -> list[Bid]:
        return [bid for bid in self.bids if bid.status == "pending"]

    def shown(self) -> tuple[str, str, int, str | None]:
        return self.id, self.status, self.count, self.hired


class Market(RuleBasedStateMachine):
    """Two clients and three freelancers who do what they may and what they may not."""

    def __init__(self, store: Path) -> None:
        super().__init__()
        self.engine = engine.writer_engine(store)
        self.tx = self.engine.connect()
        self.now = marketplace.NOW
        self.jobs: list[Job] = []
        self.bids: list[Bid] = []
        self.inboxes: dict[str, list[tuple[str, str]]] = {name: [] for name in PEOPLE}
        # What everybody has heard: when, and the event's data.
        self.heard: list[tuple[int, str, dict[str, Any]]] = []

    def teardown(self) -> None:
        self.tx.close()
        self.engine.dispose()

    @initialize()
    def begin(self) -> None:
        with self.tx.begin():
            outbox.begin(self.tx)
            roles = ("client", "client", "freelancer", "freelancer", "freelancer")
            self.people: dict[str, Person] = {
                name: marketplace.person(self.tx, name, role)  # type: ignore[arg-type]
                for name, role in zip(PEOPLE, roles, strict=True)
            }
        for owner in PEOPLE[:2]:
            self.post(owner)
            for who in PEOPLE[2:]:
                self.bid(who, -1)

    def do(self, unit: Callable[..., Any], **arguments: Any) -> tuple[Any, list[Told]]:
        """One unit of work: its answer or its error's code, and what it told, sorted."""
        try:
            with self.tx.begin():
                outbox.begin(self.tx)
                answer = unit(self.tx, now=self.now, **arguments)
                events = outbox.assign_positions(self.tx)
        except DomainError as error:
            return error.code, []
        names = {f"user:{person.id}": name for name, person in self.people.items()}
        told: list[Told] = []
        for event in events:
            data = msgspec.json.decode(event.data)
            if event.channel == "jobs":
                self.heard.append((self.now, event.type, data))
                told.append((event.type, data["id"], data["status"], data["bidCount"], data["hiredBidId"]))
            elif event.type == "notification":
                told.append((names[event.channel], data["type"], data["data"]["jobId"]))
        return answer, _all(*told)

    def mail(self, who: str, kind: str, job: Job) -> Told:
        """A notification that must have been sent."""
        self.inboxes[who].append((kind, job.id))
        return who, kind, job.id

    def bids_changed(self, job: Job) -> list[Told]:
        """What everybody must hear of it now: at most once a second."""
        if job.told + SECOND > self.now:
            job.untold = True
            return []
        job.told, job.untold = self.now, False
        return [("job_updated", *job.shown())]

    @precondition(lambda self: len(self.jobs) < 4)
    @rule(owner=st.sampled_from(PEOPLE[:2]))
    def post(self, owner: str) -> None:
        made, told = self.do(
            posting.post,
            owner=self.people[owner],
            title="T",
            description="D",
            budget=marketplace.BUDGET,
            currency="USD",
        )
        self.jobs.append(Job(made.id, owner))
        assert told == [("job_created", *self.jobs[-1].shown())]

    @rule(who=WHO, place=PLACE)
    def bid(self, who: str, place: int) -> None:
        job = self.jobs[place % len(self.jobs)]
        made, told = self.do(
            bidding.place, job_id=job.id, freelancer=self.people[who], message="M", price=marketplace.PRICE
        )
        if who == job.owner:
            assert made == "FORBIDDEN"
        elif job.status != "open" or who in [bid.who for bid in job.pending()]:
            assert made == "CONFLICT"
        else:
            job.bids.append(Bid(made.id, job, who))
            self.bids.append(job.bids[-1])
            assert told == _all(self.mail(job.owner, "bid_received", job), *self.bids_changed(job))

    @precondition(lambda self: self.bids)
    @rule(who=WHO, own=MOSTLY, place=PLACE)
    def withdraw(self, who: str, own: bool, place: int) -> None:
        bid = self.bids[-1 - place % len(self.bids)]
        who = bid.who if own else who
        answer, told = self.do(bidding.withdraw, bid_id=bid.id, freelancer_id=self.people[who].id)
        if who != bid.who:
            assert answer == "NOT_FOUND"
        elif bid.status != "pending":
            assert answer == "CONFLICT"
        else:
            assert answer is None
            bid.status = "withdrawn"
            assert told == _all(*self.bids_changed(bid.job))

    @precondition(lambda self: self.bids)
    @rule(who=WHO, owner=MOSTLY, place=PLACE)
    def hire(self, who: str, owner: bool, place: int) -> None:
        bid = self.bids[-1 - place % len(self.bids)]
        job, who = bid.job, bid.job.owner if owner else who
        answer, told = self.do(hiring.hire, bid_id=bid.id, owner_id=self.people[who].id)
        if who != job.owner:
            assert answer == "UNAUTHORIZED"
        elif job.status != "open":
            assert answer == "GIG_NOT_OPEN"
        elif bid.status != "pending":
            assert answer == "BID_NOT_PENDING"
        else:
            assert (answer.response.bid_id, answer.response.freelancer_id) == (bid.id, self.people[bid.who].id)
            losers = [other for other in job.pending() if other is not bid]
            for other in losers:
                other.status = "rejected"
            bid.status, job.status, job.hired, job.untold = "hired", "assigned", bid.id, False
            letters = [self.mail(other.who, "bid_rejected", job) for other in losers]
            assert told == _all(self.mail(bid.who, "hired", job), *letters, ("job_updated", *job.shown()))

    @rule(later=st.sampled_from([1, 499, 500, 999, SECOND, 7 * SECOND]))
    def wait(self, later: int) -> None:
        self.now += later

    @rule()
    def tell_what_is_due(self) -> None:
        with self.tx.begin():
            found = job_events.find_unpublished(self.tx, now=self.now, limit=100)
        due = [job for job in self.jobs if job.untold and job.told + SECOND <= self.now]
        assert sorted(found) == sorted(job.id for job in due)
        _, told = self.do(job_events.publish_pending, found=found)
        assert told == _all(*(one for job in due for one in self.bids_changed(job)))

    @rule()
    def settle(self) -> None:
        """A quiet second, and everybody knows everything."""
        self.wait(SECOND)
        self.tell_what_is_due()
        last = {data["id"]: data for _, _, data in self.heard}
        with self.tx.begin():
            for job in self.jobs:
                shown = msgspec.to_builtins(listing.get_job(self.tx, job_id=job.id))
                assert {name: last[job.id][name] for name in shown} == shown

    @rule(who=WHO, place=PLACE)
    def look(self, who: str, place: int) -> None:
        """Who sees which bids."""
        job, reader = self.jobs[place % len(self.jobs)], self.people[who].id
        with self.tx.begin():
            page = bids.list_for_job(self.tx, job_id=job.id, reader_id=reader)
            own = bids.list_for_freelancer(self.tx, freelancer_id=reader, limit=100)
        visible = [bid for bid in reversed(job.bids) if who in (job.owner, bid.who)]
        assert [(item.id, item.status) for item in page.items] == [(bid.id, bid.status) for bid in visible][:20]
        assert [item.id for item in own.items] == [bid.id for bid in reversed(self.bids) if bid.who == who]

    @invariant()
    def everything_agrees(self) -> None:
        with self.tx.begin():
            listed = self.tx.execute(text("SELECT id, status, bid_count, hired_bid_id FROM jobs ORDER BY id")).all()
            assert listed == sorted(job.shown() for job in self.jobs)
            rows = self.tx.execute(text("SELECT id, job_id, status FROM bids ORDER BY id")).all()
            assert rows == sorted((bid.id, bid.job.id, bid.status) for bid in self.bids)
            for name, person in getattr(self, "people", {}).items():
                assert _inbox(self.tx, person.id) == self.inboxes[name]
                counts = inbox.load_counts(self.tx, ids=[person.id])[person.id]
                assert counts == (len(self.inboxes[name]),) * 2

    @invariant()
    def bids_are_told_at_most_once_a_second(self) -> None:
        for job in self.jobs:
            at = [
                when
                for when, kind, data in self.heard
                if kind == "job_updated" and data["id"] == job.id and data["status"] == "open"
            ]
            assert all(later - earlier >= SECOND for earlier, later in pairwise(at))


def _all(*told: Told) -> list[Told]:
    return sorted(told, key=str)


def _inbox(tx: Connection, user_id: str) -> list[tuple[str, str]]:
    """What is in an inbox, the oldest first."""
    rows = text("SELECT type, data ->> 'jobId' FROM notifications WHERE user_id = :who ORDER BY seq")
    return [(kind, job_id) for kind, job_id in tx.execute(rows, {"who": user_id})]


def test_rows_counts_events_and_inboxes_agree_whatever_people_do(template: Path, tmp_path: Path) -> None:
    made = 0

    def fresh() -> Market:
        nonlocal made
        made += 1
        return Market(Path(shutil.copy(template, tmp_path / f"{made}.db")))

    run_state_machine_as_test(
        fresh,  # type: ignore[arg-type]  # it calls it
        settings=settings(
            max_examples=50, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
