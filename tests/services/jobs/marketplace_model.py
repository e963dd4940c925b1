"""The marketplace as the contract tells it, in plain Python: who may do what, where the money is, who hears of it."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from services.jobs.lifecycle import Deadlines

QUIET_MS: Final = 1_000
HIRED: Final = ("assigned", "in_progress", "submitted")


class Refused(Exception):
    """What the model expects to be refused: the contract's code, and what is said beside it."""

    def __init__(self, code: str, **details: Any) -> None:
        super().__init__(code, details)
        self.code = code
        self.details = details


@dataclass(eq=False)
class User:
    """Somebody, and their money."""

    id: str
    role: str
    available: int = 0
    held: int = 0
    # Each type of notification they ever got, and how often.
    letters: Counter[str] = field(default_factory=Counter)


@dataclass(eq=False)
class Bid:
    """An offer; its id is known when the hub has made it."""

    job: "Job"
    who: User
    price: int
    status: str = "pending"
    id: str = ""


@dataclass(eq=False)
class Job:
    """A job, as its row should be; its id is known when the hub has made it."""

    owner: User
    budget: int
    instant: bool
    expires: int | None
    due: int | None
    held: int
    status: str = "open"
    count: int = 0
    accepted: int | None = None
    hired: Bid | None = None
    bids: list[Bid] = field(default_factory=list)
    quiet: int = 0
    untold: bool = False
    id: str = ""

    def pending(self) -> list[Bid]:
        return [bid for bid in self.bids if bid.status == "pending"]

    def shown(self) -> tuple[Any, ...]:
        """What an event says of it, beside its id."""
        return self.status, self.budget, self.count, self.hired


