"""What the outside sees of our objects: msgspec structs whose JSON is the contract's, camelCase."""

from typing import Any, Literal

from msgspec import Struct

Role = Literal["client", "freelancer", "admin"]
Category = Literal["job", "bid", "hire", "message", "comment", "payment", "system"]
Priority = Literal["low", "normal", "high", "urgent"]
JobStatus = Literal["open", "assigned", "in_progress", "submitted", "completed", "cancelled", "expired"]
BidStatus = Literal["pending", "hired", "rejected", "withdrawn"]
EntryKind = Literal["deposit", "hold", "release", "payment", "refund", "withdrawal"]


class Shape(Struct, frozen=True, rename="camel", kw_only=True):
    """A value that leaves the house as a JSON object."""


class Person(Shape, frozen=True):
    """Somebody, as others see them inside another object."""

    id: str
    name: str


class Self(Shape, frozen=True):
    """A user as they see themselves."""

    id: str
    email: str | None
    name: str
    role: Role
    skills: list[str]
    created_at: str


class Profile(Shape, frozen=True):
    """A user as others see them."""

    id: str
    name: str
    role: Role
    skills: list[str]
    jobs_done: int
    member_since: str


class ListedUser(Shape, frozen=True):
    """A user as an operator sees them; `external_id` is what another system calls them."""

    id: str
    email: str | None
    external_id: str | None
    name: str
    role: Role
    created_at: str
    disabled_at: str | None


class SignIn(Shape, frozen=True):
    """What signing up or in gives: who one is, and a token for programs (browsers get it as a cookie too)."""

    user: Self
    token: str


class Login(Shape, frozen=True):
    """A signed-in browser or program; `current` is the one that asks."""

    id: str
    user_agent: str | None
    address: str | None
    created_at: str
    used_at: str
    current: bool


class Logins(Shape, frozen=True):
    """A page of logins; `next` goes into `after`."""

    items: list[Login]
    next: str | None


class ApiKey(Shape, frozen=True):
    """A service's key; what it is nobody can tell any more."""

    name: str
    scopes: list[str]
    created_at: str
    revoked_at: str | None


class Ticket(Shape, frozen=True):
    """What opens one stream, once, within `expires_in` seconds."""

    ticket: str
    expires_in: int


class Notification(Shape, frozen=True):
    """One row of an inbox."""

    id: str
    type: str
    category: Category
    priority: Priority
    title: str
    body: str
    data: dict[str, Any]
    url: str | None
    icon: str | None
    actions: list[dict[str, Any]]
    collapse_key: str | None
    count: int
    created_at: str
    expires_at: str | None
    seen_at: str | None
    read_at: str | None
    archived_at: str | None


class Announcement(Shape, frozen=True):
    """Something said to everybody."""

    id: str
    title: str
    body: str
    url: str | None
    priority: Priority
    created_at: str
    expires_at: str | None


class Job(Shape, frozen=True):
    """A job as everybody sees it."""

    id: str
    title: str
    description: str
    budget: int
    currency: str
    category: str | None
    skills: list[str]
    status: JobStatus
    owner: Person
    bid_count: int
    hired_bid_id: str | None
    hired_at: str | None
    expires_at: str | None
    instant_accept: bool
    created_at: str
    updated_at: str


class Bid(Shape, frozen=True):
    """A freelancer's offer on a job; only they and the job's owner see it."""

    id: str
    gig_id: str
    freelancer: Person
    message: str
    price: int
    status: BidStatus
    hired_at: str | None
    rejected_at: str | None
    created_at: str


class Comment(Shape, frozen=True):
    """What somebody says about a job."""

    id: str
    job_id: str
    author: Person
    text: str
    created_at: str


class Wallet(Shape, frozen=True):
    """A user's money in minor units: what can be spent, and what is held for their jobs."""

    available: int
    held: int
    currency: str


class Entry(Shape, frozen=True):
    """A line of a user's statement; `balance` is what could be spent after it."""

    id: str
    kind: EntryKind
    amount: int
    balance: int
    job_id: str | None
    created_at: str
