"""A model of the marketplace rules in plain Python: permissions, balances, events, notifications."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from services.jobs.lifecycle import Deadlines

DEBOUNCE_MS: Final = 1_000
HIRED: Final = ("assigned", "in_progress", "submitted")


class ExpectedError(Exception):
    """The error that the model expects: its published code and details."""

    def __init__(self, code: str, **details: Any) -> None:
        super().__init__(code, details)
        self.code = code
        self.details = details


@dataclass(eq=False)
class User:
    """A user and the balances of their wallet."""

    id: str
    role: str
    available: int = 0
    held: int = 0
    # How often the user got each type of notification.
    notifications: Counter[str] = field(default_factory=Counter)


@dataclass(eq=False)
class Bid:
    """A bid; its id is set once the hub has created it."""

    job: "Job"
    freelancer: User
    price: int
    status: str = "pending"
    id: str = ""


@dataclass(eq=False)
class Job:
    """A job as its row should be; its id is set once the hub has created it."""

    owner: User
    budget: int
    instant_accept: bool
    expires_at: int | None
    due_at: int | None
    held: int
    status: str = "open"
    bid_count: int = 0
    accepted_at: int | None = None
    hired: Bid | None = None
    bids: list[Bid] = field(default_factory=list)
    publish_after: int = 0
    has_unpublished_changes: bool = False
    id: str = ""

    def pending(self) -> list[Bid]:
        return [bid for bid in self.bids if bid.status == "pending"]

    def event_fields(self) -> tuple[Any, ...]:
        """Return the fields of an event about the job, except its id."""
        return self.status, self.budget, self.bid_count, self.hired


class MarketModel:
    """The marketplace. Each action raises ExpectedError before any change, or adds to `events` and `notifications`."""

    def __init__(self, deadlines: Deadlines, now: int) -> None:
        self.deadlines = deadlines
        self.now = now
        self.frozen = False
        self.users: list[User] = []
        self.jobs: list[Job] = []
        self.bids: list[Bid] = []
        self.payments: dict[str, tuple[User, int]] = {}
        self.deposited = 0
        self.events: list[tuple[str, Job, tuple[Any, ...]]] = []
        self.notifications: list[tuple[User, str]] = []

    def start_action(self) -> None:
        """Forget the events and notifications of the previous action."""
        self.events, self.notifications = [], []

    # Money

    def deposit(self, user: User, amount: int, payment: str) -> None:
        if payment in self.payments:
            if self.payments[payment] != (user, amount):
                raise ExpectedError("IDEMPOTENCY_KEY_REUSED")
            return
        self.require_not_frozen()
        self.payments[payment] = (user, amount)
        self.deposited += amount
        user.available += amount
        self.notify(user, "deposit")

    def withdraw(self, user: User, amount: int) -> None:
        self.require_funds(user, amount)
        self.deposited -= amount
        user.available -= amount
        self.notify(user, "withdrawal")

    def require_not_frozen(self) -> None:
        if self.frozen:
            raise ExpectedError("STORAGE_UNAVAILABLE")

    def require_funds(self, user: User, amount: int) -> None:
        self.require_not_frozen()
        if user.available < amount:
            raise ExpectedError("INSUFFICIENT_FUNDS", available=user.available)

    def hold(self, job: Job, amount: int) -> None:
        """Increase (or decrease) the amount that is held for a job."""
        job.owner.available -= amount
        job.owner.held += amount
        job.held += amount

    # Jobs and bids

    def post(self, owner: User, budget: int, expires_at: int | None, instant_accept: bool) -> Job:
        self.require_funds(owner, budget)
        job = Job(owner, budget, instant_accept, expires_at, due_at=expires_at, held=0)
        self.hold(job, budget)
        self.jobs.append(job)
        self.publish("job_created", job)
        return job

    def edit(self, job: Job, user: User, budget: int | None) -> None:
        """Change the budget, or only the title if `budget` is None."""
        self.require_exists(job)
        if user is not job.owner:
            raise ExpectedError("FORBIDDEN")
        if job.status != "open":
            raise ExpectedError("CONFLICT", currentStatus=job.status)
        increase = 0 if budget is None else budget - job.budget
        if increase:
            self.require_funds(user, increase)
        job.budget += increase
        self.hold(job, increase)
        self.publish_changed(job)

    def delete(self, job: Job, user: User) -> None:
        self.require_exists(job)
        if user is not job.owner:
            raise ExpectedError("FORBIDDEN")
        if job.status != "open":
            raise ExpectedError("CONFLICT", currentStatus=job.status)
        self.close(job, "deleted")

    def bid(self, job: Job, freelancer: User, price: int) -> Bid:
        self.require_exists(job)
        if job.status != "open":
            raise ExpectedError("CONFLICT", currentStatus=job.status)
        if any(bid.freelancer is freelancer for bid in job.pending()):
            raise ExpectedError("CONFLICT", currentStatus="pending")
        bid = self.add_bid(job, freelancer, price)
        job.bid_count += 1
        self.publish_changed(job)
        self.notify(job.owner, "bid_received")
        return bid

    def withdraw_bid(self, bid: Bid, user: User) -> None:
        if bid.freelancer is not user or bid.job.status == "deleted":
            raise ExpectedError("NOT_FOUND")
        if bid.status != "pending":
            raise ExpectedError("CONFLICT", currentStatus=bid.status)
        bid.status = "withdrawn"
        bid.job.bid_count -= 1
        self.publish_changed(bid.job)

    def hire(self, bid: Bid, user: User) -> None:
        job = bid.job
        if job.status == "deleted":
            raise ExpectedError("GIG_NOT_FOUND")
        if user is not job.owner:
            raise ExpectedError("UNAUTHORIZED")
        if job.status != "open":
            raise ExpectedError("GIG_NOT_OPEN", currentStatus=job.status, hiredBidId=job.hired and job.hired.id)
        if bid.status != "pending":
            raise ExpectedError("BID_NOT_PENDING", currentStatus=bid.status)
        self.require_funds(user, bid.price - job.budget)
        bid.status = "hired"
        job.status, job.hired, job.due_at, job.has_unpublished_changes = "assigned", bid, None, False
        self.hold(job, bid.price - job.held)
        self.notify(bid.freelancer, "hired")
        for rejected in job.pending():
            rejected.status = "rejected"
            self.notify(rejected.freelancer, "bid_rejected")
        self.publish("job_updated", job)

    # Status changes

    def change_status(self, job: Job, user: User, target: str) -> None:
        self.require_exists(job)
        freelancer = job.hired and job.hired.freelancer
        match (job.status, target):
            case ("open", "in_progress") if self.can_accept_instantly(job, user):
                self.accept_instantly(job, user)
            case (_, "in_progress") if self.can_accept_instantly(job, user) and user is not freelancer:
                raise ExpectedError("GIG_NOT_OPEN", currentStatus=job.status, hiredBidId=job.hired and job.hired.id)
            case ("assigned", "in_progress") if user is freelancer:
                self.accept(job)
            case ("in_progress", "submitted") if user is freelancer:
                self.submit(job)
            case ("submitted", "in_progress") if user is job.owner:
                job.status, job.due_at, job.has_unpublished_changes = "in_progress", None, False
                self.notify(self.hired_freelancer(job), "changes_requested")
                self.publish("job_updated", job)
            case ("submitted", "completed") if user is job.owner:
                self.complete(job)
            case ("open" | "assigned", "cancelled") if user is job.owner:
                self.close(job, "cancelled")
            case ("in_progress", "cancelled") if user is job.owner and self.delivery_is_over(job):
                self.close(job, "cancelled")
            case ("assigned" | "in_progress" | "submitted", "cancelled") if user is freelancer:
                self.close(job, "cancelled")
            case _:
                raise ExpectedError("CONFLICT", currentStatus=job.status)

    def can_accept_instantly(self, job: Job, user: User) -> bool:
        return job.instant_accept and user.role == "freelancer"

    def delivery_is_over(self, job: Job) -> bool:
        assert job.accepted_at is not None
        return self.now >= job.accepted_at + self.deadlines.delivery_ms

    def accept_instantly(self, job: Job, freelancer: User) -> None:
        self.require_not_frozen()
        for bid in job.pending():
            if bid.freelancer is freelancer:
                bid.status = "withdrawn"
                job.bid_count -= 1
        job.bid_count += 1
        self.hire(self.add_bid(job, freelancer, job.budget), job.owner)
        self.accept(job)

    def accept(self, job: Job) -> None:
        job.status, job.accepted_at, job.due_at, job.has_unpublished_changes = "in_progress", self.now, None, False
        self.notify(job.owner, "job_accepted")
        self.publish("job_accepted", job)

    def submit(self, job: Job) -> None:
        if not self.deadlines.review_ms:
            self.require_not_frozen()
        job.status, job.due_at, job.has_unpublished_changes = "submitted", self.now + self.deadlines.review_ms, False
        self.notify(job.owner, "job_submitted")
        self.publish("job_updated", job)
        if not self.deadlines.review_ms:
            self.complete(job)

    def complete(self, job: Job) -> None:
        self.require_not_frozen()
        price = job.held
        self.hold(job, -price)
        job.owner.available -= price
        self.hired_freelancer(job).available += price
        job.status, job.due_at, job.has_unpublished_changes = "completed", None, False
        self.notify(job.owner, "job_completed")
        self.notify(self.hired_freelancer(job), "payment_released")
        self.publish("job_completed", job)

    def close(self, job: Job, status: str) -> None:
        self.require_not_frozen()
        self.hold(job, -job.held)
        self.notify(job.owner, "job_refunded")
        if job.hired is not None:
            self.notify(job.hired.freelancer, "job_cancelled")
        for rejected in job.pending():
            rejected.status = "rejected"
            self.notify(rejected.freelancer, "job_cancelled")
        job.status, job.due_at, job.has_unpublished_changes = status, None, False
        self.publish("job_deleted" if status == "deleted" else "job_refunded", job)

    # Periodic tasks

    def due(self) -> list[Job]:
        """Return the jobs whose deadline has passed, earliest deadline first."""
        jobs = [job for job in self.jobs if job.due_at is not None and job.due_at <= self.now and not self.frozen]
        return sorted(jobs, key=lambda job: job.due_at or 0)

    def process_due(self, job: Job) -> None:
        if job.status == "open":
            self.close(job, "expired")
        else:
            self.complete(job)

    def unpublished(self) -> list[Job]:
        return [job for job in self.jobs if job.has_unpublished_changes and self.may_publish(job)]

    def publish_pending(self, job: Job) -> None:
        job.has_unpublished_changes, job.publish_after = False, self.now + DEBOUNCE_MS
        self.publish("job_updated", job)

    # Helpers

    def require_exists(self, job: Job) -> None:
        if job.status == "deleted":
            raise ExpectedError("NOT_FOUND")

    def add_bid(self, job: Job, freelancer: User, price: int) -> Bid:
        bid = Bid(job, freelancer, price)
        job.bids.append(bid)
        self.bids.append(bid)
        return bid

    def hired_freelancer(self, job: Job) -> User:
        assert job.hired is not None
        return job.hired.freelancer

    def may_publish(self, job: Job) -> bool:
        return not self.now < job.publish_after <= self.now + DEBOUNCE_MS

    def publish_changed(self, job: Job) -> None:
        """Publish a changed open job now, or when its debounce time is over."""
        if self.may_publish(job):
            job.publish_after, job.has_unpublished_changes = self.now + DEBOUNCE_MS, False
            self.publish("job_updated", job)
        else:
            job.has_unpublished_changes = True

    def publish(self, type: str, job: Job) -> None:
        self.events.append((type, job, job.event_fields()))

    def notify(self, user: User, type: str) -> None:
        user.notifications[type] += 1
        self.notifications.append((user, type))
