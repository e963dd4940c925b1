"""Fills a store for the demo: users, jobs, bids and a hire, by the same units of work that serve real people."""

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

# What each wallet opens with: enough for every job of the story, in minor units.
OPENING_BALANCE: Final = 5_000_000

_HAS_JOB = (
    select(t.jobs.c.id).where(t.jobs.c.owner_id == bindparam("owner"), t.jobs.c.title == bindparam("titled")).limit(1)
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
    """Make what is missing of the demo; what is there already stays as it is. Returns how many jobs were posted.

    `password_hashes` by e-mail address, of all of `PEOPLE`; `renew` gives them to those who exist, too. Each job is
    as old as the story says, counted back from `now`. `files` (`demo_talk.make_files`) go along with what people say.
    """
    known = {someone.name.partition(" ")[0]: _person(tx, someone, password_hashes, renew, now) for someone in PEOPLE}
    posted = 0
    for work in JOBS:
        owner = known[work.owner]
        if tx.execute(_HAS_JOB, {"owner": owner.id, "titled": work.title}).first() is None:
            _post(tx, work, known, currency, now)
            posted += 1
    owner, hired, asking = (known[name] for name in CONVERSATION_MEMBERS)
    conversations.fill(tx, owner=owner, hired=hired, applicant=asking, files=files, now=now)
    return posted


def is_filled(tx: Connection) -> bool:
    """Whether all demo users exist."""
    return all(users.find_by_email(tx, email=someone.email) is not None for someone in PEOPLE)


def _person(tx: Connection, someone: DemoPerson, hashes: Mapping[str, str], renew: bool, now: int) -> Person:
    kept = hashes[someone.email]
    account = users.find_by_email(tx, email=someone.email)
    if account is None:
        made = users.create(
            tx,
            email=someone.email,
            password_hash=kept,
            name=someone.name,
            role=someone.role,
            skills=someone.skills,
            now=now,
        )
        wallet.deposit(tx, user_id=made.id, amount=OPENING_BALANCE, now=now)
        return Person(id=made.id, name=made.name)
    if renew:
        account_access.set_password(tx, email=someone.email, password_hash=kept, now=now)
    return Person(id=account.user.id, name=account.user.name)


def _post(tx: Connection, work: DemoJob, known: Mapping[str, Person], currency: str, now: int) -> None:
    job = posting.post(
        tx,
        owner=known[work.owner],
        title=work.title,
        description=work.description,
        budget=work.budget,
        currency=currency,
        category=work.category,
        skills=work.skills,
        now=_ago(now, work.hours_ago),
    )
    for offer in work.bids:
        bid = bidding.place(
            tx,
            job_id=job.id,
            freelancer=known[offer.freelancer],
            message=offer.message,
            price=offer.price,
            now=_ago(now, offer.hours_ago),
        )
        if offer.freelancer == work.hired:
            winner = bid.id
    if work.hired is not None:
        hiring.hire(tx, bid_id=winner, owner_id=known[work.owner].id, now=_ago(now, work.bids[-1].hours_ago - 1))


def _ago(now: int, hours: float) -> int:
    return now - round(hours * HOUR_MS)
