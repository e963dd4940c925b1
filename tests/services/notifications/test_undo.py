"""Inbox changes, and undo, which restores exactly the changed rows for 30 seconds."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, select

from services.accounts import users
from services.database import outbox
from services.errors import InvalidField, NotFound
from services.notifications import changes, inbox, listing, removal, undo
from services.notifications.change_rules import Verb
from services.notifications.change_steps import ChangeResult, StepResult
from services.notifications.draft import NotificationDraft
from services.tables import inbox_undos
from services.tables import notifications as table_notifications

NOW = 1_000_000
DRAFT = NotificationDraft(type="note", category="system", title="Hello", body="Body")
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


def deliver(tx: Connection, user_id: str, count: int = 1, **fields: Any) -> list[str]:
    draft = NotificationDraft(type="note", category="system", title="Hello", body="Body", **fields) if fields else DRAFT
    return inbox.deliver(tx, items=[(user_id, draft)] * count, now=NOW)


def load_state(tx: Connection) -> State:
    return {row.id: tuple(row[1:]) for row in tx.execute(select(*COLUMNS))}


def change(tx: Connection, user_id: str, verb: Verb, *ids: str, now: int = NOW) -> ChangeResult:
    return changes.change_ids(tx, user_id=user_id, verb=verb, ids=ids, now=now)


def change_up_to(tx: Connection, user_id: str, verb: Verb, before: str, now: int = NOW) -> ChangeResult:
    return run_remaining(
        tx,
        changes.change_up_to(tx, user_id=user_id, verb=verb, before=before, now=now),
        changes.continue_change,
    )


def revert(tx: Connection, user_id: str, result: ChangeResult, now: int = NOW) -> ChangeResult:
    assert isinstance(result.undo, str)
    return run_remaining(tx, undo.undo(tx, user_id=user_id, undo_id=result.undo, now=now), undo.continue_undo)


def run_remaining(tx: Connection, step: StepResult, continue_step: Callable[..., StepResult]) -> ChangeResult:
    while step.remaining is not None:
        step = continue_step(tx, remaining=step.remaining, now=NOW)
    return step.result


def decode_events(pending_events: list[outbox.PendingEvent]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(event.data) for event in pending_events if event.type == "notification_state"]


def test_undo_of_read_makes_unseen_only_what_was_unseen(
    tx: Connection, pending_events: list[outbox.PendingEvent], ann: str
) -> None:
    one, two, _ = deliver(tx, ann, 3)
    change(tx, ann, "seen", two)
    before = load_state(tx)
    result = change(tx, ann, "read", one, two, "unknown")
    assert (result.unread, result.unseen) == (1, 1)
    reverted = revert(tx, ann, result)
    assert load_state(tx) == before
    assert (reverted.unread, reverted.unseen) == (3, 2)
    assert decode_events(pending_events)[1:] == [
        {"ids": [two, one], "state": "read", "unread": 1, "unseen": 1},
        {"ids": [one], "state": "unread", "seen": False, "unread": 2, "unseen": 2},
        {"ids": [two], "state": "unread", "unread": 3, "unseen": 2},
    ]


@pytest.mark.parametrize("verb", ["read", "unread", "archive", "unarchive"])
def test_undo_of_a_range_restores_every_row_in_any_number_of_steps(
    tx: Connection, ann: str, verb: Verb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MAX_STEP_ROWS", 2)
    monkeypatch.setattr(undo, "MAX_IDS_PER_EVENT", 3)
    ids = deliver(tx, ann, 12)
    change(tx, ann, "seen", *ids[:6])
    change(tx, ann, "read", *ids[3:9], now=NOW - 7)
    change(tx, ann, "archive", *ids[::3], now=NOW - 5)
    before = load_state(tx)
    counts = listing.list_page(tx, user_id=ann)
    result = change_up_to(tx, ann, verb, ids[10])
    assert load_state(tx) != before
    assert load_state(tx)[ids[11]] == before[ids[11]]
    reverted = revert(tx, ann, result)
    assert load_state(tx) == before
    assert (reverted.unread, reverted.unseen) == (counts.unread, counts.unseen)


def test_undo_skips_rows_that_were_changed_again(tx: Connection, ann: str) -> None:
    one, two = deliver(tx, ann, 2)
    first = change(tx, ann, "read", one, two)
    change(tx, ann, "unread", one)
    change(tx, ann, "read", one, now=NOW + 1)
    revert(tx, ann, first)
    assert load_state(tx)[one] == (NOW, NOW + 1, None, None)
    assert load_state(tx)[two] == (None, None, None, None)


def test_undo_of_read_keeps_later_archiving(tx: Connection, ann: str) -> None:
    (one,) = deliver(tx, ann)
    read = change(tx, ann, "read", one)
    archived = change(tx, ann, "archive", one)
    assert revert(tx, ann, read) == ChangeResult(0, 0)
    assert load_state(tx)[one] == (None, None, NOW, None)
    assert revert(tx, ann, archived) == ChangeResult(1, 1)


def test_undo_skips_expired_retracted_and_replaced_rows(tx: Connection, ann: str) -> None:
    kept, retracted, with_key = *deliver(tx, ann, 2), *deliver(tx, ann, collapse_key="k")
    (expires,) = deliver(tx, ann, expires_at=NOW + 1)
    result = change_up_to(tx, ann, "seen", expires)
    result = change_up_to(tx, ann, "archive", expires)
    removal.expire(tx, ids=[expires], now=NOW + 1)
    removal.retract(tx, ids=[retracted], now=NOW + 1)
    assert revert(tx, ann, result) == ChangeResult(2, 0)
    assert sorted(item.id for item in listing.list_page(tx, user_id=ann).items) == sorted([kept, with_key])
    assert load_state(tx)[expires][-1] == NOW + 1


def test_undo_of_read_skips_expired_rows_and_does_not_count_archived_ones(
    tx: Connection, pending_events: list[outbox.PendingEvent], ann: str
) -> None:
    archived, unseen, seen = deliver(tx, ann, 3)
    (expires,) = deliver(tx, ann, expires_at=NOW + 1)
    change(tx, ann, "archive", archived)
    change(tx, ann, "seen", archived, seen)
    result = change(tx, ann, "read", archived, unseen, seen, expires)
    removal.expire(tx, ids=[expires], now=NOW + 1)
    before = len(decode_events(pending_events))
    revert(tx, ann, result)
    assert decode_events(pending_events)[before:] == [
        {"ids": [unseen], "state": "unread", "seen": False, "unread": 1, "unseen": 1},
        {"ids": [seen, archived], "state": "unread", "unread": 2, "unseen": 1},
    ]
    assert load_state(tx)[expires] == (NOW, NOW, None, NOW + 1)


def test_step_repeats_rows_that_were_reverted_since_the_previous_step(
    tx: Connection, pending_events: list[outbox.PendingEvent], ann: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MAX_STEP_ROWS", 2)
    ids = deliver(tx, ann, 4)
    change(tx, ann, "archive", ids[0])
    first_step = changes.change_up_to(tx, user_id=ann, verb="archive", before=ids[3], now=NOW)
    change(tx, ann, "unarchive", *ids[:2])
    assert first_step.remaining is not None
    result = run_remaining(
        tx, changes.continue_change(tx, remaining=first_step.remaining, now=NOW), changes.continue_change
    )
    assert (listing.list_page(tx, user_id=ann).items, result.unread) == ([], 0)
    assert decode_events(pending_events)[-1] == {
        "all": True,
        "before": ids[3],
        "state": "archived",
        "unread": 0,
        "unseen": 0,
    }
    assert revert(tx, ann, result).unread == 4


def test_undo_may_be_repeated_for_30_seconds_by_its_user_only(tx: Connection, ann: str) -> None:
    bob = users.create(tx, email=None, password_hash=None, name="Bob", role="client", now=NOW).id
    (one,) = deliver(tx, ann)
    result = change(tx, ann, "read", one)
    assert revert(tx, ann, result, now=NOW + 29_999) == ChangeResult(1, 1)
    assert revert(tx, ann, result, now=NOW + 29_999) == ChangeResult(1, 1)
    with pytest.raises(NotFound):
        revert(tx, ann, result, now=NOW + 30_000)
    with pytest.raises(NotFound):
        revert(tx, bob, result)


def test_change_without_effect_publishes_nothing_and_has_no_undo(
    tx: Connection, pending_events: list[outbox.PendingEvent], ann: str
) -> None:
    (one,) = deliver(tx, ann)
    change(tx, ann, "read", one)
    before = len(pending_events)
    assert change(tx, ann, "read", one) == ChangeResult(0, 0, None)
    assert change_up_to(tx, ann, "read", one) == ChangeResult(0, 0, None)
    assert change_up_to(tx, ann, "unarchive", one) == ChangeResult(0, 0, None)
    assert change(tx, ann, "seen", one) == ChangeResult(0, 0)
    assert (len(pending_events), len(tx.execute(select(inbox_undos.c.id)).all())) == (before, 1)


def test_change_does_not_affect_rows_of_other_users(tx: Connection, ann: str) -> None:
    bob = users.create(tx, email=None, password_hash=None, name="Bob", role="client", now=NOW).id
    theirs, mine = *deliver(tx, ann), *deliver(tx, bob)
    before = load_state(tx)[theirs]
    assert change(tx, bob, "read", theirs) == ChangeResult(1, 1, None)
    change_up_to(tx, bob, "read", theirs)
    change_up_to(tx, bob, "read", mine)
    assert load_state(tx)[theirs] == before


def test_change_up_to_a_removed_row_ends_at_its_former_position(tx: Connection, ann: str) -> None:
    _, two, three = deliver(tx, ann, 3)
    removal.retract(tx, ids=[two], now=NOW)
    assert change_up_to(tx, ann, "read", two).unread == 1
    assert load_state(tx)[three][1] is None
    assert change_up_to(tx, ann, "read", "00000000-0000-7000-8000-000000000000").unread == 1
    with pytest.raises(InvalidField):
        change_up_to(tx, ann, "read", "zzz")


def test_event_of_a_change_by_range_has_no_ids(
    tx: Connection, pending_events: list[outbox.PendingEvent], ann: str
) -> None:
    ids = deliver(tx, ann, 50)
    change_up_to(tx, ann, "read", ids[39])
    assert decode_events(pending_events) == [
        {"all": True, "before": ids[39], "state": "read", "unread": 10, "unseen": 10}
    ]


def test_retracted_notification_leaves_counts_list_and_log(
    tx: Connection, pending_events: list[outbox.PendingEvent], ann: str
) -> None:
    one, two = deliver(tx, ann, 2)
    change(tx, ann, "seen", one)
    assert removal.retract(tx, ids=[one, one, "unknown"], now=NOW).retracted == 1
    assert decode_events(pending_events)[-1] == {"ids": [one], "state": "retracted", "unread": 1, "unseen": 1}
    assert [item.id for item in listing.list_page(tx, user_id=ann).items] == [two]
    events: outbox.PendingEvents = tx.info["outbox"]
    assert one not in {event.subject for _, event in events.to_publish()}


def test_expired_notification_is_removed_once(
    tx: Connection, pending_events: list[outbox.PendingEvent], ann: str
) -> None:
    (one,) = deliver(tx, ann, expires_at=NOW + 10)
    assert removal.find_expired(tx, now=NOW + 9, limit=10) == []
    assert removal.find_expired(tx, now=NOW + 10, limit=10) == [one]
    for _ in range(2):
        removal.expire(tx, ids=[one], now=NOW + 10)
    assert decode_events(pending_events) == [{"ids": [one], "state": "retracted", "unread": 0, "unseen": 0}]
    assert removal.find_expired(tx, now=NOW + 10, limit=10) == []
    assert [listing.list_page(tx, user_id=ann, filter=name).items for name in ("all", "unread", "archived")] == [
        [],
        [],
        [],
    ]
    assert change(tx, ann, "archive", one) == ChangeResult(0, 0, None)
