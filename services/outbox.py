"""The log of events: appended to inside a transaction, replayed from, trimmed in small steps.

Positions come from one counter row and are handed out by `seal`, last before COMMIT: what commits later has a
higher position, so a reader who has seen position n has missed nothing before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from realtime.event import Event
from realtime.ports import Missed, Page
from sqlalchemy import Connection, bindparam, delete, func, insert, literal, select, union_all, update
from sqlalchemy.dialects.sqlite import insert as upsert

from services.tables import counter, events, trims

_encoder = msgspec.json.Encoder()

_ADVANCE = (
    update(counter).values(position=counter.c.position + bindparam("n")).returning(counter.c.position, counter.c.epoch)
)
_APPEND = insert(events)
_HEAD = select(counter.c.position, counter.c.epoch)
_FORGET = delete(events).where(events.c.subject == bindparam("about")).returning(events.c.position)


@dataclass(slots=True)
class Draft:
    """An event that waits for its position."""

    channel: str
    type: str
    data: bytes
    subject: str | None
    created_at: int


@dataclass(slots=True)
class Outbox:
    """What one transaction has to tell when it has committed: kept in the connection's `info`."""

    drafts: list[Draft] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
    # (subject, how many drafts there were): those drafts are not to be told if they are about it.
    cuts: list[tuple[str, int]] = field(default_factory=list)

    def mark(self) -> tuple[int, int, int]:
        """Where the next unit of work begins."""
        return len(self.drafts), len(self.forgotten), len(self.cuts)

    def back_to(self, mark: tuple[int, int, int]) -> None:
        """Drop what a failed unit has added since `mark`."""
        del self.drafts[mark[0] :], self.forgotten[mark[1] :], self.cuts[mark[2] :]

    def told(self) -> list[Draft]:
        """The drafts without those forgotten again in the same transaction."""
        if not self.cuts:
            return self.drafts
        until = dict(self.cuts)
        return [d for at, d in enumerate(self.drafts) if d.subject is None or at >= until.get(d.subject, 0)]


def begin(tx: Connection) -> Outbox:
    """Start collecting for a new transaction."""
    outbox = Outbox()
    tx.info["outbox"] = outbox
    return outbox


def append(tx: Connection, channel: str, type: str, data: Any, *, now: int, subject: str | None = None) -> None:
    """Tell a channel, once this transaction has committed.

    `data` is a struct or dict that becomes one JSON object; `subject` names what it is about, for `forget`.
    """
    collected: Outbox = tx.info["outbox"]
    collected.drafts.append(Draft(channel, type, _encoder.encode(data), subject, now))


def forget(tx: Connection, subject: str) -> None:
    """Take every event about `subject` out of the log, and out of what this transaction was going to tell."""
    collected: Outbox = tx.info["outbox"]
    collected.cuts.append((subject, len(collected.drafts)))
    collected.forgotten.extend(tx.execute(_FORGET, {"about": subject}).scalars())


def seal(tx: Connection) -> list[Event]:
    """Hand out the positions and write the rows: the last statements of a transaction."""
    collected: Outbox = tx.info["outbox"]
    drafts = collected.told()
    if not drafts:
        return []
    last, epoch = tx.execute(_ADVANCE, {"n": len(drafts)}).one()
    first = last - len(drafts) + 1
    tx.execute(
        _APPEND,
        [
            {
                "position": first + index,
                "channel": draft.channel,
                "type": draft.type,
                "data": draft.data,
                "subject": draft.subject,
                "created_at": draft.created_at,
            }
            for index, draft in enumerate(drafts)
        ],
    )
    return [
        Event.durable(draft.channel, draft.type, draft.data, first + index, epoch) for index, draft in enumerate(drafts)
    ]


def head(tx: Connection) -> tuple[int, str]:
    """The last position handed out, and the epoch it belongs to."""
    position, epoch = tx.execute(_HEAD).one()
    return position, epoch


