"""Reads an inbox page by page with its counts, and records actions."""

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

_CONDITIONS: dict[Filter, ColumnElement[bool]] = {
    "all": VISIBLE,
    "unread": and_(VISIBLE, _n.read_at.is_(None)),
    "archived": and_(_n.archived_at.is_not(None), _n.expired_at.is_(None)),
}


def _page(condition: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    return (
        select(notifications)
        .where(_n.user_id == bindparam("user_id"), _n.seq < bindparam("seq"), condition)
        .order_by(_n.seq.desc())
        .limit(bindparam("limit"))
    )


_IN_CATEGORIES = _n.category.in_(bindparam("categories", expanding=True))
_PAGES = {name: _page(condition) for name, condition in _CONDITIONS.items()}
_PAGES_OF_CATEGORIES = {name: _page(and_(condition, _IN_CATEGORIES)) for name, condition in _CONDITIONS.items()}
_FIND = select(notifications).where(
    _n.id == bindparam("id"), _n.user_id == bindparam("user_id"), _n.expired_at.is_(None)
)
_UPDATE_ACTIONS = update(notifications).where(_n.id == bindparam("row_id")).values(actions=bindparam("new_actions"))


class InboxPage(Schema, frozen=True):
    """Notifications, newest first, with the counts of the whole inbox and the cursor to open the stream from."""

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
    """Return the next `limit` notifications of a user that match, with counts and cursor of the same snapshot.

    `after` is the `next` token of the previous page. Raises InvalidField for an invalid token or an unknown category.
    """
    for category in categories:
        if category not in CATEGORIES:
            raise InvalidField("category", "range", f"There is no category called {category[:40]!r}.")
    parameters: dict[str, Any] = {"user_id": user_id, "seq": pagination.seq_from_token(after), "limit": limit + 1}
    statement = _PAGES_OF_CATEGORIES[filter] if categories else _PAGES[filter]
    if categories:
        parameters["categories"] = list(categories)
    rows = tx.execute(statement, parameters).mappings().all()
    position, epoch = outbox.head(tx)
    counts = change_steps.get_counts(tx, user_id)
    return InboxPage(
        items=[events.to_schema(row) for row in rows[:limit]],
        next=pagination.page_token(rows[limit - 1]["seq"]) if len(rows) > limit else None,
        unread=counts.unread,
        unseen=counts.unseen,
        cursor=f"{epoch}.{position}",
    )


def record_action(tx: Connection, *, user_id: str, notification_id: str, action_id: str, now: int) -> Notification:
    """Record that an action of a notification was done, and publish it the first time.

    Raises NotFound if the user has no such notification or it has no such action.
    """
    row = tx.execute(_FIND, {"id": notification_id, "user_id": user_id}).mappings().one_or_none()
    actions: list[dict[str, Any]] = [] if row is None else msgspec.json.decode(row["actions"])
    action = next((action for action in actions if action["id"] == action_id), None)
    if row is None or action is None:
        raise NotFound
    if "done" in action:
        return events.to_schema(row)
    action["done"] = True
    new_actions = msgspec.json.encode(actions).decode()
    tx.execute(_UPDATE_ACTIONS, {"row_id": notification_id, "new_actions": new_actions})
    counts = change_steps.get_counts(tx, user_id)
    events.publish_changed(tx, user_id, ids=[notification_id], state="action", action=action_id, counts=counts, now=now)
    return events.to_schema({**row, "actions": new_actions})
