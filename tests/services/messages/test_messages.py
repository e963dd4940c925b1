"""What is said in conversations: whose notifications come, wait and go, and who hears of what."""

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
from services.messages.receipts import LOOKED_AT
from services.messages.schemas import Message
from services.notifications import changes, listing
from services.schemas import Person

NOW = 1_000_000


def person(tx: Connection, name: str = "Ann") -> Person:
    made = users.create(tx, email=None, password_hash=None, name=name, role="client", now=NOW)
    return Person(made.id, name)


def say(tx: Connection, sender: Person, to: Person | str, content: str = "Hello", now: int = NOW) -> Message:
    place = Recipient(conversation_id=to) if isinstance(to, str) else Recipient(recipient_id=to.id)
    return sending.send(tx, sender=sender, to=place, words=MessageDraft(content=content), now=now).message


def notices(tx: Connection, who: Person) -> list[tuple[str, str, int]]:
    return [(each.title, each.body, each.count) for each in listing.list_page(tx, user_id=who.id).items]


def tell_what_is_due(tx: Connection, now: int) -> None:
    notifications.notify_due(tx, found=notifications.find_due(tx, now=now, limit=10), now=now)


def heard(told: list[outbox.PendingEvent], who: Person, type: str) -> list[dict[str, Any]]:
    return [msgspec.json.decode(d.data) for d in told if d.channel == f"user:{who.id}" and d.type == type]


def test_a_conversation_has_one_notification_that_counts(tx: Connection) -> None:
    ann, bob, eve = person(tx), person(tx, "Bob"), person(tx, "Eve")
    say(tx, ann, bob, "x" * 200)
    assert notices(tx, bob) == [("New message from Ann", "x" * 139 + "…", 1)]
    say(tx, ann, bob, "two")
    say(tx, eve, bob, "three")
    assert notices(tx, bob) == [("New message from Eve", "three", 1), ("2 new messages from Ann", "two", 2)]
    team = message_groups.create(tx, maker_id=ann.id, member_ids=[bob.id, eve.id], title="Team", now=NOW).id
    say(tx, ann, team)
    say(tx, eve, team, "four", now=NOW + ACTIVE_MS)
    assert notices(tx, bob)[0] == ("2 new messages in Team", "Eve: four", 2)
    assert notices(tx, ann) == [("New message in Team", "Eve: four", 1)]


def test_who_looks_is_notified_later_and_only_of_what_they_have_not_read(tx: Connection) -> None:
    ann, bob = person(tx), person(tx, "Bob")
    place = say(tx, bob, ann).conversation_id
    last = say(tx, ann, bob, now=NOW + 1_000)
    assert notices(tx, bob) == []
    assert notifications.find_due(tx, now=NOW + ACTIVE_MS, limit=10) == []
    due = notifications.find_due(tx, now=NOW + 1_000 + ACTIVE_MS, limit=10)
    assert due == [(place, bob.id)]
    receipts.mark_read(tx, conversation_id=place, user_id=bob.id, up_to=last.id, now=NOW + 2_000)
    assert notifications.find_due(tx, now=NOW + 2 * ACTIVE_MS, limit=10) == []
    notifications.notify_due(tx, found=due, now=NOW + 2 * ACTIVE_MS)
    assert notices(tx, bob) == []
    say(tx, ann, bob, "Still there?", now=NOW + 3_000)
    say(tx, ann, bob, "Bob?", now=NOW + 4_000)
    notifications.notify_due(tx, found=notifications.find_due(tx, now=NOW + 90_000, limit=10), now=NOW + 90_000)
    assert notices(tx, bob) == [("2 new messages from Ann", "Bob?", 1)]
    assert notifications.find_due(tx, now=NOW + 90_000, limit=10) == []


def test_a_clock_that_was_set_back_delays_no_notification_for_hours(tx: Connection) -> None:
    ann, bob = person(tx), person(tx, "Bob")
    place = say(tx, bob, ann).conversation_id
    say(tx, ann, bob, now=NOW + 1)
    assert notifications.find_due(tx, now=NOW - 10 * ACTIVE_MS, limit=10) == [(place, bob.id)]


@pytest.mark.parametrize("gone", [True, False])
def test_a_notification_does_not_keep_words_that_were_taken_back(tx: Connection, gone: bool) -> None:
    ann, bob = person(tx), person(tx, "Bob")
    say(tx, ann, bob, "one")
    secret = say(tx, ann, bob, "my password")
    if gone:
        editing.delete_message(tx, message_id=secret.id, user_id=ann.id, now=NOW)
    else:
        editing.edit(tx, message_id=secret.id, user_id=ann.id, content="nothing", now=NOW)
    assert notices(tx, bob) == []
    left = tx.execute(select(tables.notifications.c.body)).scalars().all()
    assert left == []
    assert conversations.list_conversations(tx, user_id=bob.id).unread == (1 if gone else 2)
    tell_what_is_due(tx, now=NOW)
    right = ("New message from Ann", "one", 1) if gone else ("2 new messages from Ann", "nothing", 1)
    assert notices(tx, bob) == [right], "and what is still unread is told"


