"""What may leave the log: what is too old, and of each channel what lies beyond its newest so many; in short looks."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, literal, select
from sqlalchemy.dialects.sqlite import insert as upsert

from services.database import outbox
from services.database.statements import Statement, json_values, to_json_list
from services.tables import events, trim_marks

# Looks within one read; each is at so many channels, or so many new events: some 10 ms, mostly less than 1.
_LOOKS: Final = 10
_LOOK_CHANNELS: Final = 20
_LOOK_EVENTS: Final = 1_000
_NO_LIMIT: Final = 2**62

_TOO_OLD = Statement(
    select(events.c.channel, events.c.position)
    .where(events.c.created_at < bindparam("before"))
    .order_by(events.c.created_at)
    .limit(bindparam("most"))
)
# Along the index, past all events of the channels between.
_NEXT_CHANNEL = Statement(
    select(func.min(events.c.channel).label("channel")).where(events.c.channel > bindparam("past"))
)
_WRITTEN_TO = Statement(
    select(events.c.channel)
    .where(events.c.position > bindparam("past"), events.c.position <= bindparam("upto"))
    .distinct()
)
_asked = json_values("channels")
_cut = (
    select(events.c.position)
    .where(events.c.channel == _asked.c.value)
    .order_by(events.c.position.desc())
    .limit(1)
    .offset(bindparam("keep"))
    .scalar_subquery()
)
_CUTS = Statement(select(_asked.c.value.label("channel"), _cut.label("cut")))
_OLDEST_OF = Statement(
    select(events.c.position)
    .where(events.c.channel == bindparam("one"), events.c.position <= bindparam("cut"))
    .order_by(events.c.position)
    .limit(bindparam("most"))
)
_NTH_NEXT = Statement(
    select(events.c.position)
    .where(events.c.position > bindparam("past"))
    .order_by(events.c.position)
    .limit(literal(1))
    .offset(bindparam("earlier"))
)
_mark = upsert(trim_marks)
_RAISE_MARK = _mark.on_conflict_do_update(
    index_elements=[trim_marks.c.channel], set_={"position": func.max(trim_marks.c.position, _mark.excluded.position)}
)
_REMOVE = delete(events).where(events.c.position == bindparam("at"))


class LogRetention:
    """Finds it. After a start each channel is looked at once, from then on those that something was written to.

    A look costs what a channel keeps, so one channel is not looked at again for each of its events.
    """

    def __init__(self, *, keep: int, age: int) -> None:
        """How many events of a channel are kept, and for how long (ms); 0 is no such bound."""
        self._keep = keep or _NO_LIMIT
        self._age = age
        # The last channel that was looked at; None when all were.
        self._channel: str | None = ""
        # What was written up to here has been looked at, or will be with its channel; None before the first look.
        self._past: int | None = None

    def find_due(self, tx: Connection, /, *, now: int, limit: int) -> list[tuple[str, int]]:
        """At most `limit` (channel, position) that are due."""
        if self._age and (old := find_expired(tx, before=now - self._age, limit=limit)):
            return old
        if self._past is None:
            self._past = outbox.head(tx)[0]
        for _ in range(_LOOKS):
            channels, upto = self._next(tx)
            if found := find_over_limit(tx, channels=channels, keep=self._keep, limit=limit):
                # What goes now lets the rest of them be found next time.
                return found
            if not channels:
                break
            self._channel, self._past = (channels[-1], self._past) if upto is None else (None, upto)
        return []

    def _next(self, tx: Connection) -> tuple[Sequence[str], int | None]:
        """The channels to look at next; and up to where they are those that were written to, None for any."""
        if self._channel is not None:
            if channels := channels_after(tx, channel=self._channel, most=_LOOK_CHANNELS):
                return channels, None
            self._channel = None
        past = self._past or 0
        upto = _nth_after(tx, position=past, count=_LOOK_EVENTS)
        return written_to(tx, past=past, upto=upto), upto


def find_expired(tx: Connection, *, before: int, limit: int) -> list[tuple[str, int]]:
    """At most `limit` (channel, position) from before `before` (ms), the oldest first."""
    return [(row.channel, row.position) for row in _TOO_OLD.all(tx, {"before": before, "most": limit})]


def find_over_limit(tx: Connection, *, channels: Sequence[str], keep: int, limit: int) -> list[tuple[str, int]]:
    """At most `limit` (channel, position) of these channels beyond the newest `keep` of each."""
    found: list[tuple[str, int]] = []
    for channel, cut in _CUTS.all(tx, {"channels": to_json_list(channels), "keep": keep}) if channels else ():
        if cut is not None and len(found) < limit:
            oldest = {"one": channel, "cut": cut, "most": limit - len(found)}
            found += [(channel, row.position) for row in _OLDEST_OF.all(tx, oldest)]
    return found


def channels_after(tx: Connection, *, channel: str, most: int) -> list[str]:
    """The next channels that have events, in the order of their names."""
    found: list[str] = []
    while len(found) < most:
        following = _NEXT_CHANNEL.one_or_none(tx, {"past": found[-1] if found else channel}).channel
        if following is None:
            break
        found.append(following)
    return found


def written_to(tx: Connection, *, past: int, upto: int) -> list[str]:
    """The channels of the events past `past` and not past `upto`."""
    return [row.channel for row in _WRITTEN_TO.all(tx, {"past": past, "upto": upto})]


def delete_and_mark(tx: Connection, *, rows: Sequence[tuple[str, int]]) -> None:
    """Remove these events, and raise their channels' trim marks in the same transaction."""
    if not rows:
        return
    marks: dict[str, int] = {}
    for channel, position in rows:
        marks[channel] = max(position, marks.get(channel, 0))
    tx.execute(_RAISE_MARK, [{"channel": channel, "position": position} for channel, position in marks.items()])
    tx.execute(_REMOVE, [{"at": position} for _, position in rows])


def _nth_after(tx: Connection, *, position: int, count: int) -> int:
    """The position of the `count`-th event past `position`, or the head where there are fewer."""
    found = _NTH_NEXT.one_or_none(tx, {"past": position, "earlier": count - 1})
    return outbox.head(tx)[0] if found is None else int(found.position)
