"""Fills a store with demo users, jobs, bids and a hire."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, bindparam, select

from services import tables as t
from services.accounts import account_access, users
from services.attachments.records import StoredFile
from services.demo import conversations
from services.demo.cast import CONVERSATION_MEMBERS, JOBS, PEOPLE, DemoJob, DemoPerson
from services.jobs import bidding, hiring, posting
from services.payments import wallet
from services.schemas import Person
from services.times import HOUR_MS

# The opening balance of each demo user, in minor units. It covers every demo job.
OPENING_BALANCE: Final = 5_000_000

_JOB = (
    select(t.jobs.c.id).where(t.jobs.c.owner_id == bindparam("owner_id"), t.jobs.c.title == bindparam("title")).limit(1)
)


def fill(
    tx: Connection,
    *,
    password_hashes: Mapping[str, str],
    renew: bool,
    currency: str,
    files: Mapping[str, StoredFile],
    now: int,
) -> int:
    """Create the missing demo data and return the number of new jobs; existing data stays unchanged.

    `password_hashes` contains a hash for the e-mail address of each of `PEOPLE`; with `renew` existing users get
    theirs too. The age of each job is relative to `now`. `files` are the result of `conversations.create_files`.
    """
    people = {person.first_name: _ensure_user(tx, person, password_hashes, renew, now) for person in PEOPLE}
    posted = 0
    for job in JOBS:
        parameters = {"owner_id": people[job.owner].id, "title": job.title}
        if tx.execute(_JOB, parameters).first() is None:
            _create_job(tx, job, people, currency, now)
            posted += 1
    owner, hired, applicant = (people[first_name] for first_name in CONVERSATION_MEMBERS)
    conversations.fill(tx, owner=owner, hired=hired, applicant=applicant, files=files, now=now)
    return posted


def is_filled(tx: Connection) -> bool:
    """Return whether all demo users exist."""
    return all(users.find_by_email(tx, email=person.email) is not None for person in PEOPLE)


def _ensure_user(
    tx: Connection, person: DemoPerson, password_hashes: Mapping[str, str], renew: bool, now: int
) -> Person:
    password_hash = password_hashes[person.email]
    account = users.find_by_email(tx, email=person.email)
    if account is None:
        user = users.create(
            tx,
            email=person.email,
            password_hash=password_hash,
            name=person.name,
            role=person.role,
            skills=person.skills,
            now=now,
        )
        wallet.deposit(tx, user_id=user.id, amount=OPENING_BALANCE, now=now)
        return Person(id=user.id, name=user.name)
    if renew:
        account_access.set_password(tx, email=person.email, password_hash=password_hash, now=now)
    return Person(id=account.user.id, name=account.user.name)


def _create_job(tx: Connection, demo_job: DemoJob, people: Mapping[str, Person], currency: str, now: int) -> None:
    job = posting.post(
        tx,
        owner=people[demo_job.owner],
        title=demo_job.title,
        description=demo_job.description,
        budget=demo_job.budget,
        currency=currency,
        category=demo_job.category,
        skills=demo_job.skills,
        now=_hours_before(now, demo_job.hours_ago),
    )
    for demo_bid in demo_job.bids:
        bid = bidding.place(
            tx,
            job_id=job.id,
            freelancer=people[demo_bid.freelancer],
            message=demo_bid.message,
            price=demo_bid.price,
            now=_hours_before(now, demo_bid.hours_ago),
        )
        if demo_bid.freelancer == demo_job.hired:
            hired_bid_id = bid.id
    if demo_job.hired is not None:
        hired_at = _hours_before(now, demo_job.bids[-1].hours_ago - 1)
        hiring.hire(tx, bid_id=hired_bid_id, owner_id=people[demo_job.owner].id, now=hired_at)


def _hours_before(now: int, hours: float) -> int:
    return now - round(hours * HOUR_MS)
