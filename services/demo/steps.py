"""Replays generated steps through the normal units of work."""

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

# A domain that can never receive mail (RFC 2606). The users of the crowd have no password and cannot sign in.
DOMAIN: Final = "crowd.example"

REVIEW_MS: Final = 7 * DAY_MS
DELIVERY_MS: Final = 30 * DAY_MS

_USER: Final = select(t.users.c.id).where(t.users.c.email == bindparam("email"))


class Step(msgspec.Struct, frozen=True):
    """An action of a user at the time `at` (ms).

    `actor` is the key of the user, `target` the key of the job or bid, `creates` the key of the new user, job or bid.
    A key is defined by the step that creates the object.
    """

    at: int
    action: Literal["register", "post", "bid", "hire", "change status", "comment"]
    actor: str
    target: str = ""
    creates: str = ""
    arguments: dict[str, Any] = {}


def replay(tx: Connection, *, steps: Sequence[Step], known_ids: Mapping[str, str], now: int) -> dict[str, str]:
    """Run steps in their order and return the ids of the objects they created, by key.

    `known_ids` are the ids that earlier steps created. Every review starts at `now`; otherwise the hub would complete
    old submitted jobs immediately, before the step in which their owner does.
    """
    created_ids: dict[str, str] = {}
    ids = {**known_ids}
    names = users.load_names(tx, ids=list({ids[step.actor] for step in steps if step.actor in ids}))
    for step in steps:
        if step.action == "register":
            new_id = _register(tx, step)
            names[new_id] = step.arguments["name"]
        else:
            actor = Person(id=ids[step.actor], name=names[ids[step.actor]])
            new_id = _run(tx, step, actor, ids.get(step.target, ""), now)
        if step.creates:
            created_ids[step.creates] = ids[step.creates] = new_id
    return created_ids


def has_crowd(tx: Connection) -> bool:
    """Return whether the store contains the users of the crowd."""
    return tx.execute(_USER, {"email": f"client-0@{DOMAIN}"}).first() is not None


def _register(tx: Connection, step: Step) -> str:
    arguments = step.arguments
    user = users.create(
        tx,
        email=f"{step.actor}@{DOMAIN}",
        password_hash=None,
        name=arguments["name"],
        role=arguments["role"],
        skills=arguments["skills"],
        now=step.at,
    )
    if arguments["balance"]:
        wallet.deposit(tx, user_id=user.id, amount=arguments["balance"], now=step.at)
    return user.id


def _run(tx: Connection, step: Step, actor: Person, target_id: str, now: int) -> str:
    """Run the step and return the id of the new object, or of the target if there is none."""
    at, arguments = step.at, step.arguments
    match step.action:
        case "post":
            return posting.post(tx, owner=actor, **arguments, now=at).id
        case "bid":
            return bidding.place(tx, job_id=target_id, freelancer=actor, **arguments, now=at).id
        case "comment":
            return comments.create(tx, job_id=target_id, author=actor, **arguments, now=at).id
        case "hire":
            hiring.hire(tx, bid_id=target_id, owner_id=actor.id, now=at)
        case _:
            deadlines = Deadlines(review_ms=now - at + REVIEW_MS, delivery_ms=DELIVERY_MS)
            # The role is not used: the actor is the job's owner or its hired freelancer.
            status_change.change_status(
                tx, job_id=target_id, user=actor, role="client", **arguments, deadlines=deadlines, now=at
            )
    return target_id
