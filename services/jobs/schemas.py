"""JSON objects of jobs."""

from typing import Literal

from services.schemas import Person, Schema

JobStatus = Literal["open", "assigned", "in_progress", "submitted", "completed", "cancelled", "expired"]

BidStatus = Literal["pending", "hired", "rejected", "withdrawn"]


class Job(Schema, frozen=True):
    """A job as any caller sees it."""

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


class Bid(Schema, frozen=True):
    """A freelancer's bid on a job; only the freelancer and the job's owner see it."""

    id: str
    gig_id: str
    freelancer: Person
    message: str
    price: int
    status: BidStatus
    hired_at: str | None
    rejected_at: str | None
    created_at: str


class Comment(Schema, frozen=True):
    """A user's comment on a job."""

    id: str
    job_id: str
    author: Person
    text: str
    created_at: str