@pytest.mark.parametrize("verb", ["read", "archive"])
def test_who_has_done_with_a_notification_is_not_told_anew_of_words_that_changed(tx: Connection, verb: Any) -> None:
    ann, bob = person(tx), person(tx, "Bob")
    said = say(tx, ann, bob, "one")
    (shown,) = listing.list_page(tx, user_id=bob.id).items
    changes.change_ids(tx, user_id=bob.id, verb=verb, ids=[shown.id], now=NOW)
    editing.edit(tx, message_id=said.id, user_id=ann.id, content="two", now=NOW)
    tell_what_is_due(tx, now=NOW)
    assert (notices(tx, bob), conversations.list_conversations(tx, user_id=bob.id).unread) == ([], 1)


def test_who_is_looking_is_not_told_sooner_for_an_edit_of_what_their_notification_shows(tx: Connection) -> None:
    ann, bob = person(tx), person(tx, "Bob")
    first, shown = say(tx, ann, bob, "one"), say(tx, ann, bob, "two")
    receipts.mark_read(tx, conversation_id=first.conversation_id, user_id=bob.id, up_to=first.id, now=NOW + 1)
    say(tx, ann, bob, "three", now=NOW + 2)
    editing.edit(tx, message_id=shown.id, user_id=ann.id, content="two!", now=NOW + 3)
    assert notices(tx, bob) == []
    assert notifications.find_due(tx, now=NOW + 1 + ACTIVE_MS, limit=10) == []
    tell_what_is_due(tx, now=NOW + 2 + ACTIVE_MS)
    assert notices(tx, bob) == [("2 new messages from Ann", "three", 1)]


def test_a_muted_conversation_tells_nobody_of_words_that_changed(tx: Connection) -> None:
    ann, bob = person(tx), person(tx, "Bob")
    said = say(tx, ann, bob, "one")
    message_groups.update_group(
        tx, conversation_id=said.conversation_id, user_id=bob.id, rename=False, title=None, muted=True, now=NOW
    )
    editing.edit(tx, message_id=said.id, user_id=ann.id, content="two", now=NOW)
    assert notifications.find_due(tx, now=NOW, limit=10) == []


def test_deleting_all_that_was_unread_takes_the_notification_of_what_was_before(tx: Connection) -> None:
    ann, bob = person(tx), person(tx, "Bob")
    first, second = say(tx, ann, bob, "one"), say(tx, ann, bob, "two")
    editing.delete_message(tx, message_id=first.id, user_id=ann.id, now=NOW)
    assert len(notices(tx, bob)) == 1
    editing.delete_message(tx, message_id=second.id, user_id=ann.id, now=NOW)
    assert (notices(tx, bob), conversations.list_conversations(tx, user_id=bob.id).unread) == ([], 0)


@pytest.mark.parametrize("by_sender", [True, False])
def test_a_block_holds_for_new_words_in_old_messages_and_deleting_stays(tx: Connection, by_sender: bool) -> None:
    ann, bob = person(tx), person(tx, "Bob")
    said = say(tx, ann, bob, "hello")
    team = message_groups.create(tx, maker_id=ann.id, member_ids=[bob.id], title="Team", now=NOW).id
    in_group = say(tx, ann, team, "hello all")
    one, other = (ann, bob) if by_sender else (bob, ann)
    blocks.block(tx, user_id=one.id, other_id=other.id, now=NOW)
    with pytest.raises(Forbidden):
        editing.edit(tx, message_id=said.id, user_id=ann.id, content="I will find you", now=NOW)
    assert history.load_many(tx, ids=[said.id])[said.id].content == "hello"
    editing.edit(tx, message_id=in_group.id, user_id=ann.id, content="hello everybody", now=NOW)
    editing.delete_message(tx, message_id=said.id, user_id=ann.id, now=NOW)
    blocks.unblock(tx, user_id=one.id, other_id=other.id, now=NOW)
    again = say(tx, ann, bob, "hello")
    assert editing.edit(tx, message_id=again.id, user_id=ann.id, content="hi", now=NOW).content == "hi"


@pytest.mark.parametrize(
    ("others", "told_to_all"), [(receipts.MAX_NOTIFIED_MEMBERS - 1, True), (receipts.MAX_NOTIFIED_MEMBERS, False)]
)
def test_in_a_large_group_reading_is_told_to_the_reader_alone(
    tx: Connection, told: list[outbox.PendingEvent], others: int, told_to_all: bool
) -> None:
    ann, rest = person(tx), [person(tx) for _ in range(others)]
    team = message_groups.create(tx, maker_id=ann.id, member_ids=[each.id for each in rest], now=NOW).id
    last = say(tx, ann, team)
    told.clear()
    receipts.mark_read(tx, conversation_id=team, user_id=rest[0].id, up_to=last.id, now=NOW)
    assert heard(told, rest[0], "message_state")[0]["unread"] == 0
    expected = [{"conversationId": team, "kind": "read", "userId": rest[0].id, "upTo": last.id}] if told_to_all else []
    assert heard(told, ann, "message_state") == expected
    shown = conversations.get_conversation(tx, conversation_id=team, user_id=ann.id).members
    assert {member.read_up_to for member in shown if member.id == rest[0].id} == {last.id}


