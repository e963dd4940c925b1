"""Reads an inbox page by page, with its counts and its place in the log in the same snapshot; does its actions."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, select, update

from services import pagination
from services.database import outbox
from services.errors import InvalidField, NotFound
from services.notifications import change_steps, events
from services.notifications.change_rules import VISIBLE
from services.notifications.schemas import Notification
from services.schemas import Schema
from services.tables import notifications

Filter = Literal["all", "unread", "archived"]
CATEGORIES = frozenset({"job", "bid", "hire", "message", "comment", "payment", "system"})

_n = notifications.c

_FITS: dict[Filter, ColumnElement[bool]] = {
    "all": VISIBLE,
    "unread": and_(VISIBLE, _n.read_at.is_(None)),
    "archived": and_(_n.archived_at.is_not(None), _n.expired_at.is_(None)),
}


def _page(fits: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    return (
        select(notifications)
        .where(_n.user_id == bindparam("owner"), _n.seq < bindparam("below"), fits)
        .order_by(_n.seq.desc())
        .limit(bindparam("most"))
    )


_IN_CATEGORIES = _n.category.in_(bindparam("categories", expanding=True))
_PAGES = {name: _page(fits) for name, fits in _FITS.items()}
_PAGES_OF_CATEGORIES = {name: _page(and_(fits, _IN_CATEGORIES)) for name, fits in _FITS.items()}
_ONE = select(notifications).where(
    _n.id == bindparam("which"), _n.user_id == bindparam("owner"), _n.expired_at.is_(None)
)
_DONE = update(notifications).where(_n.id == bindparam("which")).values(actions=bindparam("done"))


class InboxPage(Schema, frozen=True):
    """Notifications, newest first; the counts of the whole inbox; the cursor to open the stream from."""

    items: list[Notification]
    next: str | None
    unread: int
    unseen: int
    cursor: str


def list_page(
    tx: Connection,
    *,
    user_id: str,
    filter: Filter = "all",
    categories: Sequence[str] = (),
    limit: int = pagination.DEFAULT_LIMIT,
    after: str | None = None,
) -> InboxPage:
    """The next `limit` notifications of a user that fit; `after` is the `next` of the page before.

    Raises InvalidField for an `after` that is none, and for unknown categories.
    """
    for category in categories:
        if category not in CATEGORIES:
            raise InvalidField("category", "range", f"There is no category called {category[:40]!r}.")
    asked: dict[str, Any] = {"owner": user_id, "below": pagination.seq_from_token(after), "most": limit + 1}
    statement = _PAGES_OF_CATEGORIES[filter] if categories else _PAGES[filter]
    rows = tx.execute(statement, asked | ({"categories": list(categories)} if categories else {})).mappings().all()
    position, epoch = outbox.head(tx)
    counts = change_steps.counts(tx, user_id)
    return InboxPage(
        items=[events.to_schema(row) for row in rows[:limit]],
        next=pagination.page_token(rows[limit - 1]["seq"]) if len(rows) > limit else None,
        unread=counts.unread,
        unseen=counts.unseen,
        cursor=f"{epoch}.{position}",
    )


def record_action(tx: Connection, *, user_id: str, notification_id: str, action_id: str, now: int) -> Notification:
    """Keep that one of a notification's actions was done, and tell the user's other tabs the first time.

    Raises NotFound when there is no such notification or action.
    """
    row = tx.execute(_ONE, {"which": notification_id, "owner": user_id}).mappings().one_or_none()
    actions: list[dict[str, Any]] = [] if row is None else msgspec.json.decode(row["actions"])
    action = next((each for each in actions if each["id"] == action_id), None)
    if row is None or action is None:
        raise NotFound
    if "done" in action:
        return events.to_schema(row)
    action["done"] = True
    done = msgspec.json.encode(actions).decode()
    tx.execute(_DONE, {"which": notification_id, "done": done})
    counts = change_steps.counts(tx, user_id)
    events.publish_changed(tx, user_id, ids=[notification_id], state="action", action=action_id, counts=counts, now=now)
    return events.to_schema({**row, "actions": done})
