"""Conversations compared with a model: each member's events rebuild the stored state."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Connection, text

from services.accounts import users
from services.database import outbox
from services.database.sqlite import engine
from services.errors import Conflict, DomainError, Forbidden, InvalidField, NotFound
from services.messages import blocks, editing, groups, receipts, sending
from services.messages import notifications as message_notifications
from services.messages.draft import MessageDraft, Recipient
from services.notifications import inbox
from services.schemas import Person
from tests.services.messages.conversation_client import ConversationClient
from tests.services.messages.conversation_model import ModelConversation, ModelMember, ModelMessage

NAMES = ("Ann", "Bob", "Eve", "Joe")
USER = st.integers(0, len(NAMES) - 1)
INDEX = st.integers(0, 5)


class ConversationMachine(RuleBasedStateMachine):
    """Four users with connected clients, and clients that reconnect with an old cursor."""

    def __init__(self, store: Path) -> None:
        super().__init__()
        self.engine = engine.writer_engine(store)
        self.tx = self.engine.connect()
        # Durability is not tested here.
        engine.raw_connection(self.tx).execute("PRAGMA synchronous=OFF")
        self.now = 1_000_000
        self.conversations: dict[str, ModelConversation] = {}
        self.blocked: set[tuple[str, str]] = set()
        # Pairs that were blocked at any time: their read receipts are not published and not compared.
        self.ever_blocked: set[frozenset[str]] = set()

    def teardown(self) -> None:
        self.tx.close()
        self.engine.dispose()

    @initialize()
    def begin(self) -> None:
        with self.tx.begin():
            outbox.begin(self.tx)
            fields: dict[str, Any] = {"email": None, "password_hash": None, "role": "client", "now": self.now}
            self.users = [Person(users.create(self.tx, name=name, **fields).id, name) for name in NAMES]
        with self.tx.begin():
            self.clients = {each.id: ConversationClient.fetch(self.tx, each.id) for each in self.users}
            self.reconnecting = {each.id: ConversationClient.fetch(self.tx, each.id) for each in self.users}

    def commit(self, *units: Callable[[Connection], Any]) -> list[Any]:
        """Commit units of work as one batch and pass its events to the clients."""
        transaction = self.tx.begin()
        try:
            outbox.begin(self.tx)
            results = [unit(self.tx) for unit in units]
            events = self.published = outbox.assign_positions(self.tx)
        except DomainError:
            transaction.rollback()
            raise
        transaction.commit()
        for event in events:
            if event.type in ("message", "message_state"):
                self.clients[event.channel.removeprefix("user:")].apply(event)
        self.now += 7_000
        return results

    def run_unit(self, unit: Callable[..., Any], error: type[DomainError] | None, **arguments: Any) -> Any:
        """Run a unit of work, or check that it raises `error`."""
        if error is None:
            return self.commit(lambda tx: unit(tx, now=self.now, **arguments))[0]
        with pytest.raises(error):
            self.commit(lambda tx: unit(tx, now=self.now, **arguments))
        return None

    def pick(self, index: int, kind: str | None = None) -> str | None:
        ids = [id for id, conversation in self.conversations.items() if kind in (None, conversation.kind)]
        return ids[index % len(ids)] if ids else None

    def are_blocked(self, user_id: str, other_id: str) -> bool:
        return (user_id, other_id) in self.blocked or (other_id, user_id) in self.blocked

    @rule(user_index=USER, other_index=USER, client_message_id=st.sampled_from([None, "a", "b"]))
    def send_to_user(self, user_index: int, other_index: int, client_message_id: str | None) -> None:
        me, other = self.users[user_index], self.users[other_index]
        conversation = next(
            (c for c in self.conversations.values() if c.kind == "direct" and {me.id, other.id} == set(c.members)), None
        )
        self.send(
            me,
            Recipient(recipient_id=other.id),
            conversation,
            client_message_id,
            None,
            InvalidField if user_index == other_index else None,
        )

    @rule(user_index=USER, index=INDEX, client_message_id=st.sampled_from([None, "a"]), reply=st.none() | INDEX)
    def send_to_conversation(
        self, user_index: int, index: int, client_message_id: str | None, reply: int | None
    ) -> None:
        me, id = self.users[user_index], self.pick(index)
        if id is not None:
            outside = NotFound if me.id not in self.conversations[id].members else None
            self.send(me, Recipient(conversation_id=id), self.conversations[id], client_message_id, reply, outside)

    def send(
        self,
        me: Person,
        recipient: Recipient,
        conversation: ModelConversation | None,
        client_message_id: str | None,
        reply: int | None,
        error: type[DomainError] | None,
    ) -> None:
        duplicate = (
            None
            if conversation is None or client_message_id is None
            else next(
                (
                    each
                    for each in conversation.messages
                    if (each.sender, each.client_message_id) == (me.id, client_message_id)
                ),
                None,
            )
        )
        quoted = (
            conversation.messages[reply % len(conversation.messages)]
            if conversation and conversation.messages and reply is not None
            else None
        )
        draft = MessageDraft(
            content=f"at {self.now}", client_message_id=client_message_id, reply_to=quoted.id if quoted else None
        )
        if error is None and duplicate is None:
            if conversation is not None and conversation.kind == "direct":
                others = [each for each in conversation.members if each != me.id]
            else:
                others = [recipient.recipient_id] if recipient.recipient_id else []
            if any(self.are_blocked(me.id, each) for each in others):
                error = Forbidden
            elif quoted and conversation and conversation.messages.index(quoted) < conversation.members[me.id].first:
                error = InvalidField
        sent = self.run_unit(sending.send, error, sender=me, recipient=recipient, draft=draft)
        if sent is None:
            return
        assert sent.created == (duplicate is None)
        if duplicate is not None:
            assert sent.message.id == duplicate.id
            return
        if conversation is None:
            user_ids = (me.id, str(recipient.recipient_id))
            conversation = ModelConversation("direct", me.id, members={user_id: ModelMember() for user_id in user_ids})
            self.conversations[sent.message.conversation_id] = conversation
        conversation.messages.append(
            ModelMessage(sent.message.id, me.id, draft.content, client_message_id, reply_to=draft.reply_to)
        )
        conversation.members[me.id].read = len(conversation.messages)

    @rule(user_index=USER, others=st.sets(USER, max_size=3), title=st.sampled_from([None, "Team"]))
    def create_group(self, user_index: int, others: set[int], title: str | None) -> None:
        me, ids = self.users[user_index].id, [self.users[each].id for each in sorted(others)]
        other_ids = [id for id in ids if id != me]
        error: type[DomainError] | None = None if other_ids else InvalidField
        if any(self.are_blocked(me, id) for id in other_ids):
            error = Forbidden
        created = self.run_unit(groups.create, error, creator_id=me, member_ids=ids, title=title)
        if created is not None:
            self.conversations[created.id] = ModelConversation(
                "group", me, title, members={id: ModelMember() for id in [me, *other_ids]}
            )

    def creator_error(self, conversation: ModelConversation, user_id: str) -> type[DomainError] | None:
        if user_id not in conversation.members:
            return NotFound
        if conversation.kind != "group":
            return Conflict
        return None if conversation.creator == user_id else Forbidden

    @rule(user_index=USER, index=INDEX, other_index=USER, history=st.booleans())
    def add_member(self, user_index: int, index: int, other_index: int, history: bool) -> None:
        id = self.pick(index)
        if id is None:
            return
        conversation, me, other = self.conversations[id], self.users[user_index].id, self.users[other_index].id
        error = self.creator_error(conversation, me)
        if error is None and other not in conversation.members and self.are_blocked(me, other):
            error = Forbidden
        result = self.run_unit(
            groups.add_members, error, conversation_id=id, actor_id=me, user_ids=[other], history=history
        )
        if result is not None and other not in conversation.members:
            count = len(conversation.messages)
            conversation.members[other] = ModelMember(0, count) if history else ModelMember(count, 0)

    @rule(user_index=USER, index=INDEX, other_index=USER)
    def remove_member(self, user_index: int, index: int, other_index: int) -> None:
        id = self.pick(index)
        if id is None:
            return
        conversation, me, other = self.conversations[id], self.users[user_index].id, self.users[other_index].id
        error: type[DomainError] | None = NotFound if me not in conversation.members else None
        if error is None:
            error = (
                Conflict
                if conversation.kind == "direct"
                else None
                if me == other
                else self.creator_error(conversation, me)
            )
            if error is None and other not in conversation.members:
                error = NotFound
        self.run_unit(groups.remove_member, error, conversation_id=id, actor_id=me, user_id=other)
        if error is None:
            del conversation.members[other]
            self.check_redacted(id, other)
            if conversation.creator == other and conversation.members:
                with self.tx.begin():
                    conversation.creator = self.tx.execute(
                        text("SELECT creator_id FROM conversations WHERE id = :id"), {"id": id}
                    ).scalar_one()
                assert conversation.creator in conversation.members

    @rule(user_index=USER, index=INDEX, other_index=USER)
    def send_and_remove_in_one_batch(self, user_index: int, index: int, other_index: int) -> None:
        """The removed member receives no event of a message that was sent in the same batch."""
        id = self.pick(index, "group")
        if id is None:
            return
        conversation, me, other = self.conversations[id], self.users[user_index], self.users[other_index].id
        if conversation.creator != me.id or other not in conversation.members or other == me.id:
            return
        draft = MessageDraft(content=f"at {self.now}")
        sent, _ = self.commit(
            lambda tx: sending.send(tx, sender=me, recipient=Recipient(conversation_id=id), draft=draft, now=self.now),
            lambda tx: groups.remove_member(tx, conversation_id=id, actor_id=me.id, user_id=other, now=self.now),
        )
        conversation.messages.append(ModelMessage(sent.message.id, me.id, draft.content, None))
        conversation.members[me.id].read = len(conversation.messages)
        del conversation.members[other]
        self.check_redacted(id, other)

    def check_redacted(self, id: str, user_id: str) -> None:
        """The removed user gets the removal as the last event, and the log keeps no other event of the conversation."""
        events = [event for event in self.published if event.channel == f"user:{user_id}" and id.encode() in event.data]
        assert [event.type for event in events][-1:] == ["message_state"]
        assert all(
            b'"removed":["%b"]' % user_id.encode() in e.data for e in events if not e.type.startswith("notification")
        )
        with self.tx.begin():
            logged = outbox.read_after(self.tx, channels=[f"user:{user_id}"], position=0, limit=1_000).events
        remaining = [e for e in logged if id.encode() in e.data and e.type != "notification_state"]
        assert [(e.type, e.position) for e in remaining] == [("message_state", events[-1].position)]

    @rule(user_index=USER, index=INDEX, offset=INDEX)
    def mark_read(self, user_index: int, index: int, offset: int) -> None:
        id = self.pick(index)
        if id is None or not self.conversations[id].messages:
            return
        conversation, me = self.conversations[id], self.users[user_index].id
        position = max(0, len(conversation.messages) - 1 - offset)
        error = (
            NotFound
            if me not in conversation.members
            else InvalidField
            if position < conversation.members[me].first
            else None
        )
        result = self.run_unit(
            receipts.mark_read, error, conversation_id=id, user_id=me, up_to=conversation.messages[position].id
        )
        if result is not None:
            conversation.members[me].read = max(conversation.members[me].read, position + 1)
            assert result.unread == conversation.unread(me)
            assert result.unread_total == self.total(me)

    def change_message(
        self, user_index: int, index: int, offset: int, unit: Callable[..., Any], **changes: Any
    ) -> ModelMessage | None:
        id = self.pick(index)
        if id is None or not self.conversations[id].messages:
            return None
        conversation, me = self.conversations[id], self.users[user_index].id
        position = max(0, len(conversation.messages) - 1 - offset)
        message = conversation.messages[position]
        error: type[DomainError] | None = None
        if me not in conversation.members or position < conversation.members[me].first:
            error = NotFound
        elif message.sender != me:
            error = Forbidden
        elif message.deleted and changes:
            error = Conflict
        elif changes and conversation.kind == "direct" and self.are_blocked(*conversation.members):
            error = Forbidden
        self.run_unit(unit, error, message_id=message.id, user_id=me, **changes)
        return message if error is None else None

    @rule(user_index=USER, index=INDEX, offset=INDEX)
    def edit(self, user_index: int, index: int, offset: int) -> None:
        content = f"instead at {self.now}"
        if message := self.change_message(user_index, index, offset, editing.edit, content=content):
            message.content, message.edited = content, True

    @rule(user_index=USER, index=INDEX, offset=INDEX)
    def delete(self, user_index: int, index: int, offset: int) -> None:
        if message := self.change_message(user_index, index, offset, editing.delete_message):
            message.deleted = True
            with self.tx.begin():
                parameters = {"pattern": f"%{message.content}%"}
                in_log = "SELECT count(*) FROM events WHERE CAST(data AS TEXT) LIKE :pattern"
                assert self.tx.execute(text(in_log), parameters).scalar_one() == 0
                in_inbox = "SELECT count(*) FROM notifications WHERE body LIKE :pattern"
                assert self.tx.execute(text(in_inbox), parameters).scalar_one() == 0

    @rule(user_index=USER, index=INDEX, muted=st.booleans(), title=st.sampled_from([None, "New"]), rename=st.booleans())
    def update_settings(self, user_index: int, index: int, muted: bool, title: str | None, rename: bool) -> None:
        id = self.pick(index)
        if id is None:
            return
        conversation, me = self.conversations[id], self.users[user_index].id
        error = (NotFound if me not in conversation.members else None) or (
            self.creator_error(conversation, me) if rename else None
        )
        result = self.run_unit(
            groups.update_group, error, conversation_id=id, user_id=me, rename=rename, title=title, muted=muted
        )
        if result is not None:
            conversation.members[me].muted = muted
            conversation.title = title if rename else conversation.title

    @rule(user_index=USER, other_index=USER, on=st.booleans())
    def block(self, user_index: int, other_index: int, on: bool) -> None:
        me, other = self.users[user_index].id, self.users[other_index].id
        if me != other:
            self.run_unit(blocks.block if on else blocks.unblock, None, user_id=me, other_id=other)
            self.blocked = self.blocked | {(me, other)} if on else self.blocked - {(me, other)}
            self.ever_blocked |= {frozenset((me, other))} if on else set()

    @rule(user_index=USER)
    def deliver(self, user_index: int) -> None:
        me = self.users[user_index].id
        positions = {me: self.clients[me].position + 10_000}
        self.run_unit(receipts.mark_delivered, None, positions=positions)
        with self.tx.begin():
            assert receipts.find_undelivered(self.tx, positions=positions) == []

    @rule()
    def let_notifications_become_due(self) -> None:
        self.now += message_notifications.ACTIVE_MS
        with self.tx.begin():
            found = message_notifications.find_due(self.tx, now=self.now, limit=10)
        self.run_unit(message_notifications.notify_due, None, found=found)

    @rule(user_index=USER)
    def disconnect(self, user_index: int) -> None:
        """Fetch now; the client reconnects with this cursor at the end of every later step."""
        with self.tx.begin():
            self.reconnecting[self.users[user_index].id] = ConversationClient.fetch(self.tx, self.users[user_index].id)

    def total(self, user_id: str) -> int:
        return sum(
            conversation.unread(user_id)
            for conversation in self.conversations.values()
            if user_id in conversation.members and not conversation.members[user_id].muted
        )

    @invariant()
    def check_all_members(self) -> None:
        if not hasattr(self, "clients"):
            return
        with self.tx.begin():
            for person in self.users:
                self.check_member(person.id)

    def check_member(self, me: str) -> None:
        own_conversations = {
            id: conversation for id, conversation in self.conversations.items() if me in conversation.members
        }
        blocked_ids = {
            id
            for id, c in own_conversations.items()
            if c.kind == "direct" and frozenset(c.members) in self.ever_blocked
        }
        model = _without_hidden_receipts(
            {id: conversation.state(me) for id, conversation in own_conversations.items()},
            self.total(me),
            me,
            blocked_ids,
        )
        assert _without_hidden_receipts(*ConversationClient.fetch(self.tx, me).state(), me, blocked_ids) == model
        self.clients[me].fetch_unknown(self.tx)
        assert _without_hidden_receipts(*self.clients[me].state(), me, blocked_ids) == model
        reconnecting = self.reconnecting[me]
        missed = outbox.read_after(self.tx, channels=[f"user:{me}"], position=reconnecting.position, limit=1_000)
        for event in missed.events:
            if event.type in ("message", "message_state"):
                reconnecting.apply(event)
        reconnecting.position = missed.next_position
        reconnecting.fetch_unknown(self.tx)
        state, unread = _without_hidden_receipts(*reconnecting.state(), me, blocked_ids)
        # A reconnecting client receives a deleted message where it was deleted, so only the order may differ.
        assert (_sort_messages(state), unread) == (_sort_messages(model[0]), model[1])
        self.check_notifications(me, own_conversations)

    def check_notifications(self, me: str, own_conversations: dict[str, ModelConversation]) -> None:
        """There is at most one notification for a conversation, and none for a read one."""
        query = text("SELECT collapse_key FROM notifications WHERE user_id = :me")
        keys = self.tx.execute(query, {"me": me}).scalars().all()
        unread = {
            message_notifications.collapse_key(id)
            for id, conversation in own_conversations.items()
            if conversation.unread(me)
        }
        assert len(keys) == len(set(keys))
        assert set(keys) <= unread
        assert inbox.load_counts(self.tx, ids=[me]).get(me, (0, 0))[0] == len(keys)


def _without_hidden_receipts(
    state: dict[str, Any], unread: int, me: str, blocked_ids: set[str]
) -> tuple[dict[str, Any], int]:
    """Remove the read receipts of other users in conversations that were blocked."""
    own_receipts = {
        id: conversation
        | {"members": {user_id: read for user_id, read in conversation["members"].items() if user_id == me}}
        for id, conversation in state.items()
        if id in blocked_ids
    }
    return state | own_receipts, unread


def _sort_messages(state: dict[str, Any]) -> dict[str, Any]:
    return {id: conversation | {"messages": sorted(conversation["messages"])} for id, conversation in state.items()}


def test_state_rebuilt_from_events_equals_the_stored_state(template: Path, tmp_path: Path, deep: bool) -> None:
    created = 0

    def create_machine() -> ConversationMachine:
        nonlocal created
        created += 1
        return ConversationMachine(Path(shutil.copy(template, tmp_path / f"{created}.db")))

    run_state_machine_as_test(
        create_machine,  # type: ignore[arg-type]  # a factory is called like a class
        settings=settings(
            max_examples=30 if deep else 20,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
