"""Plays steps of the demo's crowd, each by the unit of work that serves real people, at its own time."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import Connection, bindparam, select

from services import tables as t
from services.accounts import users
from services.jobs import bidding, comments, hiring, posting, status_change
from services.jobs.lifecycle import Deadlines
from services.payments import wallet
from services.schemas import Person
from services.times import DAY_MS

# Nobody has an address at this domain (RFC 2606), nor a password: they are there to be seen.
DOMAIN: Final = "crowd.example"

REVIEW_MS: Final = 7 * DAY_MS
DELIVERY_MS: Final = 30 * DAY_MS

_CROWD: Final = select(t.users.c.id).where(t.users.c.email == bindparam("which"))


class Step(msgspec.Struct, frozen=True):
    """Who does what, when (ms), to the user, job or bid that an earlier step made under that key."""

    at: int
    action: Literal["join", "post", "bid", "hire", "move", "comment"]
    actor: str
    target: str = ""
    creates: str = ""
    arguments: dict[str, Any] = {}


def replay(tx: Connection, *, steps: Sequence[Step], known_ids: Mapping[str, str], now: int) -> dict[str, str]:
    """Play steps in their order; `known` are the ids of earlier ones by key. Returns the ids of what they made.

    Every review begins `now`, or the hub would at once complete what was handed in long ago, before its owner does.
    """
    made: dict[str, str] = {}
    ids = {**known_ids}
    names = users.load_names(tx, ids=list({ids[step.actor] for step in steps if step.actor in ids}))
    for step in steps:
        if step.action == "join":
            new = _join(tx, step)
            names[new] = step.arguments["name"]
        else:
            by = Person(id=ids[step.actor], name=names[ids[step.actor]])
            new = _act(tx, step, by, ids.get(step.target, ""), now)
        if step.creates:
            made[step.creates] = ids[step.creates] = new
    return made


def has_crowd(tx: Connection) -> bool:
    """Whether there is a crowd already."""
    return tx.execute(_CROWD, {"which": f"client-0@{DOMAIN}"}).first() is not None


def _join(tx: Connection, step: Step) -> str:
    about = step.arguments
    made = users.create(
        tx,
        email=f"{step.actor}@{DOMAIN}",
        password_hash=None,
        name=about["name"],
        role=about["role"],
        skills=about["skills"],
        now=step.at,
    )
    if about["money"]:
        wallet.deposit(tx, user_id=made.id, amount=about["money"], now=step.at)
    return made.id


def _act(tx: Connection, step: Step, by: Person, on: str, now: int) -> str:
    """What somebody who is there does to `on`; the id of what came of it."""
    at, about = step.at, step.arguments
    match step.action:
        case "post":
            return posting.post(tx, owner=by, **about, now=at).id
        case "bid":
            return bidding.place(tx, job_id=on, freelancer=by, **about, now=at).id
        case "comment":
            return comments.create(tx, job_id=on, author=by, **about, now=at).id
        case "hire":
            hiring.hire(tx, bid_id=on, owner_id=by.id, now=at)
        case _:
            terms = Deadlines(review_ms=now - at + REVIEW_MS, delivery_ms=DELIVERY_MS)
            # Whose move it is follows from who owns the job and who is hired.
            status_change.change_status(tx, job_id=on, user=by, role="client", **about, deadlines=terms, now=at)
    return on