class Market:
    """All of it. Each act raises Refused before it changes anything, or says in `events` and `letters` what is told."""

    def __init__(self, terms: Deadlines, now: int) -> None:
        self.terms = terms
        self.now = now
        self.frozen = False
        self.users: list[User] = []
        self.jobs: list[Job] = []
        self.bids: list[Bid] = []
        self.payments: dict[str, tuple[User, int]] = {}
        self.came_in = 0
        self.events: list[tuple[str, Job, tuple[Any, ...]]] = []
        self.letters: list[tuple[User, str]] = []

    def begin(self) -> None:
        """Before an act: nothing is told yet."""
        self.events, self.letters = [], []

    # Money

    def deposit(self, user: User, amount: int, payment: str) -> None:
        if payment in self.payments:
            if self.payments[payment] != (user, amount):
                raise Refused("IDEMPOTENCY_KEY_REUSED")
            return
        self.must_move()
        self.payments[payment] = (user, amount)
        self.came_in += amount
        user.available += amount
        self.tell(user, "deposit")

    def withdraw(self, user: User, amount: int) -> None:
        self.must_have(user, amount)
        self.came_in -= amount
        user.available -= amount
        self.tell(user, "withdrawal")

    def must_move(self) -> None:
        if self.frozen:
            raise Refused("STORAGE_UNAVAILABLE")

    def must_have(self, user: User, amount: int) -> None:
        self.must_move()
        if user.available < amount:
            raise Refused("INSUFFICIENT_FUNDS", available=user.available)

    def hold(self, job: Job, amount: int) -> None:
        """So much of the owner's money more (or less) is held for a job."""
        job.owner.available -= amount
        job.owner.held += amount
        job.held += amount

    # Jobs and bids

    def post(self, owner: User, budget: int, expires: int | None, instant: bool) -> Job:
        self.must_have(owner, budget)
        job = Job(owner, budget, instant, expires, due=expires, held=0)
        self.hold(job, budget)
        self.jobs.append(job)
        self.event("job_created", job)
        return job

    def edit(self, job: Job, who: User, budget: int | None) -> None:
        """Another budget, or only another title."""
        self.must_be_there(job)
        if who is not job.owner:
            raise Refused("FORBIDDEN")
        if job.status != "open":
            raise Refused("CONFLICT", currentStatus=job.status)
        more = 0 if budget is None else budget - job.budget
        if more:
            self.must_have(who, more)
        job.budget += more
        self.hold(job, more)
        self.changed(job)

    def delete(self, job: Job, who: User) -> None:
        self.must_be_there(job)
        if who is not job.owner:
            raise Refused("FORBIDDEN")
        if job.status != "open":
            raise Refused("CONFLICT", currentStatus=job.status)
        self.end(job, "deleted")

    def bid(self, job: Job, who: User, price: int) -> Bid:
        self.must_be_there(job)
        if job.status != "open":
            raise Refused("CONFLICT", currentStatus=job.status)
        if any(bid.who is who for bid in job.pending()):
            raise Refused("CONFLICT", currentStatus="pending")
        made = self.add_bid(job, who, price)
        job.count += 1
        self.changed(job)
        self.tell(job.owner, "bid_received")
        return made

    def withdraw_bid(self, bid: Bid, who: User) -> None:
        if bid.who is not who or bid.job.status == "deleted":
            raise Refused("NOT_FOUND")
        if bid.status != "pending":
            raise Refused("CONFLICT", currentStatus=bid.status)
        bid.status = "withdrawn"
        bid.job.count -= 1
        self.changed(bid.job)

    def hire(self, bid: Bid, who: User) -> None:
        job = bid.job
        if job.status == "deleted":
            raise Refused("GIG_NOT_FOUND")
        if who is not job.owner:
            raise Refused("UNAUTHORIZED")
        if job.status != "open":
            raise Refused("GIG_NOT_OPEN", currentStatus=job.status, hiredBidId=job.hired and job.hired.id)
        if bid.status != "pending":
            raise Refused("BID_NOT_PENDING", currentStatus=bid.status)
        self.must_have(who, bid.price - job.budget)
        bid.status = "hired"
        job.status, job.hired, job.due, job.untold = "assigned", bid, None, False
        self.hold(job, bid.price - job.held)
        self.tell(bid.who, "hired")
        for loser in job.pending():
            loser.status = "rejected"
            self.tell(loser.who, "bid_rejected")
        self.event("job_updated", job)

    # The life of a job

    def move(self, job: Job, who: User, target: str) -> None:
        self.must_be_there(job)
        worker = job.hired and job.hired.who
        match (job.status, target):
            case ("open", "in_progress") if self.may_take(job, who):
                self.take(job, who)
            case (_, "in_progress") if self.may_take(job, who) and who is not worker:
                raise Refused("GIG_NOT_OPEN", currentStatus=job.status, hiredBidId=job.hired and job.hired.id)
            case ("assigned", "in_progress") if who is worker:
                self.accept(job)
            case ("in_progress", "submitted") if who is worker:
                self.submit(job)
            case ("submitted", "in_progress") if who is job.owner:
                job.status, job.due, job.untold = "in_progress", None, False
                self.tell(self.worker(job), "changes_requested")
                self.event("job_updated", job)
            case ("submitted", "completed") if who is job.owner:
                self.complete(job)
            case ("open" | "assigned", "cancelled") if who is job.owner:
                self.end(job, "cancelled")
            case ("in_progress", "cancelled") if who is job.owner and self.delivery_is_over(job):
                self.end(job, "cancelled")
            case ("assigned" | "in_progress" | "submitted", "cancelled") if who is worker:
                self.end(job, "cancelled")
            case _:
                raise Refused("CONFLICT", currentStatus=job.status)

    def may_take(self, job: Job, who: User) -> bool:
        return job.instant and who.role == "freelancer"

    def delivery_is_over(self, job: Job) -> bool:
        assert job.accepted is not None
        return self.now >= job.accepted + self.terms.delivery_ms

    def take(self, job: Job, who: User) -> None:
        self.must_move()
        for bid in job.pending():
            if bid.who is who:
                bid.status = "withdrawn"
                job.count -= 1
        job.count += 1
        self.hire(self.add_bid(job, who, job.budget), job.owner)
        self.accept(job)

    def accept(self, job: Job) -> None:
        job.status, job.accepted, job.due, job.untold = "in_progress", self.now, None, False
        self.tell(job.owner, "job_accepted")
        self.event("job_accepted", job)

    def submit(self, job: Job) -> None:
        if not self.terms.review_ms:
            self.must_move()
        job.status, job.due, job.untold = "submitted", self.now + self.terms.review_ms, False
        self.tell(job.owner, "job_submitted")
        self.event("job_updated", job)
        if not self.terms.review_ms:
            self.complete(job)

    def complete(self, job: Job) -> None:
        self.must_move()
        price = job.held
        self.hold(job, -price)
        job.owner.available -= price
        self.worker(job).available += price
        job.status, job.due, job.untold = "completed", None, False
        self.tell(job.owner, "job_completed")
        self.tell(self.worker(job), "payment_released")
        self.event("job_completed", job)

    def end(self, job: Job, status: str) -> None:
        self.must_move()
        self.hold(job, -job.held)
        self.tell(job.owner, "job_refunded")
        if job.hired is not None:
            self.tell(job.hired.who, "job_cancelled")
        for loser in job.pending():
            loser.status = "rejected"
            self.tell(loser.who, "job_cancelled")
        job.status, job.due, job.untold = status, None, False
        self.event("job_deleted" if status == "deleted" else "job_refunded", job)

    # What the hub does by itself

    def due(self) -> list[Job]:
        """Jobs that the hub should see to now, the longest due first."""
        found = [job for job in self.jobs if job.due is not None and job.due <= self.now and not self.frozen]
        return sorted(found, key=lambda job: job.due or 0)

    def settle(self, job: Job) -> None:
        if job.status == "open":
            self.end(job, "expired")
        else:
            self.complete(job)

    def untold(self) -> list[Job]:
        return [job for job in self.jobs if job.untold and self.is_loud(job)]

    def tell_late(self, job: Job) -> None:
        job.untold, job.quiet = False, self.now + QUIET_MS
        self.event("job_updated", job)

    # Helpers

    def must_be_there(self, job: Job) -> None:
        if job.status == "deleted":
            raise Refused("NOT_FOUND")

    def add_bid(self, job: Job, who: User, price: int) -> Bid:
        made = Bid(job, who, price)
        job.bids.append(made)
        self.bids.append(made)
        return made

    def worker(self, job: Job) -> User:
        assert job.hired is not None
        return job.hired.who

    def is_loud(self, job: Job) -> bool:
        return not self.now < job.quiet <= self.now + QUIET_MS

    def changed(self, job: Job) -> None:
        """An open job is another: told at once, or when its quiet second is over."""
        if self.is_loud(job):
            job.quiet, job.untold = self.now + QUIET_MS, False
            self.event("job_updated", job)
        else:
            job.untold = True

    def event(self, type: str, job: Job) -> None:
        self.events.append((type, job, job.shown()))

    def tell(self, user: User, type: str) -> None:
        user.letters[type] += 1
        self.letters.append((user, type))
