"""Bids and hires against a model: after random actions, rows, counts, events and inboxes agree."""

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
NAMES = st.sampled_from(PEOPLE)
INDEXES = st.integers(0, 5)
# True in three of four cases: the action is run as the user who may run it.
MOSTLY = st.sampled_from([True, True, True, False])
SECOND = 1_000

# An event on `jobs`: its type and fields of the job. Or a notification: its user, type and job.
Published = tuple[Any, ...]


@dataclass
class Bid:
    """A bid in the model."""

    id: str
    job: "Job"
    freelancer: str
    status: str = "pending"


@dataclass
class Job:
    """A job in the model. `published_at` is the time of the last event about its bids."""

    id: str
    owner: str
    status: str = "open"
    hired: str | None = None
    bids: list[Bid] = field(default_factory=list)
    published_at: int = -SECOND
    has_unpublished_changes: bool = False

    @property
    def count(self) -> int:
        return sum(bid.status != "withdrawn" for bid in self.bids)

    def pending(self) -> list[Bid]:
        return [bid for bid in self.bids if bid.status == "pending"]

    def event_fields(self) -> tuple[str, str, int, str | None]:
        return self.id, self.status, self.count, self.hired


class HireMachine(RuleBasedStateMachine):
    """Two clients and three freelancers who run allowed and forbidden actions."""

    def __init__(self, store: Path) -> None:
        super().__init__()
        self.engine = engine.writer_engine(store)
        self.tx = self.engine.connect()
        # Durability is not tested here.
        engine.raw_connection(self.tx).execute("PRAGMA synchronous=OFF")
        self.now = marketplace.NOW
        self.jobs: list[Job] = []
        self.bids: list[Bid] = []
        self.inboxes: dict[str, list[tuple[str, str]]] = {name: [] for name in PEOPLE}
        # The events on `jobs`: time, type and data.
        self.job_events: list[tuple[int, str, dict[str, Any]]] = []

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
            for name in PEOPLE[2:]:
                self.bid(name, -1)

    def do(self, unit: Callable[..., Any], **arguments: Any) -> tuple[Any, list[Published]]:
        """Run a unit of work; return its result or error code, and the sorted events."""
        try:
            with self.tx.begin():
                outbox.begin(self.tx)
                result = unit(self.tx, now=self.now, **arguments)
                events = outbox.assign_positions(self.tx)
        except DomainError as error:
            return error.code, []
        names = {f"user:{person.id}": name for name, person in self.people.items()}
        published: list[Published] = []
        for event in events:
            data = msgspec.json.decode(event.data)
            if event.channel == "jobs":
                self.job_events.append((self.now, event.type, data))
                published.append((event.type, data["id"], data["status"], data["bidCount"], data["hiredBidId"]))
            elif event.type == "notification":
                published.append((names[event.channel], data["type"], data["data"]["jobId"]))
        return result, _sorted(*published)

    def notify(self, name: str, type: str, job: Job) -> Published:
        """Return a notification that the hub must send."""
        self.inboxes[name].append((type, job.id))
        return name, type, job.id

    def publish_changed(self, job: Job) -> list[Published]:
        """Return the events that the hub must publish now: at most one per second."""
        if job.published_at + SECOND > self.now:
            job.has_unpublished_changes = True
            return []
        job.published_at, job.has_unpublished_changes = self.now, False
        return [("job_updated", *job.event_fields())]

    @precondition(lambda self: len(self.jobs) < 4)
    @rule(owner=st.sampled_from(PEOPLE[:2]))
    def post(self, owner: str) -> None:
        result, published = self.do(
            posting.post,
            owner=self.people[owner],
            title="T",
            description="D",
            budget=marketplace.BUDGET,
            currency="USD",
        )
        self.jobs.append(Job(result.id, owner))
        assert published == [("job_created", *self.jobs[-1].event_fields())]

    @rule(name=NAMES, index=INDEXES)
    def bid(self, name: str, index: int) -> None:
        job = self.jobs[index % len(self.jobs)]
        result, published = self.do(
            bidding.place, job_id=job.id, freelancer=self.people[name], message="M", price=marketplace.PRICE
        )
        if name == job.owner:
            assert result == "FORBIDDEN"
        elif job.status != "open" or name in [bid.freelancer for bid in job.pending()]:
            assert result == "CONFLICT"
        else:
            job.bids.append(Bid(result.id, job, name))
            self.bids.append(job.bids[-1])
            assert published == _sorted(self.notify(job.owner, "bid_received", job), *self.publish_changed(job))

    @precondition(lambda self: self.bids)
    @rule(name=NAMES, own=MOSTLY, index=INDEXES)
    def withdraw(self, name: str, own: bool, index: int) -> None:
        bid = self.bids[-1 - index % len(self.bids)]
        name = bid.freelancer if own else name
        result, published = self.do(bidding.withdraw, bid_id=bid.id, freelancer_id=self.people[name].id)
        if name != bid.freelancer:
            assert result == "NOT_FOUND"
        elif bid.status != "pending":
            assert result == "CONFLICT"
        else:
            assert result is None
            bid.status = "withdrawn"
            assert published == _sorted(*self.publish_changed(bid.job))

    @precondition(lambda self: self.bids)
    @rule(name=NAMES, owner=MOSTLY, index=INDEXES)
    def hire(self, name: str, owner: bool, index: int) -> None:
        bid = self.bids[-1 - index % len(self.bids)]
        job, name = bid.job, bid.job.owner if owner else name
        result, published = self.do(hiring.hire, bid_id=bid.id, owner_id=self.people[name].id)
        if name != job.owner:
            assert result == "UNAUTHORIZED"
        elif job.status != "open":
            assert result == "GIG_NOT_OPEN"
        elif bid.status != "pending":
            assert result == "BID_NOT_PENDING"
        else:
            assert (result.response.bid_id, result.response.freelancer_id) == (bid.id, self.people[bid.freelancer].id)
            rejected = [other for other in job.pending() if other is not bid]
            for other in rejected:
                other.status = "rejected"
            bid.status, job.status, job.hired, job.has_unpublished_changes = "hired", "assigned", bid.id, False
            notifications = [self.notify(other.freelancer, "bid_rejected", job) for other in rejected]
            assert published == _sorted(
                self.notify(bid.freelancer, "hired", job), *notifications, ("job_updated", *job.event_fields())
            )

    @rule(duration=st.sampled_from([1, 499, 500, 999, SECOND, 7 * SECOND]))
    def wait(self, duration: int) -> None:
        self.now += duration

    @rule()
    def publish_due(self) -> None:
        with self.tx.begin():
            found = job_events.find_unpublished(self.tx, now=self.now, limit=100)
        due = [job for job in self.jobs if job.has_unpublished_changes and job.published_at + SECOND <= self.now]
        assert sorted(found) == sorted(job.id for job in due)
        _, published = self.do(job_events.publish_pending, found=found)
        assert published == _sorted(*(event for job in due for event in self.publish_changed(job)))

    @rule()
    def publish_everything(self) -> None:
        """Wait until every debounce time is over; then the last event of each job shows its current state."""
        self.wait(SECOND)
        self.publish_due()
        last = {data["id"]: data for _, _, data in self.job_events}
        with self.tx.begin():
            for job in self.jobs:
                current = msgspec.to_builtins(listing.get_job(self.tx, job_id=job.id))
                assert {name: last[job.id][name] for name in current} == current

    @rule(name=NAMES, index=INDEXES)
    def read_bids(self, name: str, index: int) -> None:
        """Check which bids a user sees."""
        job, reader = self.jobs[index % len(self.jobs)], self.people[name].id
        with self.tx.begin():
            page = bids.list_for_job(self.tx, job_id=job.id, reader_id=reader)
            own = bids.list_for_freelancer(self.tx, freelancer_id=reader, limit=100)
        visible = [bid for bid in reversed(job.bids) if name in (job.owner, bid.freelancer)]
        assert [(item.id, item.status) for item in page.items] == [(bid.id, bid.status) for bid in visible][:20]
        assert [item.id for item in own.items] == [bid.id for bid in reversed(self.bids) if bid.freelancer == name]

    @invariant()
    def store_equals_model(self) -> None:
        with self.tx.begin():
            listed = self.tx.execute(text("SELECT id, status, bid_count, hired_bid_id FROM jobs ORDER BY id")).all()
            assert listed == sorted(job.event_fields() for job in self.jobs)
            rows = self.tx.execute(text("SELECT id, job_id, status FROM bids ORDER BY id")).all()
            assert rows == sorted((bid.id, bid.job.id, bid.status) for bid in self.bids)
            for name, person in getattr(self, "people", {}).items():
                assert _inbox(self.tx, person.id) == self.inboxes[name]
                counts = inbox.load_counts(self.tx, ids=[person.id])[person.id]
                assert counts == (len(self.inboxes[name]),) * 2

    @invariant()
    def bids_are_published_at_most_once_per_second(self) -> None:
        for job in self.jobs:
            times = [
                at
                for at, type, data in self.job_events
                if type == "job_updated" and data["id"] == job.id and data["status"] == "open"
            ]
            assert all(later - earlier >= SECOND for earlier, later in pairwise(times))


def _sorted(*published: Published) -> list[Published]:
    return sorted(published, key=str)


def _inbox(tx: Connection, user_id: str) -> list[tuple[str, str]]:
    """Return the type and job id of the notifications in an inbox, oldest first."""
    rows = text("SELECT type, data ->> 'jobId' FROM notifications WHERE user_id = :user_id ORDER BY seq")
    return [(type, job_id) for type, job_id in tx.execute(rows, {"user_id": user_id})]


def test_bids_and_hires_equal_the_model_after_any_actions(template: Path, tmp_path: Path, deep: bool) -> None:
    created = 0

    def create_machine() -> HireMachine:
        nonlocal created
        created += 1
        return HireMachine(Path(shutil.copy(template, tmp_path / f"{created}.db")))

    run_state_machine_as_test(
        create_machine,  # type: ignore[arg-type]  # a factory is called like the class
        settings=settings(
            max_examples=50 if deep else 20,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
