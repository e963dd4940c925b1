"""The log of events: appended to inside a transaction, and replayed from; what leaves it is in `log_trim`.

Positions come from one counter row and are handed out by `seal`, last before COMMIT: what commits later has a
higher position, so a reader who has seen position n has missed nothing before it.
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
_FORGET = delete(events).where(events.c.subject.in_(bindparam("about", expanding=True))).returning(events.c.position)
# Subjects one statement takes; SQLite knows 32,766 parameters, and each length is compiled once.
_MAX_SUBJECTS = 500
_COLUMNS = (events.c.position, events.c.channel, events.c.type, events.c.data)
_NEWEST = select(*_COLUMNS).order_by(events.c.position.desc()).limit(bindparam("most"))
_CUT = select(func.coalesce(func.max(trim_marks.c.position), 0))
_CUT_OF = _CUT.where(trim_marks.c.channel.in_(bindparam("channels", expanding=True)))
_BEHIND = select(func.count()).select_from(
    select(literal(1))
    .select_from(events)
    .where(events.c.channel.in_(bindparam("channels", expanding=True)), events.c.position > bindparam("past"))
    .limit(bindparam("most"))
    .subquery()
)


def _next_of(channels: int) -> Select[tuple[int, str, str, bytes]]:
    """The next events of so many channels: a short walk along the index for each, and only then the data."""
    nearest = union_all(
        *(
            select(
                select(events.c.position)
                .where(events.c.channel == bindparam(f"channel_{n}"), events.c.position > bindparam("past"))
                .order_by(events.c.position)
                .limit(bindparam("most"))
                .subquery()
                .c.position
            )
            for n in range(channels)
        )
    ).subquery()
    wanted = select(nearest.c.position).order_by(nearest.c.position).limit(bindparam("most"))
    return select(*_COLUMNS).where(events.c.position.in_(wanted)).order_by(events.c.position)


# A stream hears at most a handful of channels; a statement is built once for each number of them.
_NEXT_OF = tuple(_next_of(n) for n in range(1, 9))


@dataclass
class PendingEvent:
    """An event that waits for its position; the other columns of its row."""

    channel: str
    type: str
    data: bytes
    subject: str | None
    created_at: int


@dataclass(slots=True)
class PendingEvents:
    """What one transaction has to tell when it has committed: kept in the connection's `info`."""

    events: list[PendingEvent] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
    # (subject, or channel and subject; how many drafts there were): those are not to be told if they are about it.
    forgotten_subjects: list[tuple[str | tuple[str, str], int]] = field(default_factory=list)

    def savepoint(self) -> tuple[int, int, int]:
        """Where the next unit of work begins."""
        return len(self.events), len(self.forgotten), len(self.forgotten_subjects)

    def rollback_to(self, mark: tuple[int, int, int]) -> None:
        """Drop what a failed unit has added since `mark`."""
        del self.events[mark[0] :], self.forgotten[mark[1] :], self.forgotten_subjects[mark[2] :]

    def to_publish(self) -> list[tuple[int, PendingEvent]]:
        """The drafts, numbered, without those forgotten again in the same transaction."""
        until = dict(self.forgotten_subjects)
        return [
            (at, draft)
            for at, draft in enumerate(self.events)
            if draft.subject is None
            or at >= max(until.get(draft.subject, 0), until.get((draft.channel, draft.subject), 0))
        ]


def begin(tx: Connection) -> PendingEvents:
    """Start collecting for a new transaction."""
    outbox = PendingEvents()
    tx.info["outbox"] = outbox
    return outbox


def append(tx: Connection, channel: str, type: str, data: Any, *, now: int, subject: str | None = None) -> None:
    """Tell a channel, once this transaction has committed.

    `data` is a struct or dict that becomes one JSON object; `subject` names what it is about, for `forget`.
    """
    collected: PendingEvents = tx.info["outbox"]
    collected.events.append(PendingEvent(channel, type, _encoder.encode(data), subject, now))


def next_cursor(tx: Connection) -> str:
    """The cursor that the event just appended will have.

    Sure before `seal`, because nobody else moves the counter during a transaction, and a draft keeps its place even
    when one before it is forgotten; so a unit can put it into an answer that is kept.
    """
    collected: PendingEvents = tx.info["outbox"]
    position, epoch = head(tx)
    return f"{epoch}.{position + len(collected.events)}"


