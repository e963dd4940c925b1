"""Removes notifications: retracted, expired or past retention."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from services.accounts import users
from services.accounts.users import UserRef
from services.database import outbox
from services.notifications import events
from services.notifications.events import MAX_IDS_PER_EVENT, Counts
from services.schemas import Schema
from services.tables import inboxes, notifications

_n = notifications.c
_COLUMNS = (_n.id, _n.user_id, _n.seen_at, _n.read_at, _n.archived_at, _n.expired_at)
_Rows = Sequence[Row[*tuple[Any, ...]]]

_BY_ID = select(*_COLUMNS).where(_n.id.in_(bindparam("ids", expanding=True)))
_BY_KEY = (
    select(*_COLUMNS)
    .where(_n.user_id == bindparam("user_id"), _n.collapse_key == bindparam("collapse_key"))
    .limit(bindparam("limit"))
)
_EXPIRED = (
    select(_n.id)
    .where(_n.expires_at <= bindparam("now"), _n.expired_at.is_(None))
    .order_by(_n.expires_at)
    .limit(bindparam("limit"))
)
_OLD = select(_n.id).where(_n.created_at < bindparam("before")).order_by(_n.created_at).limit(bindparam("limit"))
_DELETE = delete(notifications).where(_n.id.in_(bindparam("ids", expanding=True)))
_EXPIRE = update(notifications).where(_n.id.in_(bindparam("ids", expanding=True))).values(expired_at=bindparam("now"))
_DECREMENT_COUNTERS = (
    update(inboxes)
    .where(inboxes.c.user_id == bindparam("owner_id"))
    .values(unread=inboxes.c.unread - bindparam("fewer_unread"), unseen=inboxes.c.unseen - bindparam("fewer_unseen"))
    .returning(inboxes.c.unread, inboxes.c.unseen)
)


class Retracted(Schema, frozen=True):
    """The number of retracted notifications, at most 1,000. After 1,000, repeat the call for the remaining ones."""

    retracted: int


def retract(tx: Connection, *, ids: Sequence[str], now: int) -> Retracted:
    """Delete notifications of any users, at most 1,000, from lists, counts and event log; unknown ids are ignored."""
    return Retracted(_delete(tx, tx.execute(_BY_ID, {"ids": list(dict.fromkeys(ids))}).all(), now))


def retract_by_key(tx: Connection, *, user: UserRef, collapse_key: str, now: int) -> Retracted:
    """Delete a user's notifications with this collapse key, read ones included. Raises InvalidField (unknown user)."""
    user_id = users.resolve_refs(tx, refs=[user])[0]
    parameters = {"user_id": user_id, "collapse_key": collapse_key, "limit": MAX_IDS_PER_EVENT}
    return Retracted(_delete(tx, tx.execute(_BY_KEY, parameters).all(), now))


def find_expired(tx: Connection, *, now: int, limit: int) -> list[str]:
    """Return at most `limit` notifications whose expiry time has passed and that are not marked as expired."""
    return list(tx.execute(_EXPIRED, {"now": now, "limit": limit}).scalars())


def expire(tx: Connection, *, ids: Sequence[str], now: int) -> None:
    """Mark notifications as expired, and remove them from counts, lists and event log.

    The event says `retracted`, because pages remove them.
    """
    rows = [row for row in tx.execute(_BY_ID, {"ids": list(ids)}) if row.expired_at is None]
    if rows:
        tx.execute(_EXPIRE, {"ids": [row.id for row in rows], "now": now})
        _publish_removed(tx, rows, now)


def find_old(tx: Connection, *, before: int, limit: int) -> list[str]:
    """Return at most `limit` notifications created before `before` (ms)."""
    return list(tx.execute(_OLD, {"before": before, "limit": limit}).scalars())


def purge(tx: Connection, *, ids: Sequence[str], now: int) -> None:
    """Delete notifications that are past retention."""
    _delete(tx, tx.execute(_BY_ID, {"ids": list(ids)}).all(), now)


def _delete(tx: Connection, rows: _Rows, now: int) -> int:
    if rows:
        tx.execute(_DELETE, {"ids": [row.id for row in rows]})
        _publish_removed(tx, [row for row in rows if row.expired_at is None], now)
    return len(rows)


def _publish_removed(tx: Connection, rows: _Rows, now: int) -> None:
    """Forget the events about removed rows, update the counters, and publish the removal to each user."""
    outbox.forget_all(tx, [row.id for row in rows])
    for user_id, removed in _group_by_user(rows).items():
        visible = [row for row in removed if row.archived_at is None]
        parameters = {
            "owner_id": user_id,
            "fewer_unread": sum(row.read_at is None for row in visible),
            "fewer_unseen": sum(row.seen_at is None for row in visible),
        }
        counts = Counts(*tx.execute(_DECREMENT_COUNTERS, parameters).one())
        ids = [row.id for row in removed]
        events.publish_changed(tx, user_id, ids=ids, state="retracted", counts=counts, now=now)


def _group_by_user(rows: Iterable[Row[*tuple[Any, ...]]]) -> Mapping[str, list[Row[*tuple[Any, ...]]]]:
    groups: dict[str, list[Row[*tuple[Any, ...]]]] = {}
    for row in rows:
        groups.setdefault(row.user_id, []).append(row)
    return groups
