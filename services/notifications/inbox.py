"""Writes notifications into inboxes: row, counters and event in one transaction."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select, true, update

from services.database import outbox
from services.database.statements import Statement, json_values, to_json_list, upsert
from services.ids import new_id
from services.notifications import events, routing
from services.notifications.draft import Action, AddressedDrafts, NotificationDraft
from services.notifications.events import Counts, NotificationEvent
from services.notifications.routing import RoutingDecision
from services.notifications.schemas import Category, Priority
from services.tables import inboxes, notifications

_n = notifications.c
_encoder = msgspec.json.Encoder()

# The columns of a new row; all others have defaults.
_NEW_COLUMNS = (
    *("id", "user_id", "seq", "type", "category", "priority", "title", "body", "data", "url", "icon", "actions"),
    *("collapse_key", "count", "created_at", "expires_at"),
    *("expired_at", "hidden", "push_decision", "email_decision"),
)
_INSERT = Statement(insert(notifications).values({name: bindparam(name) for name in _NEW_COLUMNS}))
_new_counts = func.json_each(bindparam("new_counts")).table_valued("key", "value")
_INSERT_INBOXES = upsert(inboxes).from_select(
    ["user_id", "seq", "unread", "unseen"],
    # Without WHERE, SQLite parses ON CONFLICT as part of a join.
    select(_new_counts.c.key, _new_counts.c.value, _new_counts.c.value, _new_counts.c.value).where(true()),
)
_INCREMENT_COUNTERS = Statement(
    _INSERT_INBOXES.on_conflict_do_update(
        index_elements=[inboxes.c.user_id],
        set_={name: inboxes.c[name] + _INSERT_INBOXES.excluded[name] for name in ("seq", "unread", "unseen")},
    ).returning(inboxes.c.user_id, inboxes.c.seq, inboxes.c.unread, inboxes.c.unseen)
)
_DECREMENT_COUNTERS = (
    update(inboxes)
    .where(inboxes.c.user_id == bindparam("owner_id"))
    .values(unread=inboxes.c.unread - bindparam("fewer_unread"), unseen=inboxes.c.unseen - bindparam("fewer_unseen"))
)
_UNREAD_WITH_KEY = select(_n.id, _n.user_id, _n.count.label("occurrences"), _n.seen_at, _n.hidden).where(
    _n.user_id.in_(bindparam("user_ids", expanding=True)),
    _n.collapse_key == bindparam("collapse_key"),
    _n.read_at.is_(None),
    _n.archived_at.is_(None),
    or_(_n.expired_at.is_(None), _n.hidden == 1),
)
_user_ids = json_values("user_ids")
_COUNTS = Statement(
    select(inboxes.c.user_id, inboxes.c.unread, inboxes.c.unseen).join_from(
        _user_ids, inboxes, inboxes.c.user_id == _user_ids.c.value
    )
)
_DELETE = delete(notifications).where(_n.id.in_(bindparam("ids", expanding=True)))

# For each draft, by the identity of the object: the columns and the event that are equal for all recipients.
_Prepared = Mapping[int, tuple[dict[str, Any], NotificationEvent]]


@dataclass(slots=True)
class _Replaced:
    """The unread rows that a new row replaces; more than one if the user marked older ones unread again.

    Hidden rows were never published and are not counted. Deleting them only cancels their waiting deliveries.
    """

    ids: list[str] = field(default_factory=list)
    hidden_ids: list[str] = field(default_factory=list)
    count: int = 0
    unseen: int = 0


@dataclass(slots=True)
class _InboxCounters:
    """The counters of an inbox between two events of one transaction."""

    user_id: str
    seq: int
    unread: int
    unseen: int

    def restore(self, old: _Replaced) -> None:
        """Set the counters to their values before the replaced rows were deleted."""
        self.unread += len(old.ids)
        self.unseen += old.unseen

    def remove(self, old: _Replaced) -> Counts:
        """Subtract the replaced rows and return the counts."""
        self.unread -= len(old.ids)
        self.unseen -= old.unseen
        return Counts(self.unread, self.unseen)

    def add_one(self) -> Counts:
        """Add one unread, unseen row and return the counts."""
        self.unread += 1
        self.unseen += 1
        return Counts(self.unread, self.unseen)


def deliver_fields(
    tx: Connection,
    *,
    user_id: str,
    type: str,
    category: Category,
    priority: Priority = "normal",
    title: str,
    body: str,
    data: dict[str, Any] | None = None,
    url: str | None = None,
    icon: str | None = None,
    actions: Sequence[Action] = (),
    collapse_key: str | None = None,
    expires_at: int | None = None,
    invalidates: Sequence[str] = (),
    now: int,
) -> str:
    """Write one notification into a user's inbox, publish it and return its id.

    The user must exist. An unread notification with the same `collapse_key` is replaced. See NotificationDraft for the
    fields and for InvalidField.
    """
    draft = NotificationDraft(
        type=type,
        category=category,
        priority=priority,
        title=title,
        body=body,
        data=data or {},
        url=url,
        icon=icon,
        actions=actions,
        collapse_key=collapse_key,
        expires_at=expires_at,
        invalidates=invalidates,
    )
    return deliver(tx, items=[(user_id, draft)], now=now)[0]


def deliver_to_all(tx: Connection, *, user_ids: Sequence[str], draft: NotificationDraft, now: int) -> list[str]:
    """Write the same notification into up to 1,000 inboxes of existing users; return the ids in the order of users."""
    return deliver(tx, items=[(user_id, draft) for user_id in user_ids], now=now)


def deliver(tx: Connection, *, items: AddressedDrafts, now: int) -> list[str]:
    """Write each draft into the inbox of its user; return the ids in the order of `items`.

    The users must exist; a user may occur more than once. Inboxes are locked in the order of their user ids.
    Raises InvalidField for a draft that has expired.
    """
    drafts = {id(draft): draft for _, draft in items}
    for draft in drafts.values():
        draft.check_expiry(now)
    # Once for each draft, however many recipients it has.
    prepared = {key: (draft.to_row(), events.event_template(draft, now=now)) for key, draft in drafts.items()}
    ids: list[str] = []
    for part in _split_at_duplicates(items):
        ids += _deliver(tx, part, prepared, now)
    return ids


def load_counts(tx: Connection, *, ids: Sequence[str]) -> dict[str, Counts]:
    """Return the counts by user id, for these user ids; users without an inbox are left out."""
    rows = _COUNTS.all(tx, {"user_ids": to_json_list(ids)})
    return {row.user_id: Counts(row.unread, row.unseen) for row in rows}


def _split_at_duplicates(items: AddressedDrafts) -> Iterator[AddressedDrafts]:
    """Split the items so that no draft of a part replaces an earlier one of the same part."""
    start, keys = 0, set[tuple[str, str]]()
    for index, (user_id, draft) in enumerate(items):
        if draft.collapse_key is None:
            continue
        if (user_id, draft.collapse_key) in keys:
            yield items[start:index]
            start, keys = index, set()
        keys.add((user_id, draft.collapse_key))
    yield items[start:]


def _deliver(tx: Connection, items: AddressedDrafts, prepared: _Prepared, now: int) -> list[str]:
    """Deliver items of which none replaces another."""
    decisions = routing.load_methods(tx, items)
    replaced = _find_replaced(tx, items)
    _delete_replaced(tx, replaced)
    counters = _increment_counters(tx, items)
    _uncount_hidden(tx, [user_id for (user_id, _), decision in zip(items, decisions, strict=True) if decision.hidden])
    for (user_id, _), old in replaced.items():
        counters[user_id].restore(old)
    rows = []
    for (user_id, draft), decision in zip(items, decisions, strict=True):
        replaced_by_this = None if draft.collapse_key is None else replaced.get((user_id, draft.collapse_key))
        columns, template = prepared[id(draft)]
        row = _to_row(counters[user_id], columns, replaced_by_this, decision, now)
        _publish(tx, row, template, counters[user_id], replaced_by_this, now)
        rows.append(row)
    _INSERT.execute_many(tx, rows)
    ids = [row["id"] for row in rows]
    routing.queue(tx, decisions, items=items, notification_ids=ids, now=now)
    return ids


def _find_replaced(tx: Connection, items: AddressedDrafts) -> dict[tuple[str, str], _Replaced]:
    """Return the unread rows that the items replace, by user id and collapse key."""
    users_by_key: dict[str, list[str]] = {}
    for user_id, draft in items:
        if draft.collapse_key is not None:
            users_by_key.setdefault(draft.collapse_key, []).append(user_id)
    found: dict[tuple[str, str], _Replaced] = {}
    for collapse_key, user_ids in users_by_key.items():
        # One query per key: SQLite reads the whole table for a list of pairs.
        for row in tx.execute(_UNREAD_WITH_KEY, {"user_ids": user_ids, "collapse_key": collapse_key}):
            old = found.setdefault((row.user_id, collapse_key), _Replaced())
            old.count += row.occurrences
            if row.hidden:
                old.hidden_ids.append(row.id)
                continue
            old.ids.append(row.id)
            old.unseen += row.seen_at is None
    return found


def _delete_replaced(tx: Connection, replaced: Mapping[tuple[str, str], _Replaced]) -> None:
    if not replaced:
        return
    visible_ids = [id for old in replaced.values() for id in old.ids]
    hidden_ids = [id for old in replaced.values() for id in old.hidden_ids]
    tx.execute(_DELETE, {"ids": visible_ids + hidden_ids})
    if visible_ids:
        outbox.forget_all(tx, visible_ids)
        removed = sorted((user_id, len(old.ids), old.unseen) for (user_id, _), old in replaced.items())
        tx.execute(_DECREMENT_COUNTERS, [_to_decrement(*counts) for counts in removed])


def _increment_counters(tx: Connection, items: AddressedDrafts) -> dict[str, _InboxCounters]:
    """Add the new rows to the counters, and return each inbox's counters without them."""
    added = Counter(sorted(user_id for user_id, _ in items))
    rows = _INCREMENT_COUNTERS.all(tx, {"new_counts": _encoder.encode(added).decode()})
    return {
        user_id: _InboxCounters(user_id, seq - added[user_id], unread - added[user_id], unseen - added[user_id])
        for user_id, seq, unread, unseen in rows
    }


