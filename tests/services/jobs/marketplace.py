"""Users, jobs and bids for the marketplace tests, and the events that they receive."""

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

ErrorT = TypeVar("ErrorT", bound=DomainError)

NOW: Final = 1_700_000_000_000
BUDGET: Final = 60_000
PRICE: Final = 50_000
# Enough for every job that a test posts.
OPENING_BALANCE: Final = 10_000 * BUDGET


def person(tx: Connection, name: str, role: Role = "freelancer") -> Person:
    """Create a user with money in the wallet."""
    user = registration.register(
        tx, email=None, password_hash=None, name=name, role=role, opening_balance=OPENING_BALANCE, now=NOW
    )
    return Person(id=user.id, name=user.name)


def people(tx: Connection, *names: str) -> list[Person]:
    """Create a client and freelancers: the first name is the client's."""
    return [person(tx, name, "freelancer" if index else "client") for index, name in enumerate(names)]


def post(tx: Connection, owner: Person, *, now: int = NOW, **fields: Any) -> Job:
    """Post an open job; `fields` replace the defaults."""
    defaults: dict[str, Any] = {"title": "Fix it", "description": "All of it", "budget": BUDGET, "currency": "USD"}
    return posting.post(tx, owner=owner, now=now, **(defaults | fields))


def bid(tx: Connection, job: Job, freelancer: Person, *, price: int = PRICE, now: int = NOW) -> Bid:
    """Place a bid."""
    return bidding.place(tx, job_id=job.id, freelancer=freelancer, message="I can", price=price, now=now)


def channel_events(events: Sequence[PendingEvent], channel: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the type and data of the events on a channel."""
    return [(event.type, msgspec.json.decode(event.data)) for event in events if event.channel == channel]


def notifications_for(events: Sequence[PendingEvent], user: Person) -> list[dict[str, Any]]:
    """Return the data of the user's notification events."""
    return [data for type, data in channel_events(events, f"user:{user.id}") if type == "notification"]


def expect_error(error_type: type[ErrorT], function: Callable[..., object], *args: Any, **keywords: Any) -> ErrorT:
    """Call the function and return the error it raises; fail if it raises none, or an error of another type."""
    with pytest.raises(error_type) as raised:
        function(*args, **keywords)
    return raised.value


def run_before(tx: Connection, prefix: str, function: Callable[[], object]) -> None:
    """Call the function once, right before the next statement that begins with `prefix`.

    It simulates a concurrent transaction between the reads and the first write of a unit, as on a store with
    multiple writers. Prepared statements are included.
    """
    patch, pending, original_cursor = pytest.MonkeyPatch(), [function], statements._cursor

    def on_statement(statement: str) -> None:
        if pending and statement.startswith(prefix):
            patch.undo()
            pending.pop()()

    event.listen(tx, "before_cursor_execute", lambda _tx, _cursor, statement, *_: on_statement(statement))
    patch.setattr(statements, "_cursor", lambda tx: _ObservedCursor(original_cursor(tx), on_statement))


class _ObservedCursor:
    """A cursor that passes each statement to `on_statement` before running it."""

    def __init__(self, cursor: Any, on_statement: Callable[[str], None]) -> None:
        self._cursor, self._on_statement = cursor, on_statement

    def execute(self, statement: str, values: Sequence[Any]) -> None:
        self._on_statement(statement)
        self._cursor.execute(statement, values)

    def executemany(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        self._on_statement(statement)
        self._cursor.executemany(statement, rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def __iter__(self) -> Any:
        return iter(self._cursor)