def test_a_report_is_looked_up_in_so_many_conversations_the_last_active_first(tx: Connection) -> None:
    ann, bob = person(tx), person(tx, "Bob")
    groups = [message_groups.create(tx, maker_id=ann.id, member_ids=[bob.id], now=NOW).id for _ in range(LOOKED_AT + 2)]
    for group in groups:
        say(tx, ann, group)
    reports = {bob.id: 1_000_000}
    assert receipts.find_undelivered(tx, reports=reports) == [bob.id]
    receipts.mark_delivered(tx, reports=reports, now=NOW)
    given = select(tables.conversation_members.c.conversation_id).where(
        tables.conversation_members.c.user_id == bob.id, tables.conversation_members.c.delivered_seq > 0
    )
    assert set(tx.execute(given).scalars()) == set(groups[2:])
    assert receipts.find_undelivered(tx, reports=reports) == []


def test_a_group_is_for_a_hundred(tx: Connection) -> None:
    ann, rest = person(tx), [person(tx).id for _ in range(MAX_MEMBERS)]
    with pytest.raises(InvalidField):
        message_groups.create(tx, maker_id=ann.id, member_ids=rest, now=NOW)
    team = message_groups.create(tx, maker_id=ann.id, member_ids=rest[1:], now=NOW).id
    with pytest.raises(InvalidField):
        message_groups.add_members(tx, conversation_id=team, by=ann.id, user_ids=rest[:1], history=True, now=NOW)
    message_groups.add_members(tx, conversation_id=team, by=ann.id, user_ids=rest[1:], history=True, now=NOW)
    assert len(conversations.get_conversation(tx, conversation_id=team, user_id=ann.id).members) == MAX_MEMBERS


def test_a_page_of_large_groups_ends_early_and_the_next_goes_on(
    tx: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations, "PAGE_MEMBERS", 6)
    ann, *others = [person(tx, str(number)) for number in range(8)]
    for size in (3, 3, 7, 2):
        message_groups.create(tx, maker_id=ann.id, member_ids=[each.id for each in others[: size - 1]], now=NOW)
        say(tx, ann, conversations.list_conversations(tx, user_id=ann.id, limit=1).items[0].id)
    pages, after = [], None
    while True:
        page = conversations.list_conversations(tx, user_id=ann.id, limit=100, after=after)
        pages.append([len(each.members) for each in page.items])
        if (after := page.next) is None:
            break
    assert pages == [[2], [7], [3, 3]]
    assert conversations.list_conversations(tx, user_id=others[-1].id).items == []


def test_a_group_whose_maker_leaves_is_that_of_its_oldest_member(tx: Connection) -> None:
    ann, bob, eve = person(tx), person(tx, "Bob"), person(tx, "Eve")
    team = message_groups.create(tx, maker_id=ann.id, member_ids=[eve.id], now=NOW).id
    message_groups.add_members(tx, conversation_id=team, by=ann.id, user_ids=[bob.id], history=False, now=NOW + 1)
    message_groups.remove_member(tx, conversation_id=team, by=ann.id, user_id=ann.id, now=NOW + 2)
    with pytest.raises(Forbidden):
        message_groups.update_group(tx, conversation_id=team, user_id=bob.id, rename=True, title="Bob's", now=NOW + 3)
    changed = message_groups.update_group(
        tx, conversation_id=team, user_id=eve.id, rename=True, title="Eve's", now=NOW + 3
    )
    assert changed.title == "Eve's"


def test_the_message_event_is_the_message_with_the_counts(tx: Connection, told: list[outbox.PendingEvent]) -> None:
    ann, bob = person(tx), person(tx, "Bob")
    say(tx, ann, bob)
    sent = say(tx, ann, bob, 'quotes " and \\ and 🎉')
    shown = msgspec.to_builtins(sent)
    assert heard(told, bob, "message")[-1] == shown | {"unread": 2, "unreadTotal": 2}
    assert heard(told, ann, "message")[-1] == shown | {"unread": 0, "unreadTotal": 0}
    assert {draft.subject for draft in told if draft.type == "message"} >= {sent.id}


def test_the_order_of_messages_is_that_of_their_events(tx: Connection) -> None:
    ann, bob = person(tx), person(tx, "Bob")
    sent = [say(tx, ann if n % 2 else bob, bob if n % 2 else ann, now=NOW - n) for n in range(6)]
    seqs = {id: seq for id, seq in tx.execute(select(tables.messages.c.id, tables.messages.c.seq))}  # noqa: C416
    events = outbox.assign_positions(tx)
    for message in sent:
        own = [e.position for e in events if e.type == "message" and message.id.encode() in e.data[:60]]
        assert min(position or 0 for position in own) == seqs[message.id]
