"""Puts notifications into inboxes: the row, the counts and the event in one transaction."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select, true, update
from sqlalchemy.dialects.sqlite import insert as upsert

from services.database import outbox
from services.database.statements import Statement, json_values, to_json_list
from services.ids import new_id
from services.notifications import events, routing
from services.notifications.draft import Action, NotificationDraft
from services.notifications.events import Counts as Counts  # who asks for `counts_of` names them too
from services.notifications.events import NotificationEvent
from services.notifications.routing import RoutingDecision
from services.notifications.schemas import Category, Priority
from services.tables import inboxes, notifications

_n = notifications.c
_encoder = msgspec.json.Encoder()

# What a new row says; the rest has its default.
_NEW = (
    *("id", "user_id", "seq", "type", "category", "priority", "title", "body", "data", "url", "icon", "actions"),
    *("collapse_key", "count", "created_at", "expires_at"),
    *("expired_at", "hidden", "by_push", "by_email"),
)
_ADD = Statement(insert(notifications).values({name: bindparam(name) for name in _NEW}))
_news = func.json_each(bindparam("news")).table_valued("key", "value")
_GROW = upsert(inboxes).from_select(
    ["user_id", "seq", "unread", "unseen"],
    # WHERE: without it SQLite takes ON CONFLICT for a part of the join.
    select(_news.c.key, _news.c.value, _news.c.value, _news.c.value).where(true()),
)
_GROW_INBOX = Statement(
    _GROW.on_conflict_do_update(
        index_elements=[inboxes.c.user_id],
        set_={name: inboxes.c[name] + _GROW.excluded[name] for name in ("seq", "unread", "unseen")},
    ).returning(inboxes.c.user_id, inboxes.c.seq, inboxes.c.unread, inboxes.c.unseen)
)
_SHRINK_INBOX = (
    update(inboxes)
    .where(inboxes.c.user_id == bindparam("who"))
    .values(unread=inboxes.c.unread - bindparam("read"), unseen=inboxes.c.unseen - bindparam("seen"))
)
_UNREAD_WITH_KEY = select(_n.id, _n.user_id, _n.count.label("times"), _n.seen_at, _n.hidden).where(
    _n.user_id.in_(bindparam("owners", expanding=True)),
    _n.collapse_key == bindparam("key"),
    _n.read_at.is_(None),
    _n.archived_at.is_(None),
    or_(_n.expired_at.is_(None), _n.hidden == 1),
)
_owners = json_values("owners")
_COUNTS = Statement(
    select(inboxes.c.user_id, inboxes.c.unread, inboxes.c.unseen).join_from(
        _owners, inboxes, inboxes.c.user_id == _owners.c.value
    )
)
_REMOVE = delete(notifications).where(_n.id.in_(bindparam("gone", expanding=True)))

AddressedDrafts = Sequence[tuple[str, NotificationDraft]]


@dataclass(slots=True)
class _Replaced:
    """The unread rows that one new row takes the place of; more than one if their owner put some back to unread.

    Of hidden ones nobody was told, and they stand in no count: what is due of them by push or e-mail goes, that is all.
    """

    ids: list[str] = field(default_factory=list)
    hidden_ids: list[str] = field(default_factory=list)
    count: int = 0
    unseen: int = 0


@dataclass(slots=True)
class _InboxCounters:
    """Where an inbox stands between one event of a unit and the next."""

    user_id: str
    seq: int
    unread: int
    unseen: int

    def put_back(self, old: _Replaced) -> None:
        """Begin before these rows went."""
        self.unread += len(old.ids)
        self.unseen += old.unseen

    def without(self, old: _Replaced) -> Counts:
        """The counts once these rows are gone."""
        self.unread -= len(old.ids)
        self.unseen -= old.unseen
        return Counts(self.unread, self.unseen)

    def with_one(self) -> Counts:
        """The counts once a new row is there."""
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
    """Put one notification into a user's inbox and tell their streams; returns its id.

    The user must exist. An unread one with the same `collapse_key` is replaced. `expires_at` is milliseconds since
    1970; `invalidates` are the cache keys a page should drop. Raises InvalidField.
    """
    letter = NotificationDraft(
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
    return deliver(tx, items=[(user_id, letter)], now=now)[0]


def deliver_to_all(tx: Connection, *, user_ids: Sequence[str], letter: NotificationDraft, now: int) -> list[str]:
    """Put the same notification into many inboxes (up to 1,000, all existing); returns the ids in their order."""
    return deliver(tx, items=[(user_id, letter) for user_id in user_ids], now=now)


def deliver(tx: Connection, *, items: AddressedDrafts, now: int) -> list[str]:
    """Put a letter into each of these inboxes, in order, in few statements; returns the ids in that order.

    A user may be named more than once. The users must exist. Inboxes are locked in the order of their users, whatever
    that of the mail. Raises InvalidField.
    """
    letters = {id(letter): letter for _, letter in items}
    for letter in letters.values():
        letter.check_expiry(now)
    # Once for each letter, however many get it.
    made = {which: (letter.to_row(), events.event_template(letter, now=now)) for which, letter in letters.items()}
    ids: list[str] = []
    for part in _split_at_duplicates(items):
        ids += _deliver(tx, part, made, now)
    return ids


def counts_of(tx: Connection, *, ids: Sequence[str]) -> dict[str, Counts]:
    """The counts of those of these users who have an inbox."""
    return {row.user_id: Counts(row.unread, row.unseen) for row in _COUNTS.all(tx, {"owners": to_json_list(ids)})}


def _split_at_duplicates(mail: AddressedDrafts) -> Iterator[AddressedDrafts]:
    """Cut the mail where a letter would replace an earlier one of the same part."""
    start, taken = 0, set[tuple[str, str]]()
    for at, (user_id, letter) in enumerate(mail):
        if letter.collapse_key is None:
            continue
        if (user_id, letter.collapse_key) in taken:
            yield mail[start:at]
            start, taken = at, set()
        taken.add((user_id, letter.collapse_key))
    yield mail[start:]


def _deliver(
    tx: Connection, mail: AddressedDrafts, made: Mapping[int, tuple[dict[str, Any], NotificationEvent]], now: int
) -> list[str]:
    """Put in mail in which no letter replaces another."""
    reaches = routing.load_methods(tx, [user_id for user_id, _ in mail])
    fates = [routing.decide(reaches.get(user_id), letter.category) for user_id, letter in mail]
    replaced = _replaced(tx, mail)
    _delete_replaced(tx, replaced)
    standing = _increment_counters(tx, mail)
    _count_out(tx, [user_id for (user_id, _), fate in zip(mail, fates, strict=True) if fate.hidden])
    for (user_id, _), gone in replaced.items():
        standing[user_id].put_back(gone)
    rows, orders = [], list[Any]()
    for (user_id, letter), fate in zip(mail, fates, strict=True):
        old = None if letter.collapse_key is None else replaced.get((user_id, letter.collapse_key))
        columns, arriving = made[id(letter)]
        row = _row(standing[user_id], columns, old, fate, now)
        _publish(tx, row, arriving, standing[user_id], old, now)
        rows.append(row)
        if user_id in reaches:
            orders += routing.delivery_rows(
                reaches[user_id], letter, fate, user_id=user_id, notification_id=row["id"], now=now
            )
    _ADD.execute_many(tx, rows)
    routing.insert_deliveries(tx, orders)
    return [row["id"] for row in rows]


def _replaced(tx: Connection, mail: AddressedDrafts) -> dict[tuple[str, str], _Replaced]:
    """The unread rows that have to go, by (user, collapse key)."""
    owners: dict[str, list[str]] = {}
    for user_id, letter in mail:
        if letter.collapse_key is not None:
            owners.setdefault(letter.collapse_key, []).append(user_id)
    found: dict[tuple[str, str], _Replaced] = {}
    for key, user_ids in owners.items():
        # By key and not by pairs: SQLite reads the whole table for a list of pairs.
        for row in tx.execute(_UNREAD_WITH_KEY, {"owners": user_ids, "key": key}):
            old = found.setdefault((row.user_id, key), _Replaced())
            old.count += row.times
            if row.hidden:
                old.hidden_ids.append(row.id)
                continue
            old.ids.append(row.id)
            old.unseen += row.seen_at is None
    return found


def _delete_replaced(tx: Connection, replaced: Mapping[tuple[str, str], _Replaced]) -> None:
    if not replaced:
        return
    shown = [id for old in replaced.values() for id in old.ids]
    tx.execute(_REMOVE, {"gone": shown + [id for old in replaced.values() for id in old.hidden_ids]})
    if shown:
        outbox.forget_all(tx, shown)
        fewer = sorted((user_id, len(old.ids), old.unseen) for (user_id, _), old in replaced.items())
        tx.execute(_SHRINK_INBOX, [{"who": user_id, "read": read, "seen": seen} for user_id, read, seen in fewer])


def _increment_counters(tx: Connection, mail: AddressedDrafts) -> dict[str, _InboxCounters]:
    """Count the new rows in, and return how each inbox was before them."""
    news = Counter(sorted(user_id for user_id, _ in mail))
    return {
        user_id: _InboxCounters(user_id, seq - news[user_id], unread - news[user_id], unseen - news[user_id])
        for user_id, seq, unread, unseen in _GROW_INBOX.all(tx, {"news": _encoder.encode(news).decode()})
    }


def _count_out(tx: Connection, owners: Sequence[str]) -> None:
    """Take those out of the counts whose owners do not want them in the app; few do."""
    hidden = Counter(owners)
    if hidden:
        tx.execute(_SHRINK_INBOX, [{"who": user_id, "read": n, "seen": n} for user_id, n in hidden.items()])


def _row(
    inbox: _InboxCounters, columns: Mapping[str, Any], old: _Replaced | None, fate: RoutingDecision, now: int
) -> dict[str, Any]:
    """A new row; a hidden one is out of counts and lists from the first."""
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
        "expired_at": now if fate.hidden else None,
        "hidden": int(fate.hidden),
        "by_push": fate.by_push,
        "by_email": fate.by_email,
    }


def _publish(
    tx: Connection,
    row: Mapping[str, Any],
    arriving: NotificationEvent,
    inbox: _InboxCounters,
    old: _Replaced | None,
    now: int,
) -> None:
    """First that the old ones went, then that the new one came, with the counts after each; of a hidden one nothing."""
    if old is not None and old.ids:
        gone = inbox.without(old)
        events.publish_changed(tx, inbox.user_id, ids=old.ids, state="retracted", counts=gone, now=now)
    if not row["hidden"]:
        events.publish_created(tx, row, arriving, counts=inbox.with_one(), now=now)