def after(tx: Connection, *, channels: Sequence[str], position: int, limit: int) -> Page:
    """The next events of these channels, in order, at most `limit`."""
    newest, epoch = head(tx)
    one_channel = [
        select(events.c.position)
        .where(events.c.channel == channel, events.c.position > position)
        .order_by(events.c.position)
        .limit(limit)
        .subquery()
        for channel in channels
    ]
    nearest = union_all(*(select(part.c.position) for part in one_channel)).subquery()
    wanted = select(nearest.c.position).order_by(nearest.c.position).limit(limit)
    rows = tx.execute(
        select(events.c.position, events.c.channel, events.c.type, events.c.data)
        .where(events.c.position.in_(wanted))
        .order_by(events.c.position)
    )
    found = [Event.durable(row.channel, row.type, row.data, row.position, epoch) for row in rows]
    upto = found[-1].position if len(found) == limit else max(newest, position)
    return Page(found, upto or position)


def missed(
    tx: Connection, *, channels: Sequence[str], own: str, position: int, own_limit: int, shared_limit: int
) -> Missed:
    """How much a reader at `position` has missed; counting stops one past each limit."""
    newest, _ = head(tx)
    shared = [channel for channel in channels if channel != own]
    return Missed(
        own=_count(tx, [own] if own in channels else [], position, own_limit + 1),
        shared=_count(tx, shared, position, shared_limit + 1),
        trimmed=_is_trimmed(tx, channels, position),
        head=newest,
    )


def recent(tx: Connection, *, limit: int) -> tuple[list[Event], int, int]:
    """The newest events of all channels, the position before the first of them, and the head."""
    newest, epoch = head(tx)
    rows = tx.execute(
        select(events.c.position, events.c.channel, events.c.type, events.c.data)
        .order_by(events.c.position.desc())
        .limit(limit)
    ).all()
    found = [Event.durable(row.channel, row.type, row.data, row.position, epoch) for row in reversed(rows)]
    cut = tx.execute(select(func.coalesce(func.max(trims.c.position), 0))).scalar_one()
    oldest = rows[-1].position - 1 if len(rows) == limit else 0
    return found, max(oldest, cut), newest


def due(tx: Connection, *, keep: int, before: int, limit: int) -> list[tuple[str, int]]:
    """At most `limit` (channel, position) that may go: older than `before` (ms), or beyond a channel's `keep`."""
    return _too_old(tx, before, limit) or _too_many(tx, keep, limit)


def trim(tx: Connection, *, rows: Sequence[tuple[str, int]]) -> None:
    """Remove these events, and raise their channels' trim marks in the same transaction."""
    for channel, position in rows:
        mark = upsert(trims).values(channel=channel, position=position)
        tx.execute(
            mark.on_conflict_do_update(
                index_elements=[trims.c.channel],
                set_={"position": func.max(trims.c.position, mark.excluded.position)},
            )
        )
    tx.execute(delete(events).where(events.c.position.in_([position for _, position in rows])))


def _count(tx: Connection, channels: Sequence[str], position: int, limit: int) -> int:
    if not channels:
        return 0
    rows = (
        select(literal(1))
        .select_from(events)
        .where(events.c.channel.in_(channels), events.c.position > position)
        .limit(limit)
        .subquery()
    )
    return tx.execute(select(func.count()).select_from(rows)).scalar_one()


def _is_trimmed(tx: Connection, channels: Sequence[str], position: int) -> bool:
    cut = select(func.max(trims.c.position)).where(trims.c.channel.in_(channels))
    return (tx.execute(cut).scalar_one() or 0) > position


def _too_old(tx: Connection, before: int, limit: int) -> list[tuple[str, int]]:
    rows = tx.execute(
        select(events.c.channel, events.c.position)
        .where(events.c.created_at < before)
        .order_by(events.c.created_at)
        .limit(limit)
    )
    return [(channel, position) for channel, position in rows]


def _too_many(tx: Connection, keep: int, limit: int) -> list[tuple[str, int]]:
    fullest = tx.execute(
        select(events.c.channel, func.count().label("n"))
        .group_by(events.c.channel)
        .having(func.count() > keep)
        .order_by(func.count().desc())
        .limit(1)
    ).one_or_none()
    if fullest is None:
        return []
    rows = tx.execute(
        select(events.c.position)
        .where(events.c.channel == fullest.channel)
        .order_by(events.c.position)
        .limit(min(limit, fullest.n - keep))
    )
    return [(fullest.channel, position) for position in rows.scalars()]
