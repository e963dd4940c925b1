"""Messages: notifications, receipts, groups, blocks and events of conversations."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, select

from services import tables
from services.accounts import users
from services.database import outbox
from services.errors import Forbidden, InvalidField
from services.messages import blocks, conversations, editing, history, notifications, receipts, sending
from services.messages import groups as message_groups
from services.messages.draft import MessageDraft, Recipient
from services.messages.membership import MAX_MEMBERS
from services.messages.notifications import ACTIVE_MS
from services.messages.receipts import MAX_CHECKED_CONVERSATIONS
from services.messages.schemas import Message
from services.notifications import changes, listing
from services.schemas import Person

NOW = 1_000_000


def create_user(tx: Connection, name: str = "Ann") -> Person:
    created = users.create(tx, email=None, password_hash=None, name=name, role="client", now=NOW)
    return Person(created.id, name)


def send(tx: Connection, sender: Person, to: Person | str, content: str = "Hello", now: int = NOW) -> Message:
    recipient = Recipient(conversation_id=to) if isinstance(to, str) else Recipient(recipient_id=to.id)
    return sending.send(tx, sender=sender, recipient=recipient, draft=MessageDraft(content=content), now=now).message


def list_notifications(tx: Connection, user: Person) -> list[tuple[str, str, int]]:
    return [(item.title, item.body, item.count) for item in listing.list_page(tx, user_id=user.id).items]


def notify_due(tx: Connection, now: int) -> None:
    notifications.notify_due(tx, found=notifications.find_due(tx, now=now, limit=10), now=now)


def published(events: list[outbox.PendingEvent], user: Person, type: str) -> list[dict[str, Any]]:
    channel = f"user:{user.id}"
    return [msgspec.json.decode(event.data) for event in events if event.channel == channel and event.type == type]


def test_conversation_has_one_notification_with_a_count(tx: Connection) -> None:
    ann, bob, eve = create_user(tx), create_user(tx, "Bob"), create_user(tx, "Eve")
    send(tx, ann, bob, "x" * 200)
    assert list_notifications(tx, bob) == [("New message from Ann", "x" * 139 + "…", 1)]
    send(tx, ann, bob, "two")
    send(tx, eve, bob, "three")
    assert list_notifications(tx, bob) == [("New message from Eve", "three", 1), ("2 new messages from Ann", "two", 2)]
    team = message_groups.create(tx, creator_id=ann.id, member_ids=[bob.id, eve.id], title="Team", now=NOW).id
    send(tx, ann, team)
    send(tx, eve, team, "four", now=NOW + ACTIVE_MS)
    assert list_notifications(tx, bob)[0] == ("2 new messages in Team", "Eve: four", 2)
    assert list_notifications(tx, ann) == [("New message in Team", "Eve: four", 1)]


def test_active_member_is_notified_later_of_unread_messages_only(tx: Connection) -> None:
    ann, bob = create_user(tx), create_user(tx, "Bob")
    conversation_id = send(tx, bob, ann).conversation_id
    last = send(tx, ann, bob, now=NOW + 1_000)
    assert list_notifications(tx, bob) == []
    assert notifications.find_due(tx, now=NOW + ACTIVE_MS, limit=10) == []
    due = notifications.find_due(tx, now=NOW + 1_000 + ACTIVE_MS, limit=10)
    assert due == [(conversation_id, bob.id)]
    receipts.mark_read(tx, conversation_id=conversation_id, user_id=bob.id, up_to=last.id, now=NOW + 2_000)
    assert notifications.find_due(tx, now=NOW + 2 * ACTIVE_MS, limit=10) == []
    notifications.notify_due(tx, found=due, now=NOW + 2 * ACTIVE_MS)
    assert list_notifications(tx, bob) == []
    send(tx, ann, bob, "Still there?", now=NOW + 3_000)
    send(tx, ann, bob, "Bob?", now=NOW + 4_000)
    notifications.notify_due(tx, found=notifications.find_due(tx, now=NOW + 90_000, limit=10), now=NOW + 90_000)
    assert list_notifications(tx, bob) == [("2 new messages from Ann", "Bob?", 1)]
    assert notifications.find_due(tx, now=NOW + 90_000, limit=10) == []


def test_notification_is_due_when_the_clock_was_set_back(tx: Connection) -> None:
    ann, bob = create_user(tx), create_user(tx, "Bob")
    conversation_id = send(tx, bob, ann).conversation_id
    send(tx, ann, bob, now=NOW + 1)
    assert notifications.find_due(tx, now=NOW - 10 * ACTIVE_MS, limit=10) == [(conversation_id, bob.id)]


@pytest.mark.parametrize("deleted", [True, False], ids=["deleted", "edited"])
def test_notification_is_retracted_when_its_message_changes(tx: Connection, deleted: bool) -> None:
    ann, bob = create_user(tx), create_user(tx, "Bob")
    send(tx, ann, bob, "one")
    secret = send(tx, ann, bob, "my password")
    if deleted:
        editing.delete_message(tx, message_id=secret.id, user_id=ann.id, now=NOW)
    else:
        editing.edit(tx, message_id=secret.id, user_id=ann.id, content="nothing", now=NOW)
    assert list_notifications(tx, bob) == []
    bodies = tx.execute(select(tables.notifications.c.body)).scalars().all()
    assert bodies == []
    assert conversations.list_conversations(tx, user_id=bob.id).unread == (1 if deleted else 2)
    notify_due(tx, now=NOW)
    expected = ("New message from Ann", "one", 1) if deleted else ("2 new messages from Ann", "nothing", 1)
    assert list_notifications(tx, bob) == [expected], "unread messages are announced again"


@pytest.mark.parametrize("verb", ["read", "archive"])
def test_handled_notification_is_not_repeated_after_an_edit(tx: Connection, verb: Any) -> None:
    ann, bob = create_user(tx), create_user(tx, "Bob")
    sent = send(tx, ann, bob, "one")
    (shown,) = listing.list_page(tx, user_id=bob.id).items
    changes.change_ids(tx, user_id=bob.id, verb=verb, ids=[shown.id], now=NOW)
    editing.edit(tx, message_id=sent.id, user_id=ann.id, content="two", now=NOW)
    notify_due(tx, now=NOW)
    assert (list_notifications(tx, bob), conversations.list_conversations(tx, user_id=bob.id).unread) == ([], 1)


def test_edit_does_not_advance_the_notification_of_an_active_member(tx: Connection) -> None:
    ann, bob = create_user(tx), create_user(tx, "Bob")
    first, shown = send(tx, ann, bob, "one"), send(tx, ann, bob, "two")
    receipts.mark_read(tx, conversation_id=first.conversation_id, user_id=bob.id, up_to=first.id, now=NOW + 1)
    send(tx, ann, bob, "three", now=NOW + 2)
    editing.edit(tx, message_id=shown.id, user_id=ann.id, content="two!", now=NOW + 3)
    assert list_notifications(tx, bob) == []
    assert notifications.find_due(tx, now=NOW + 1 + ACTIVE_MS, limit=10) == []
    notify_due(tx, now=NOW + 2 + ACTIVE_MS)
    assert list_notifications(tx, bob) == [("2 new messages from Ann", "three", 1)]


def test_edit_in_a_muted_conversation_schedules_no_notification(tx: Connection) -> None:
    ann, bob = create_user(tx), create_user(tx, "Bob")
    sent = send(tx, ann, bob, "one")
    message_groups.update_group(
        tx, conversation_id=sent.conversation_id, user_id=bob.id, rename=False, title=None, muted=True, now=NOW
    )
    editing.edit(tx, message_id=sent.id, user_id=ann.id, content="two", now=NOW)
    assert notifications.find_due(tx, now=NOW, limit=10) == []


def test_notification_is_retracted_when_all_unread_are_deleted(tx: Connection) -> None:
    ann, bob = create_user(tx), create_user(tx, "Bob")
    first, second = send(tx, ann, bob, "one"), send(tx, ann, bob, "two")
    editing.delete_message(tx, message_id=first.id, user_id=ann.id, now=NOW)
    assert len(list_notifications(tx, bob)) == 1
    editing.delete_message(tx, message_id=second.id, user_id=ann.id, now=NOW)
    assert (list_notifications(tx, bob), conversations.list_conversations(tx, user_id=bob.id).unread) == ([], 0)


@pytest.mark.parametrize("by_sender", [True, False], ids=["by_sender", "by_recipient"])
def test_block_rejects_edits_of_direct_messages_but_not_deletes(tx: Connection, by_sender: bool) -> None:
    ann, bob = create_user(tx), create_user(tx, "Bob")
    sent = send(tx, ann, bob, "hello")
    team = message_groups.create(tx, creator_id=ann.id, member_ids=[bob.id], title="Team", now=NOW).id
    in_group = send(tx, ann, team, "hello all")
    blocker, blocked = (ann, bob) if by_sender else (bob, ann)
    blocks.block(tx, user_id=blocker.id, other_id=blocked.id, now=NOW)
    with pytest.raises(Forbidden):
        editing.edit(tx, message_id=sent.id, user_id=ann.id, content="I will find you", now=NOW)
    assert history.load_many(tx, ids=[sent.id])[sent.id].content == "hello"
    editing.edit(tx, message_id=in_group.id, user_id=ann.id, content="hello everybody", now=NOW)
    editing.delete_message(tx, message_id=sent.id, user_id=ann.id, now=NOW)
    blocks.unblock(tx, user_id=blocker.id, other_id=blocked.id, now=NOW)
    second = send(tx, ann, bob, "hello")
    assert editing.edit(tx, message_id=second.id, user_id=ann.id, content="hi", now=NOW).content == "hi"


@pytest.mark.parametrize(
    ("other_members", "published_to_all"),
    [(receipts.MAX_NOTIFIED_MEMBERS - 1, True), (receipts.MAX_NOTIFIED_MEMBERS, False)],
    ids=["small", "large"],
)
def test_read_event_goes_to_the_reader_only_when_the_group_is_large(
    tx: Connection, pending_events: list[outbox.PendingEvent], other_members: int, published_to_all: bool
) -> None:
    ann, rest = create_user(tx), [create_user(tx) for _ in range(other_members)]
    team = message_groups.create(tx, creator_id=ann.id, member_ids=[each.id for each in rest], now=NOW).id
    last = send(tx, ann, team)
    pending_events.clear()
    receipts.mark_read(tx, conversation_id=team, user_id=rest[0].id, up_to=last.id, now=NOW)
    assert published(pending_events, rest[0], "message_state")[0]["unread"] == 0
    expected = (
        [{"conversationId": team, "kind": "read", "userId": rest[0].id, "upTo": last.id}] if published_to_all else []
    )
    assert published(pending_events, ann, "message_state") == expected
    shown = conversations.get_conversation(tx, conversation_id=team, user_id=ann.id).members
    assert {member.read_up_to for member in shown if member.id == rest[0].id} == {last.id}


def test_acknowledgement_covers_the_last_active_conversations(tx: Connection) -> None:
    ann, bob = create_user(tx), create_user(tx, "Bob")
    groups = [
        message_groups.create(tx, creator_id=ann.id, member_ids=[bob.id], now=NOW).id
        for _ in range(MAX_CHECKED_CONVERSATIONS + 2)
    ]
    for group in groups:
        send(tx, ann, group)
    positions = {bob.id: 1_000_000}
    assert receipts.find_undelivered(tx, positions=positions) == [bob.id]
    receipts.mark_delivered(tx, positions=positions, now=NOW)
    delivered = select(tables.conversation_members.c.conversation_id).where(
        tables.conversation_members.c.user_id == bob.id, tables.conversation_members.c.delivered_seq > 0
    )
    assert set(tx.execute(delivered).scalars()) == set(groups[2:])
    assert receipts.find_undelivered(tx, positions=positions) == []


def test_group_has_at_most_100_members(tx: Connection) -> None:
    ann, rest = create_user(tx), [create_user(tx).id for _ in range(MAX_MEMBERS)]
    with pytest.raises(InvalidField):
        message_groups.create(tx, creator_id=ann.id, member_ids=rest, now=NOW)
    team = message_groups.create(tx, creator_id=ann.id, member_ids=rest[1:], now=NOW).id
    with pytest.raises(InvalidField):
        message_groups.add_members(tx, conversation_id=team, actor_id=ann.id, user_ids=rest[:1], history=True, now=NOW)
    message_groups.add_members(tx, conversation_id=team, actor_id=ann.id, user_ids=rest[1:], history=True, now=NOW)
    assert len(conversations.get_conversation(tx, conversation_id=team, user_id=ann.id).members) == MAX_MEMBERS


def test_page_of_large_groups_ends_early_and_the_next_continues(
    tx: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations, "MAX_PAGE_MEMBERS", 6)
    ann, *others = [create_user(tx, str(number)) for number in range(8)]
    for size in (3, 3, 7, 2):
        message_groups.create(tx, creator_id=ann.id, member_ids=[each.id for each in others[: size - 1]], now=NOW)
        send(tx, ann, conversations.list_conversations(tx, user_id=ann.id, limit=1).items[0].id)
    pages, after = [], None
    while True:
        page = conversations.list_conversations(tx, user_id=ann.id, limit=100, after=after)
        pages.append([len(each.members) for each in page.items])
        if (after := page.next) is None:
            break
    assert pages == [[2], [7], [3, 3]]
    assert conversations.list_conversations(tx, user_id=others[-1].id).items == []


def test_oldest_member_becomes_creator_when_the_creator_leaves(tx: Connection) -> None:
    ann, bob, eve = create_user(tx), create_user(tx, "Bob"), create_user(tx, "Eve")
    team = message_groups.create(tx, creator_id=ann.id, member_ids=[eve.id], now=NOW).id
    message_groups.add_members(tx, conversation_id=team, actor_id=ann.id, user_ids=[bob.id], history=False, now=NOW + 1)
    message_groups.remove_member(tx, conversation_id=team, actor_id=ann.id, user_id=ann.id, now=NOW + 2)
    with pytest.raises(Forbidden):
        message_groups.update_group(tx, conversation_id=team, user_id=bob.id, rename=True, title="Bob's", now=NOW + 3)
    changed = message_groups.update_group(
        tx, conversation_id=team, user_id=eve.id, rename=True, title="Eve's", now=NOW + 3
    )
    assert changed.title == "Eve's"


def test_message_event_is_the_message_with_unread_counts(
    tx: Connection, pending_events: list[outbox.PendingEvent]
) -> None:
    ann, bob = create_user(tx), create_user(tx, "Bob")
    send(tx, ann, bob)
    sent = send(tx, ann, bob, 'quotes " and \\ and 🎉')
    expected = msgspec.to_builtins(sent)
    assert published(pending_events, bob, "message")[-1] == expected | {"unread": 2, "unreadTotal": 2}
    assert published(pending_events, ann, "message")[-1] == expected | {"unread": 0, "unreadTotal": 0}
    assert {draft.subject for draft in pending_events if draft.type == "message"} >= {sent.id}


def test_message_order_is_the_order_of_their_events(tx: Connection) -> None:
    ann, bob = create_user(tx), create_user(tx, "Bob")
    sent = [send(tx, ann if n % 2 else bob, bob if n % 2 else ann, now=NOW - n) for n in range(6)]
    seqs = {id: seq for id, seq in tx.execute(select(tables.messages.c.id, tables.messages.c.seq))}  # noqa: C416
    events = outbox.assign_positions(tx)
    for message in sent:
        positions = [e.position for e in events if e.type == "message" and message.id.encode() in e.data[:60]]
        assert min(position or 0 for position in positions) == seqs[message.id]
