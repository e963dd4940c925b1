"""People, jobs and bids for the tests of the marketplace, and what they were told."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec
import pytest
from sqlalchemy import Connection, event

from services.database import statements
from services.database.outbox import PendingEvent
from services.errors import DomainError
from services.jobs import bidding, posting
from services.jobs.schemas import Bid, Job
from services.payments import registration
from services.schemas import Person, Role

Refusal = TypeVar("Refusal", bound=DomainError)

NOW: Final = 1_700_000_000_000
BUDGET: Final = 60_000
PRICE: Final = 50_000
# Enough for every job a test posts.
OPENING_BALANCE: Final = 10_000 * BUDGET


def person(tx: Connection, name: str, role: Role = "freelancer") -> Person:
    """Somebody with money."""
    made = registration.register(
        tx, email=None, password_hash=None, name=name, role=role, opening_balance=OPENING_BALANCE, now=NOW
    )
    return Person(id=made.id, name=made.name)


def people(tx: Connection, *names: str) -> list[Person]:
    """The first is a client, the others are freelancers."""
    return [person(tx, name, "freelancer" if place else "client") for place, name in enumerate(names)]


def post(tx: Connection, owner: Person, *, now: int = NOW, **more: Any) -> Job:
    """An open job."""
    usual: dict[str, Any] = {"title": "Fix it", "description": "All of it", "budget": BUDGET, "currency": "USD"}
    return posting.post(tx, owner=owner, now=now, **(usual | more))


def bid(tx: Connection, job: Job, freelancer: Person, *, price: int = PRICE, now: int = NOW) -> Bid:
    """A pending bid."""
    return bidding.place(tx, job_id=job.id, freelancer=freelancer, message="I can", price=price, now=now)


def channel_events(events: Sequence[PendingEvent], channel: str) -> list[tuple[str, dict[str, Any]]]:
    """The types and data of what a channel is going to hear."""
    return [(draft.type, msgspec.json.decode(draft.data)) for draft in events if draft.channel == channel]


def notifications_for(events: Sequence[PendingEvent], user: Person) -> list[dict[str, Any]]:
    """The notifications somebody is going to get."""
    return [data for kind, data in channel_events(events, f"user:{user.id}") if kind == "notification"]


def expect_error(kind: type[Refusal], act: Callable[..., object], *args: Any, **named: Any) -> Refusal:
    """How it was refused; fails if it was not, or in another way."""
    with pytest.raises(kind) as caught:
        act(*args, **named)
    return caught.value


def run_before(tx: Connection, before: str, act: Callable[[], object]) -> None:
    """Let something happen right before the next statement that begins so, once; it may be a prepared one.

    It is what another transaction can do between a unit's look and its first write, on a store with several writers.
    """
    patch, acts, cursor_of = pytest.MonkeyPatch(), [act], statements._cursor

    def look(statement: str) -> None:
        if acts and statement.startswith(before):
            patch.undo()
            acts.pop()()

    event.listen(tx, "before_cursor_execute", lambda _tx, _cursor, statement, *_: look(statement))
    patch.setattr(statements, "_cursor", lambda tx: _Watched(cursor_of(tx), look))


class _Watched:
    """A cursor that says what it is going to run."""

    def __init__(self, cursor: Any, look: Callable[[str], None]) -> None:
        self._cursor, self._look = cursor, look

    def execute(self, statement: str, values: Sequence[Any]) -> None:
        self._look(statement)
        self._cursor.execute(statement, values)

    def executemany(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        self._look(statement)
        self._cursor.executemany(statement, rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def __iter__(self) -> Any:
        return iter(self._cursor)
