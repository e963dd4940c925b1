"""Takes notifications out of inboxes: retracted by a service, expired, or older than they are kept."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from services.accounts import users
from services.accounts.users import UserRef
from services.database import outbox
from services.notifications import events
from services.notifications.events import IDS_AT_ONCE, Counts
from services.schemas import Schema
from services.tables import inboxes, notifications

_n = notifications.c
_COLUMNS = (_n.id, _n.user_id, _n.seen_at, _n.read_at, _n.archived_at, _n.expired_at)

_BY_ID = select(*_COLUMNS).where(_n.id.in_(bindparam("ids", expanding=True)))
_BY_KEY = (
    select(*_COLUMNS)
    .where(_n.user_id == bindparam("owner"), _n.collapse_key == bindparam("key"))
    .limit(bindparam("most"))
)
_EXPIRED = (
    select(_n.id)
    .where(_n.expires_at <= bindparam("now"), _n.expired_at.is_(None))
    .order_by(_n.expires_at)
    .limit(bindparam("most"))
)
_OLD = select(_n.id).where(_n.created_at < bindparam("before")).order_by(_n.created_at).limit(bindparam("most"))
_REMOVE = delete(notifications).where(_n.id.in_(bindparam("ids", expanding=True)))
_EXPIRE = update(notifications).where(_n.id.in_(bindparam("ids", expanding=True))).values(expired_at=bindparam("at"))
_SHRINK = (
    update(inboxes)
    .where(inboxes.c.user_id == bindparam("owner"))
    .values(unread=inboxes.c.unread - bindparam("unread_fewer"), unseen=inboxes.c.unseen - bindparam("unseen_fewer"))
    .returning(inboxes.c.unread, inboxes.c.unseen)
)


class Retracted(Schema, frozen=True):
    """How many notifications were taken back; 1,000 at most, so that whoever got 1,000 asks again."""

    retracted: int


def retract(tx: Connection, *, ids: Sequence[str], now: int) -> Retracted:
    """Take notifications back, whoever has them, at most 1,000: out of list, counts and log. Unknown ids do nothing."""
    return Retracted(_remove(tx, tx.execute(_BY_ID, {"ids": list(dict.fromkeys(ids))}).all(), now))


def retract_by_key(tx: Connection, *, user: UserRef, collapse_key: str, now: int) -> Retracted:
    """Take back what a user has with this collapse key, read or not. Raises InvalidField (unknown user)."""
    asked = {"owner": users.resolve_refs(tx, refs=[user])[0], "key": collapse_key, "most": IDS_AT_ONCE}
    return Retracted(_remove(tx, tx.execute(_BY_KEY, asked).all(), now))


def find_expired(tx: Connection, *, now: int, limit: int) -> list[str]:
    """At most `limit` notifications that have expired and are still counted and listed."""
    return list(tx.execute(_EXPIRED, {"now": now, "most": limit}).scalars())


def expire(tx: Connection, *, ids: Sequence[str], now: int) -> None:
    """Take expired notifications out of counts, lists and log; told as retracted, because they leave every page."""
    rows = [row for row in tx.execute(_BY_ID, {"ids": list(ids)}) if row.expired_at is None]
    if rows:
        tx.execute(_EXPIRE, {"ids": [row.id for row in rows], "at": now})
        _tell(tx, rows, now)


def find_old(tx: Connection, *, before: int, limit: int) -> list[str]:
    """At most `limit` notifications made before `before` (ms)."""
    return list(tx.execute(_OLD, {"before": before, "most": limit}).scalars())


def purge(tx: Connection, *, ids: Sequence[str], now: int) -> None:
    """Remove notifications that were kept long enough."""
    _remove(tx, tx.execute(_BY_ID, {"ids": list(ids)}).all(), now)


def _remove(tx: Connection, rows: Sequence[Row[*tuple[Any, ...]]], now: int) -> int:
    if rows:
        tx.execute(_REMOVE, {"ids": [row.id for row in rows]})
        _tell(tx, [row for row in rows if row.expired_at is None], now)
    return len(rows)


def _tell(tx: Connection, rows: Sequence[Row[*tuple[Any, ...]]], now: int) -> None:
    """Forget the events about rows that left the lists, and tell their owners."""
    outbox.forget_all(tx, [row.id for row in rows])
    for user_id, gone in _by_owner(rows).items():
        visible = [row for row in gone if row.archived_at is None]
        fewer = {
            "owner": user_id,
            "unread_fewer": sum(row.read_at is None for row in visible),
            "unseen_fewer": sum(row.seen_at is None for row in visible),
        }
        counts = Counts(*tx.execute(_SHRINK, fewer).one())
        events.publish_changed(tx, user_id, ids=[row.id for row in gone], state="retracted", counts=counts, now=now)


def _by_owner(rows: Iterable[Row[*tuple[Any, ...]]]) -> Mapping[str, list[Row[*tuple[Any, ...]]]]:
    found: dict[str, list[Row[*tuple[Any, ...]]]] = {}
    for row in rows:
        found.setdefault(row.user_id, []).append(row)
    return found
