"""Transactional outbox: events are appended in a transaction and get their positions at COMMIT.

Positions come from one counter row and are assigned by `assign_positions`, last before COMMIT. A later commit has a
higher position, so a reader that has seen position n has missed nothing before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, bindparam, delete, func, insert, literal, select, union_all, update

from realtime.event import Event
from realtime.ports import EventPage, MissedCounts
from services.database.statements import Statement
from services.tables import event_counter, events, trim_marks

_encoder = msgspec.json.Encoder()

_ADVANCE = Statement(
    update(event_counter)
    .values(position=event_counter.c.position + bindparam("count"))
    .returning(event_counter.c.position, event_counter.c.epoch)
)
_APPEND = Statement(insert(events))

_HEAD = select(event_counter.c.position, event_counter.c.epoch)
_FORGET = delete(events).where(events.c.subject.in_(bindparam("subjects", expanding=True))).returning(events.c.position)
# Subjects of one statement; SQLite allows 32,766 parameters, and each length is compiled once.
_MAX_SUBJECTS = 500
_COLUMNS = (events.c.position, events.c.channel, events.c.type, events.c.data)
_NEWEST = select(*_COLUMNS).order_by(events.c.position.desc()).limit(bindparam("limit"))
_TRIMMED_TO = select(func.coalesce(func.max(trim_marks.c.position), 0))
_TRIMMED_TO_OF = _TRIMMED_TO.where(trim_marks.c.channel.in_(bindparam("channels", expanding=True)))
_COUNT_AFTER = select(func.count()).select_from(
    select(literal(1))
    .select_from(events)
    .where(events.c.channel.in_(bindparam("channels", expanding=True)), events.c.position > bindparam("position"))
    .limit(bindparam("limit"))
    .subquery()
)


def _next_events(channels: int) -> Select[tuple[int, str, str, bytes]]:
    """Select the next events of this many channels: a short index scan per channel first, then the data."""
    nearest = union_all(
        *(
            select(
                select(events.c.position)
                .where(events.c.channel == bindparam(f"channel_{n}"), events.c.position > bindparam("position"))
                .order_by(events.c.position)
                .limit(bindparam("limit"))
                .subquery()
                .c.position
            )
            for n in range(channels)
        )
    ).subquery()
    positions = select(nearest.c.position).order_by(nearest.c.position).limit(bindparam("limit"))
    return select(*_COLUMNS).where(events.c.position.in_(positions)).order_by(events.c.position)


# A stream has at most a handful of channels; one statement is built for each number of channels.
_NEXT_BY_CHANNEL_COUNT = tuple(_next_events(n) for n in range(1, 9))


@dataclass
class PendingEvent:
    """An event that has no position yet: the other columns of its row."""

    channel: str
    type: str
    data: bytes
    subject: str | None
    created_at: int


@dataclass(slots=True)
class PendingEvents:
    """Events and removals that one transaction publishes after COMMIT; stored in the `info` of the connection."""

    events: list[PendingEvent] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
    # (subject, or channel and subject; number of events so far): earlier events about it are not published.
    forgotten_subjects: list[tuple[str | tuple[str, str], int]] = field(default_factory=list)

    def savepoint(self) -> tuple[int, int, int]:
        """Return the lengths of the lists, for `rollback_to`."""
        return len(self.events), len(self.forgotten), len(self.forgotten_subjects)

    def rollback_to(self, savepoint: tuple[int, int, int]) -> None:
        """Drop what a failed unit has added since the savepoint."""
        events, forgotten, subjects = savepoint
        del self.events[events:], self.forgotten[forgotten:], self.forgotten_subjects[subjects:]

    def to_publish(self) -> list[tuple[int, PendingEvent]]:
        """Return (index, event) of the events that the same transaction has not forgotten again."""
        forgotten_before = dict(self.forgotten_subjects)
        return [
            (index, event)
            for index, event in enumerate(self.events)
            if event.subject is None
            or index
            >= max(forgotten_before.get(event.subject, 0), forgotten_before.get((event.channel, event.subject), 0))
        ]


def begin(tx: Connection) -> PendingEvents:
    """Start collecting the events of a new transaction."""
    outbox = PendingEvents()
    tx.info["outbox"] = outbox
    return outbox


def append(tx: Connection, channel: str, type: str, data: Any, *, now: int, subject: str | None = None) -> None:
    """Publish an event to a channel once this transaction has committed.

    `data` is a struct or dict that becomes one JSON object; `subject` names the entity it is about, for `forget`.
    `now` is in milliseconds.
    """
    collected: PendingEvents = tx.info["outbox"]
    collected.events.append(PendingEvent(channel, type, _encoder.encode(data), subject, now))


def next_cursor(tx: Connection) -> str:
    """Return the cursor that the event just appended will have.

    It is known before `assign_positions`, because nothing else moves the counter during a transaction and an event
    keeps its index when an earlier one is forgotten. A unit can therefore put it into a stored response.
    """
    collected: PendingEvents = tx.info["outbox"]
    position, epoch = head(tx)
    return f"{epoch}.{position + len(collected.events)}"


def forget(tx: Connection, subject: str) -> None:
    """Delete every event about `subject` from the log and from the pending events of this transaction."""
    forget_all(tx, [subject])


def forget_all(tx: Connection, subjects: Sequence[str]) -> None:
    """Delete the events about many subjects, like `forget`, in batches."""
    collected: PendingEvents = tx.info["outbox"]
    collected.forgotten_subjects.extend((subject, len(collected.events)) for subject in subjects)
    for start in range(0, len(subjects), _MAX_SUBJECTS):
        part = subjects[start : start + _MAX_SUBJECTS]
        collected.forgotten.extend(tx.execute(_FORGET, {"subjects": part}).scalars())


def assign_positions(tx: Connection) -> list[Event]:
    """Assign positions to the pending events and insert their rows: the last statements of a transaction.

    An event's position follows from its index in the transaction. A forgotten event leaves a gap, also at the end:
    its position may be in a stored response (`next_cursor`) and must not be given to another event.
    """
    collected: PendingEvents = tx.info["outbox"]
    count = len(collected.events)
    if not count:
        return []
    pending = collected.to_publish()
    ((last, epoch),) = _ADVANCE.all(tx, {"count": count})
    first = last - count + 1
    _APPEND.execute_many(tx, [{"position": first + index, **vars(event)} for index, event in pending])
    return [Event.durable(event.channel, event.type, event.data, first + index, epoch) for index, event in pending]


def head(tx: Connection) -> tuple[int, str]:
    """Return the last assigned position and the epoch of the store."""
    position, epoch = tx.execute(_HEAD).one()
    return position, epoch


def read_after(tx: Connection, *, channels: Sequence[str], position: int, limit: int) -> EventPage:
    """Return the next events of these channels after `position`, in order, at most `limit` (1 or more)."""
    newest, epoch = head(tx)
    # Each channel once: a repeated channel would repeat events in the page and skip later ones.
    channels = tuple(dict.fromkeys(channels))
    if not channels:
        return EventPage([], max(newest, position))
    statement = (
        _NEXT_BY_CHANNEL_COUNT[len(channels) - 1]
        if len(channels) <= len(_NEXT_BY_CHANNEL_COUNT)
        else _next_events(len(channels))
    )
    names = {f"channel_{n}": channel for n, channel in enumerate(channels)}
    rows = tx.execute(statement, {**names, "position": position, "limit": limit})
    page = [Event.durable(row.channel, row.type, row.data, row.position, epoch) for row in rows]
    next_position = page[-1].position if len(page) == limit else None
    return EventPage(page, max(newest, position) if next_position is None else next_position)


def count_missed(
    tx: Connection, *, channels: Sequence[str], own: str, position: int, own_limit: int, shared_limit: int
) -> MissedCounts:
    """Count the events that a reader at `position` has missed; counting stops one past each limit."""
    newest, _ = head(tx)
    shared = [channel for channel in channels if channel != own]
    return MissedCounts(
        own=_count(tx, [own] if own in channels else [], position, own_limit + 1),
        shared=_count(tx, shared, position, shared_limit + 1),
        trimmed=tx.execute(_TRIMMED_TO_OF, {"channels": list(channels)}).scalar_one() > position,
        head=newest,
    )


def read_recent(tx: Connection, *, limit: int) -> tuple[list[Event], int, int]:
    """Return the newest events in order (at most `limit`), the floor below them, and the head.

    All events above the floor are included.
    """
    newest, epoch = head(tx)
    rows = tx.execute(_NEWEST, {"limit": limit}).all()
    oldest = rows[-1].position - 1 if len(rows) == limit else 0
    # There may be gaps below a trim mark, and a reader below it must be reset.
    floor = max(oldest, tx.execute(_TRIMMED_TO).scalar_one())
    page = [
        Event.durable(row.channel, row.type, row.data, row.position, epoch)
        for row in reversed(rows)
        if row.position > floor
    ]
    return page, floor, newest


def _count(tx: Connection, channels: Sequence[str], position: int, limit: int) -> int:
    if not channels:
        return 0
    return tx.execute(_COUNT_AFTER, {"channels": list(channels), "position": position, "limit": limit}).scalar_one()
