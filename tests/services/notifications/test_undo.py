"""What a change of the inbox does, and that undo puts back exactly that: no more, no less, and only for 30 seconds."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, select

from services.accounts import users
from services.database import outbox
from services.errors import InvalidField, NotFound
from services.notifications import changes as notification_changes
from services.notifications import inbox as notification_inbox
from services.notifications import listing, removal, undo
from services.notifications.change_rules import Verb
from services.notifications.change_steps import ChangeResult, StepResult
from services.notifications.draft import NotificationDraft
from services.tables import inbox_undos
from services.tables import notifications as table_notifications

NOW = 1_000_000
LETTER = NotificationDraft(type="note", category="system", title="Hello", body="Body")
COLUMNS = (
    table_notifications.c.id,
    table_notifications.c.seen_at,
    table_notifications.c.read_at,
    table_notifications.c.archived_at,
    table_notifications.c.expired_at,
)

State = dict[str, tuple[Any, ...]]


@pytest.fixture
def ann(tx: Connection) -> str:
    return users.create(tx, email=None, password_hash=None, name="Ann", role="client", now=NOW).id


def sent(tx: Connection, user_id: str, count: int = 1, **more: Any) -> list[str]:
    letter = NotificationDraft(type="note", category="system", title="Hello", body="Body", **more) if more else LETTER
    return notification_inbox.deliver(tx, items=[(user_id, letter)] * count, now=NOW)


def state(tx: Connection) -> State:
    return {row.id: tuple(row[1:]) for row in tx.execute(select(*COLUMNS))}


def do(tx: Connection, user_id: str, verb: Verb, *ids: str, now: int = NOW) -> ChangeResult:
    return notification_changes.change_ids(tx, user_id=user_id, verb=verb, ids=ids, now=now)


def do_all(tx: Connection, user_id: str, verb: Verb, before: str, now: int = NOW) -> ChangeResult:
    return to_the_end(
        tx,
        notification_changes.change_up_to(tx, user_id=user_id, verb=verb, before=before, now=now),
        notification_changes.continue_change,
    )


def take_back(tx: Connection, user_id: str, changes: ChangeResult, now: int = NOW) -> ChangeResult:
    assert isinstance(changes.undo, str)
    return to_the_end(tx, undo.undo(tx, user_id=user_id, undo=changes.undo, now=now), undo.continue_undo)


def to_the_end(tx: Connection, step: StepResult, go_on: Callable[..., StepResult]) -> ChangeResult:
    while step.rest is not None:
        step = go_on(tx, rest=step.rest, now=NOW)
    return step.changes


def heard(told: list[outbox.PendingEvent]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(draft.data) for draft in told if draft.type == "notification_state"]


def test_reading_implies_having_seen_and_undo_makes_unseen_only_what_was(
    tx: Connection, told: list[outbox.PendingEvent], ann: str
) -> None:
    one, two, _ = sent(tx, ann, 3)
    do(tx, ann, "seen", two)
    before = state(tx)
    changes = do(tx, ann, "read", one, two, "nobody's")
    assert (changes.unread, changes.unseen) == (1, 1)
    undone = take_back(tx, ann, changes)
    assert state(tx) == before
    assert (undone.unread, undone.unseen) == (3, 2)
    assert heard(told)[1:] == [
        {"ids": [two, one], "state": "read", "unread": 1, "unseen": 1},
        {"ids": [one], "state": "unread", "seen": False, "unread": 2, "unseen": 2},
        {"ids": [two], "state": "unread", "unread": 3, "unseen": 2},
    ]


@pytest.mark.parametrize("verb", ["read", "unread", "archive", "unarchive"])
def test_undo_of_all_puts_back_every_row_as_it_was_in_however_many_steps(
    tx: Connection, ann: str, verb: Verb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notification_changes, "STEP_ROWS", 2)
    monkeypatch.setattr(undo, "IDS_AT_ONCE", 3)
    ids = sent(tx, ann, 12)
    do(tx, ann, "seen", *ids[:6])
    do(tx, ann, "read", *ids[3:9], now=NOW - 7)
    do(tx, ann, "archive", *ids[::3], now=NOW - 5)
    before = state(tx)
    counts = listing.list_page(tx, user_id=ann)
    changes = do_all(tx, ann, verb, ids[10])
    assert state(tx) != before
    assert state(tx)[ids[11]] == before[ids[11]]
    undone = take_back(tx, ann, changes)
    assert state(tx) == before
    assert (undone.unread, undone.unseen) == (counts.unread, counts.unseen)


def test_undo_leaves_alone_what_was_changed_again(tx: Connection, ann: str) -> None:
    one, two = sent(tx, ann, 2)
    first = do(tx, ann, "read", one, two)
    do(tx, ann, "unread", one)
    do(tx, ann, "read", one, now=NOW + 1)
    take_back(tx, ann, first)
    assert state(tx)[one] == (NOW, NOW + 1, None, None)
    assert state(tx)[two] == (None, None, None, None)


def test_undo_of_reading_leaves_what_was_archived_since_in_the_archive(tx: Connection, ann: str) -> None:
    (one,) = sent(tx, ann)
    read = do(tx, ann, "read", one)
    archived = do(tx, ann, "archive", one)
    assert take_back(tx, ann, read) == ChangeResult(0, 0)
    assert state(tx)[one] == (None, None, NOW, None)
    assert take_back(tx, ann, archived) == ChangeResult(1, 1)


def test_undo_skips_what_expired_or_was_retracted_or_replaced_since(tx: Connection, ann: str) -> None:
    stays, retracted, replaced = *sent(tx, ann, 2), *sent(tx, ann, collapse_key="k")
    (expires,) = sent(tx, ann, expires_at=NOW + 1)
    changes = do_all(tx, ann, "seen", expires)
    changes = do_all(tx, ann, "archive", expires)
    removal.expire(tx, ids=[expires], now=NOW + 1)
    removal.retract(tx, ids=[retracted], now=NOW + 1)
    assert take_back(tx, ann, changes) == ChangeResult(2, 0)
    assert sorted(item.id for item in listing.list_page(tx, user_id=ann).items) == sorted([stays, replaced])
    assert state(tx)[expires][-1] == NOW + 1


def test_undo_of_reading_tells_nothing_of_what_has_expired_and_counts_nothing_archived(
    tx: Connection, told: list[outbox.PendingEvent], ann: str
) -> None:
    archived, unseen, seen = sent(tx, ann, 3)
    (expires,) = sent(tx, ann, expires_at=NOW + 1)
    do(tx, ann, "archive", archived)
    do(tx, ann, "seen", archived, seen)
    changes = do(tx, ann, "read", archived, unseen, seen, expires)
    removal.expire(tx, ids=[expires], now=NOW + 1)
    before = len(heard(told))
    take_back(tx, ann, changes)
    assert heard(told)[before:] == [
        {"ids": [unseen], "state": "unread", "seen": False, "unread": 1, "unseen": 1},
        {"ids": [seen, archived], "state": "unread", "unread": 2, "unseen": 1},
    ]
    assert state(tx)[expires] == (NOW, NOW, None, NOW + 1)


def test_a_step_covers_again_what_others_put_back_since_the_step_before(
    tx: Connection, told: list[outbox.PendingEvent], ann: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notification_changes, "STEP_ROWS", 2)
    ids = sent(tx, ann, 4)
    do(tx, ann, "archive", ids[0])
    begun = notification_changes.change_up_to(tx, user_id=ann, verb="archive", before=ids[3], now=NOW)
    do(tx, ann, "unarchive", *ids[:2])
    assert begun.rest is not None
    done = to_the_end(
        tx, notification_changes.continue_change(tx, rest=begun.rest, now=NOW), notification_changes.continue_change
    )
    assert (listing.list_page(tx, user_id=ann).items, done.unread) == ([], 0)
    assert heard(told)[-1] == {"all": True, "before": ids[3], "state": "archived", "unread": 0, "unseen": 0}
    assert take_back(tx, ann, done).unread == 4


def test_undo_may_be_asked_twice_but_not_after_30_seconds_or_by_others(tx: Connection, ann: str) -> None:
    bob = users.create(tx, email=None, password_hash=None, name="Bob", role="client", now=NOW).id
    (one,) = sent(tx, ann)
    changes = do(tx, ann, "read", one)
    assert take_back(tx, ann, changes, now=NOW + 29_999) == ChangeResult(1, 1)
    assert take_back(tx, ann, changes, now=NOW + 29_999) == ChangeResult(1, 1)
    with pytest.raises(NotFound):
        take_back(tx, ann, changes, now=NOW + 30_000)
    with pytest.raises(NotFound):
        take_back(tx, bob, changes)


def test_a_change_that_changes_nothing_tells_nothing_and_has_no_undo(
    tx: Connection, told: list[outbox.PendingEvent], ann: str
) -> None:
    (one,) = sent(tx, ann)
    do(tx, ann, "read", one)
    before = len(told)
    assert do(tx, ann, "read", one) == ChangeResult(0, 0, None)
    assert do_all(tx, ann, "read", one) == ChangeResult(0, 0, None)
    assert do_all(tx, ann, "unarchive", one) == ChangeResult(0, 0, None)
    assert do(tx, ann, "seen", one) == ChangeResult(0, 0)
    assert (len(told), len(tx.execute(select(inbox_undos.c.id)).all())) == (before, 1)


def test_nobody_changes_another_ones_rows(tx: Connection, ann: str) -> None:
    bob = users.create(tx, email=None, password_hash=None, name="Bob", role="client", now=NOW).id
    theirs, mine = *sent(tx, ann), *sent(tx, bob)
    before = state(tx)[theirs]
    assert do(tx, bob, "read", theirs) == ChangeResult(1, 1, None)
    do_all(tx, bob, "read", theirs)
    do_all(tx, bob, "read", mine)
    assert state(tx)[theirs] == before


def test_all_up_to_one_that_is_gone_means_up_to_where_it_was(tx: Connection, ann: str) -> None:
    _, two, three = sent(tx, ann, 3)
    removal.retract(tx, ids=[two], now=NOW)
    assert do_all(tx, ann, "read", two).unread == 1
    assert state(tx)[three][1] is None
    assert do_all(tx, ann, "read", "00000000-0000-7000-8000-000000000000").unread == 1
    with pytest.raises(InvalidField):
        do_all(tx, ann, "read", "zzz")


def test_the_event_of_a_change_of_everything_names_no_ids(
    tx: Connection, told: list[outbox.PendingEvent], ann: str
) -> None:
    ids = sent(tx, ann, 50)
    do_all(tx, ann, "read", ids[39])
    assert heard(told) == [{"all": True, "before": ids[39], "state": "read", "unread": 10, "unseen": 10}]


def test_a_retracted_one_leaves_the_counts_the_list_and_the_log(
    tx: Connection, told: list[outbox.PendingEvent], ann: str
) -> None:
    one, two = sent(tx, ann, 2)
    do(tx, ann, "seen", one)
    assert removal.retract(tx, ids=[one, one, "nobody's"], now=NOW).retracted == 1
    assert heard(told)[-1] == {"ids": [one], "state": "retracted", "unread": 1, "unseen": 1}
    assert [item.id for item in listing.list_page(tx, user_id=ann).items] == [two]
    collected: outbox.PendingEvents = tx.info["outbox"]
    assert one not in {draft.subject for _, draft in collected.to_publish()}


def test_an_expired_one_leaves_once_and_stays_away(tx: Connection, told: list[outbox.PendingEvent], ann: str) -> None:
    (one,) = sent(tx, ann, expires_at=NOW + 10)
    assert removal.find_expired(tx, now=NOW + 9, limit=10) == []
    assert removal.find_expired(tx, now=NOW + 10, limit=10) == [one]
    for _ in range(2):
        removal.expire(tx, ids=[one], now=NOW + 10)
    assert heard(told) == [{"ids": [one], "state": "retracted", "unread": 0, "unseen": 0}]
    assert removal.find_expired(tx, now=NOW + 10, limit=10) == []
    assert [listing.list_page(tx, user_id=ann, filter=name).items for name in ("all", "unread", "archived")] == [
        [],
        [],
        [],
    ]
    assert do(tx, ann, "archive", one) == ChangeResult(0, 0, None)