def _uncount_hidden(tx: Connection, user_ids: Sequence[str]) -> None:
    """Subtract hidden rows from the counters of these users, one row for each occurrence."""
    hidden = Counter(user_ids)
    if hidden:
        tx.execute(_DECREMENT_COUNTERS, [_to_decrement(user_id, count, count) for user_id, count in hidden.items()])


def _to_decrement(user_id: str, unread: int, unseen: int) -> dict[str, Any]:
    return {"owner_id": user_id, "fewer_unread": unread, "fewer_unseen": unseen}


def _to_row(
    inbox: _InboxCounters, columns: Mapping[str, Any], old: _Replaced | None, decision: RoutingDecision, now: int
) -> dict[str, Any]:
    """Return a new row. A hidden row is created as expired, so it is neither counted nor listed."""
    inbox.seq += 1
    return {
        **columns,
        "id": new_id(),
        "user_id": inbox.user_id,
        "seq": inbox.seq,
        "count": 1 if old is None else old.count + 1,
        "created_at": now,
        "seen_at": None,
        "read_at": None,
        "archived_at": None,
        "expired_at": now if decision.hidden else None,
        "hidden": int(decision.hidden),
        "push_decision": decision.push_decision,
        "email_decision": decision.email_decision,
    }


def _publish(
    tx: Connection,
    row: Mapping[str, Any],
    template: NotificationEvent,
    inbox: _InboxCounters,
    old: _Replaced | None,
    now: int,
) -> None:
    """Publish the retraction of the replaced rows, then the new row unless it is hidden, each with its counts."""
    if old is not None and old.ids:
        counts = inbox.remove(old)
        events.publish_changed(tx, inbox.user_id, ids=old.ids, state="retracted", counts=counts, now=now)
    if not row["hidden"]:
        events.publish_created(tx, row, template, counts=inbox.add_one(), now=now)
