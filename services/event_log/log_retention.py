"""Trims the event log by age and by number of events per channel."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, literal, select

from services.database import outbox
from services.database.statements import Statement, json_values, to_json_list, upsert
from services.tables import events, trim_marks

# Checks of one read. Each check covers this many channels or new events and takes at most about 10 ms.
_MAX_CHECKS: Final = 10
_CHANNELS_PER_CHECK: Final = 20
_EVENTS_PER_CHECK: Final = 1_000
_NO_LIMIT: Final = 2**62

_EXPIRED = Statement(
    select(events.c.channel, events.c.position)
    .where(events.c.created_at < bindparam("before"))
    .order_by(events.c.created_at)
    .limit(bindparam("limit"))
)
# An index seek to the next channel name, without reading the events between.
_NEXT_CHANNEL = Statement(
    select(func.min(events.c.channel).label("channel")).where(events.c.channel > bindparam("after"))
)
_WRITTEN_TO = Statement(
    select(events.c.channel)
    .where(events.c.position > bindparam("after"), events.c.position <= bindparam("upto"))
    .distinct()
)
_channels = json_values("channels")
_cut = (
    select(events.c.position)
    .where(events.c.channel == _channels.c.value)
    .order_by(events.c.position.desc())
    .limit(1)
    .offset(bindparam("max_events"))
    .scalar_subquery()
)
_CUTS = Statement(select(_channels.c.value.label("channel"), _cut.label("cut")))
_OLDEST_OF = Statement(
    select(events.c.position)
    .where(events.c.channel == bindparam("channel"), events.c.position <= bindparam("cut"))
    .order_by(events.c.position)
    .limit(bindparam("limit"))
)
_NTH_NEXT = Statement(
    select(events.c.position)
    .where(events.c.position > bindparam("after"))
    .order_by(events.c.position)
    .limit(literal(1))
    .offset(bindparam("offset"))
)
_upsert = upsert(trim_marks)
_RAISE_MARK = _upsert.on_conflict_do_update(
    index_elements=[trim_marks.c.channel], set_={"position": func.max(trim_marks.c.position, _upsert.excluded.position)}
)
_REMOVE = delete(events).where(events.c.position == bindparam("event_position"))


class LogRetention:
    """Finds events to trim. After a start it checks each channel once, then the channels with new events.

    The cost of a check grows with the events of a channel, so a channel is not checked again for each new event.
    """

    def __init__(self, *, max_events: int, max_age_ms: int) -> None:
        """Keep at most `max_events` per channel, each for at most `max_age_ms`; 0 disables a limit."""
        self._max_events = max_events or _NO_LIMIT
        self._max_age_ms = max_age_ms
        # The last channel of the first pass over all channels; None when that pass is complete.
        self._checked_channel: str | None = ""
        # Events up to this position are covered by a check or by the first pass; None before the first check.
        self._checked_position: int | None = None

    def find_due(self, tx: Connection, /, *, now: int, limit: int) -> list[tuple[str, int]]:
        """Return at most `limit` pairs (channel, position) of events to trim."""
        if self._max_age_ms and (old := find_expired(tx, before=now - self._max_age_ms, limit=limit)):
            return old
        if self._checked_position is None:
            self._checked_position = outbox.head(tx)[0]
        for _ in range(_MAX_CHECKS):
            channels, upto = self._next_channels(tx)
            if found := find_over_limit(tx, channels=channels, max_events=self._max_events, limit=limit):
                # After these are trimmed, the next call finds the rest.
                return found
            if not channels:
                break
            self._checked_channel, self._checked_position = (
                (channels[-1], self._checked_position) if upto is None else (None, upto)
            )
        return []

    def _next_channels(self, tx: Connection) -> tuple[Sequence[str], int | None]:
        """Return the channels to check next, and the position they were written up to (None in the first pass)."""
        if self._checked_channel is not None:
            if channels := find_channels_after(tx, channel=self._checked_channel, limit=_CHANNELS_PER_CHECK):
                return channels, None
            self._checked_channel = None
        past = self._checked_position or 0
        upto = _nth_after(tx, position=past, count=_EVENTS_PER_CHECK)
        return find_written_channels(tx, past=past, upto=upto), upto


def find_expired(tx: Connection, *, before: int, limit: int) -> list[tuple[str, int]]:
    """Return at most `limit` pairs (channel, position) of events before `before` (ms), oldest first."""
    return [(row.channel, row.position) for row in _EXPIRED.all(tx, {"before": before, "limit": limit})]


def find_over_limit(tx: Connection, *, channels: Sequence[str], max_events: int, limit: int) -> list[tuple[str, int]]:
    """Return at most `limit` pairs (channel, position) of these channels, past the newest `max_events` of each."""
    found: list[tuple[str, int]] = []
    for channel, cut in (
        _CUTS.all(tx, {"channels": to_json_list(channels), "max_events": max_events}) if channels else ()
    ):
        if cut is not None and len(found) < limit:
            oldest = {"channel": channel, "cut": cut, "limit": limit - len(found)}
            found += [(channel, row.position) for row in _OLDEST_OF.all(tx, oldest)]
    return found


def find_channels_after(tx: Connection, *, channel: str, limit: int) -> list[str]:
    """Return the next channels that have events, ordered by name."""
    found: list[str] = []
    while len(found) < limit:
        following = _NEXT_CHANNEL.one_or_none(tx, {"after": found[-1] if found else channel}).channel
        if following is None:
            break
        found.append(following)
    return found


def find_written_channels(tx: Connection, *, past: int, upto: int) -> list[str]:
    """Return the channels of the events after `past`, up to `upto` inclusive."""
    return [row.channel for row in _WRITTEN_TO.all(tx, {"after": past, "upto": upto})]


def delete_and_mark(tx: Connection, *, rows: Sequence[tuple[str, int]]) -> None:
    """Delete these events and raise the trim marks of their channels in the same transaction."""
    if not rows:
        return
    marks: dict[str, int] = {}
    for channel, position in rows:
        marks[channel] = max(position, marks.get(channel, 0))
    tx.execute(_RAISE_MARK, [{"channel": channel, "position": position} for channel, position in marks.items()])
    tx.execute(_REMOVE, [{"event_position": position} for _, position in rows])


def _nth_after(tx: Connection, *, position: int, count: int) -> int:
    """Return the position of the `count`-th event after `position`, or the head when there are fewer."""
    found = _NTH_NEXT.one_or_none(tx, {"after": position, "offset": count - 1})
    return outbox.head(tx)[0] if found is None else int(found.position)
