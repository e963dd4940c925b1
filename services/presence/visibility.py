"""Who may see a user’s presence, and the last-seen time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, or_, select, union
from sqlalchemy.sql.expression import literal_column

from services.database.statements import Statement, json_values, to_json_list, upsert
from services.tables import bids, blocks, conversation_members, jobs, presence_settings

# Pairs (user, watcher) loaded by one query. A user with more watchers is published to this many.
MAX_PAIRS = 20_000

Condition = Callable[[Any], Any]

_p = presence_settings.c
_own, _other = conversation_members.alias("own"), conversation_members.alias("other")

# SQLite uses the partial index on hired bids only if the condition has exactly this text.
_IS_HIRED = bids.c.status == literal_column("'hired'")


def _pairs(user_condition: Condition, watcher_condition: Condition) -> Any:
    """Return a query of (user_id, watcher_id) for users who share a conversation or a hire."""
    members = (
        select(_own.c.user_id.label("user_id"), _other.c.user_id.label("watcher_id"))
        .join(_other, _other.c.conversation_id == _own.c.conversation_id)
        .where(_own.c.user_id != _other.c.user_id)
    )
    owners = select(jobs.c.owner_id.label("user_id"), bids.c.freelancer_id.label("watcher_id")).join(
        bids, bids.c.job_id == jobs.c.id
    )
    freelancers = select(bids.c.freelancer_id.label("user_id"), jobs.c.owner_id.label("watcher_id")).join(
        jobs, jobs.c.id == bids.c.job_id
    )
    return union(
        members.where(user_condition(_own.c.user_id), watcher_condition(_other.c.user_id)),
        owners.where(_IS_HIRED, user_condition(jobs.c.owner_id), watcher_condition(bids.c.freelancer_id)),
        freelancers.where(_IS_HIRED, user_condition(bids.c.freelancer_id), watcher_condition(jobs.c.owner_id)),
    ).limit(bindparam("limit"))


def _among(column: Any) -> Any:
    return column.in_(select(json_values("ids").c.value))


_WATCHERS = Statement(_pairs(_among, lambda column: column.is_not(None)).order_by(literal_column("user_id")))
_VISIBLE = Statement(_pairs(_among, lambda column: column == bindparam("watcher_id")))
_BLOCKS = Statement(
    select(blocks.c.user_id, blocks.c.blocked_id).where(or_(_among(blocks.c.user_id), _among(blocks.c.blocked_id)))
)
_FIND = Statement(select(_p.user_id, _p.invisible, _p.last_seen_at).where(_among(_p.user_id)))
_upsert = upsert(presence_settings)
_SET_INVISIBLE = _upsert.on_conflict_do_update(
    index_elements=[_p.user_id],
    set_={"invisible": _upsert.excluded.invisible, "last_seen_at": _upsert.excluded.last_seen_at},
)
# The last-seen time of an invisible user is not updated.
_SET_LAST_SEEN = _upsert.on_conflict_do_update(
    index_elements=[_p.user_id], set_={"last_seen_at": _upsert.excluded.last_seen_at}, where=_p.invisible == 0
)


class PresenceSettings(NamedTuple):
    """Whether a user is invisible, and when the user was last seen (ms)."""

    invisible: bool
    last_seen_at: int | None


DEFAULT_SETTINGS = PresenceSettings(False, None)


class Watchers(NamedTuple):
    """The watchers and settings of the users `ids`, which may be fewer than requested."""

    ids: Sequence[str]
    by_user: Mapping[str, Sequence[str]]
    settings: Mapping[str, PresenceSettings]


def load_watchers(tx: Connection, *, ids: Sequence[str]) -> Watchers:
    """Return who may see these users: users who share a conversation or a hire, without blocked ones.

    When the users have more than `MAX_PAIRS` watchers, the result covers only some of the users, and at least one.
    """
    pairs = _WATCHERS.all(tx, {"ids": to_json_list(ids), "limit": MAX_PAIRS + 1})
    covered = ids if len(pairs) <= MAX_PAIRS else _complete_users(ids, pairs[0].user_id, pairs[-1].user_id)
    blocked, loaded = _load_blocked_pairs(tx, covered), set(covered)
    watchers: dict[str, list[str]] = {}
    for user_id, watcher_id in pairs[:MAX_PAIRS]:
        if user_id in loaded and (user_id, watcher_id) not in blocked:
            watchers.setdefault(user_id, []).append(watcher_id)
    return Watchers(covered, watchers, _load_settings(tx, covered))


def _complete_users(ids: Sequence[str], first: str, last: str) -> Sequence[str]:
    """Return the users whose pairs were all loaded: those before the last user, or that user if it is the only one."""
    return [user_id for user_id in ids if user_id < last] if first != last else [last]


def load_visible(tx: Connection, *, ids: Sequence[str], user_id: str) -> Mapping[str, PresenceSettings]:
    """Return the settings of those of these users whose presence this user may see."""
    blocked = _load_blocked_pairs(tx, [user_id])
    pairs = _VISIBLE.all(tx, {"ids": to_json_list(ids), "watcher_id": user_id, "limit": MAX_PAIRS})
    visible = [id for id, watcher_id in pairs if (id, watcher_id) not in blocked]
    settings = _load_settings(tx, visible)
    return {id: settings.get(id, DEFAULT_SETTINGS) for id in visible}


def set_invisible(tx: Connection, *, user_id: str, invisible: bool, now: int) -> None:
    """Make a user invisible to everyone, or visible again to those who may see the user."""
    tx.execute(_SET_INVISIBLE, {"user_id": user_id, "invisible": int(invisible), "last_seen_at": now})


def save_last_seen(tx: Connection, *, last_seen: Mapping[str, int], now: int) -> None:
    """Save the last-seen time (ms) by user id."""
    if last_seen:
        tx.execute(
            _SET_LAST_SEEN,
            [{"user_id": user_id, "invisible": 0, "last_seen_at": at} for user_id, at in last_seen.items()],
        )


def _load_blocked_pairs(tx: Connection, ids: Sequence[str]) -> set[tuple[str, str]]:
    rows = _BLOCKS.all(tx, {"ids": to_json_list(ids)})
    return {(user_id, other_id) for user_id, other_id in rows} | {(other_id, user_id) for user_id, other_id in rows}


def _load_settings(tx: Connection, ids: Sequence[str]) -> dict[str, PresenceSettings]:
    rows = _FIND.all(tx, {"ids": to_json_list(ids)}) if ids else ()
    return {row.user_id: PresenceSettings(bool(row.invisible), row.last_seen_at) for row in rows}