def forget(tx: Connection, subject: str) -> None:
    """Take every event about `subject` out of the log, and out of what this transaction was going to tell."""
    forget_all(tx, [subject])


def forget_all(tx: Connection, subjects: Sequence[str]) -> None:
    """`forget` for many subjects, in few statements."""
    collected: PendingEvents = tx.info["outbox"]
    collected.forgotten_subjects.extend((subject, len(collected.events)) for subject in subjects)
    for start in range(0, len(subjects), _MAX_SUBJECTS):
        part = subjects[start : start + _MAX_SUBJECTS]
        collected.forgotten.extend(tx.execute(_FORGET, {"about": part}).scalars())


def assign_positions(tx: Connection) -> list[Event]:
    """Hand out the positions and write the rows: the last statements of a transaction.

    A draft's position is its place in the transaction. One that was forgotten again leaves a gap, also at the end:
    its position may be in an answer by now (`cursor`) and must not become another event's.
    """
    collected: PendingEvents = tx.info["outbox"]
    count = len(collected.events)
    if not count:
        return []
    drafts = collected.to_publish()
    ((last, epoch),) = _ADVANCE.all(tx, {"count": count})
    first = last - count + 1
    _APPEND.execute_many(tx, [{"position": first + at, **vars(draft)} for at, draft in drafts])
    return [Event.durable(d.channel, d.type, d.data, first + at, epoch) for at, d in drafts]


def head(tx: Connection) -> tuple[int, str]:
    """The last position handed out, and the epoch it belongs to."""
    position, epoch = tx.execute(_HEAD).one()
    return position, epoch


def read_after(tx: Connection, *, channels: Sequence[str], position: int, limit: int) -> EventPage:
    """The next events of these channels, in order, at most `limit` (1 or more)."""
    newest, epoch = head(tx)
    # Once each: a channel named twice would fill the page with repeats, and what follows would be skipped.
    channels = tuple(dict.fromkeys(channels))
    if not channels:
        return EventPage([], max(newest, position))
    statement = _NEXT_OF[len(channels) - 1] if len(channels) <= len(_NEXT_OF) else _next_of(len(channels))
    names = {f"channel_{n}": channel for n, channel in enumerate(channels)}
    rows = tx.execute(statement, {**names, "past": position, "most": limit})
    found = [Event.durable(row.channel, row.type, row.data, row.position, epoch) for row in rows]
    upto = found[-1].position if len(found) == limit else None
    return EventPage(found, max(newest, position) if upto is None else upto)


def count_missed(
    tx: Connection, *, channels: Sequence[str], own: str, position: int, own_limit: int, shared_limit: int
) -> MissedCounts:
    """How much a reader at `position` has missed; counting stops one past each limit."""
    newest, _ = head(tx)
    shared = [channel for channel in channels if channel != own]
    return MissedCounts(
        own=_count(tx, [own] if own in channels else [], position, own_limit + 1),
        shared=_count(tx, shared, position, shared_limit + 1),
        trimmed=tx.execute(_CUT_OF, {"channels": list(channels)}).scalar_one() > position,
        head=newest,
    )


def read_recent(tx: Connection, *, limit: int) -> tuple[list[Event], int, int]:
    """All events past a floor, in order, the newest `limit` at most; the floor; and the head."""
    newest, epoch = head(tx)
    rows = tx.execute(_NEWEST, {"most": limit}).all()
    oldest = rows[-1].position - 1 if len(rows) == limit else 0
    # Below a trim mark there may be gaps, and who stands there must hear of them.
    floor = max(oldest, tx.execute(_CUT).scalar_one())
    found = [
        Event.durable(row.channel, row.type, row.data, row.position, epoch)
        for row in reversed(rows)
        if row.position > floor
    ]
    return found, floor, newest


def _count(tx: Connection, channels: Sequence[str], position: int, most: int) -> int:
    if not channels:
        return 0
    return tx.execute(_BEHIND, {"channels": list(channels), "past": position, "most": most}).scalar_one()
