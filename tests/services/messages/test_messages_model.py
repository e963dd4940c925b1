"""A model of conversations: whatever is done, what each member's pages rebuild from events is what there is."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
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
from tests.services.messages.conversation_client import Page

NAMES = ("Ann", "Bob", "Eve", "Joe")
WHO = st.integers(0, len(NAMES) - 1)
PLACE = st.integers(0, 5)


@dataclass
class Said:
    id: str
    sender: str
    content: str
    mark: str | None
    edited: bool = False
    deleted: bool = False
    reply_to: str | None = None


@dataclass
class Standing:
    first: int = 0  # the first message that may be seen
    read: int = 0  # so many were read
    muted: bool = False


@dataclass
class Talk:
    kind: str
    maker: str
    title: str | None = None
    said: list[Said] = field(default_factory=list)
    members: dict[str, Standing] = field(default_factory=dict)

    def unread(self, who: str) -> int:
        standing = self.members[who]
        unread = self.said[max(standing.first, standing.read) :]
        return sum(each.sender != who and not each.deleted for each in unread)

    def shown(self, who: str) -> dict[str, Any]:
        return {
            "title": self.title,
            "unread": self.unread(who),
            "muted": self.members[who].muted,
            "members": {
                user_id: self.said[standing.read - 1].id if standing.read else None
                for user_id, standing in self.members.items()
            },
            "messages": [
                (
                    each.id,
                    {
                        "sender": each.sender,
                        "content": "" if each.deleted else each.content,
                        "replyTo": each.reply_to,
                        "edited": each.edited,
                        "deleted": each.deleted,
                    },
                )
                for each in self.said[self.members[who].first :]
            ],
        }


class Talks(RuleBasedStateMachine):
    """Four users, what they say to each other, the pages that hear everything and those that were away."""

    def __init__(self, store: Path) -> None:
        super().__init__()
        self.engine = engine.writer_engine(store)
        self.tx = self.engine.connect()
        self.now = 1_000_000
        self.talks: dict[str, Talk] = {}
        self.blocked: set[tuple[str, str]] = set()
        # Two who were ever apart: how far the one has read is then not told to the other, and not compared.
        self.ever_apart: set[frozenset[str]] = set()

    def teardown(self) -> None:
        self.tx.close()
        self.engine.dispose()

    @initialize()
    def begin(self) -> None:
        with self.tx.begin():
            outbox.begin(self.tx)
            make: dict[str, Any] = {"email": None, "password_hash": None, "role": "client", "now": self.now}
            self.people = [Person(users.create(self.tx, name=name, **make).id, name) for name in NAMES]
        with self.tx.begin():
            self.pages = {each.id: Page.fetch(self.tx, each.id) for each in self.people}
            self.returning = {each.id: Page.fetch(self.tx, each.id) for each in self.people}

    def do(self, *units: Callable[[Connection], Any]) -> list[Any]:
        """Commit some units of work as one batch, and let the pages hear of it."""
        transaction = self.tx.begin()
        try:
            outbox.begin(self.tx)
            answers = [unit(self.tx) for unit in units]
            events = self.told = outbox.assign_positions(self.tx)
        except DomainError:
            transaction.rollback()
            raise
        transaction.commit()
        for event in events:
            if event.type in ("message", "message_state"):
                self.pages[event.channel.removeprefix("user:")].apply(event)
        self.now += 7_000
        return answers

    def act(self, unit: Callable[..., Any], refused: type[DomainError] | None, **arguments: Any) -> Any:
        """Do it, or see it refused as the model says."""
        if refused is None:
            return self.do(lambda tx: unit(tx, now=self.now, **arguments))[0]
        with pytest.raises(refused):
            self.do(lambda tx: unit(tx, now=self.now, **arguments))
        return None

    def some(self, place: int, kind: str | None = None) -> str | None:
        ids = [id for id, talk in self.talks.items() if kind in (None, talk.kind)]
        return ids[place % len(ids)] if ids else None

    def are_apart(self, one: str, other: str) -> bool:
        return (one, other) in self.blocked or (other, one) in self.blocked

    @rule(who=WHO, whom=WHO, mark=st.sampled_from([None, "a", "b"]))
    def write_to(self, who: int, whom: int, mark: str | None) -> None:
        me, other = self.people[who], self.people[whom]
        talk = next(
            (t for t in self.talks.values() if t.kind == "direct" and {me.id, other.id} == set(t.members)), None
        )
        self.say(me, Recipient(recipient_id=other.id), talk, mark, None, InvalidField if who == whom else None)

    @rule(who=WHO, place=PLACE, mark=st.sampled_from([None, "a"]), reply=st.none() | PLACE)
    def write_in(self, who: int, place: int, mark: str | None, reply: int | None) -> None:
        me, id = self.people[who], self.some(place)
        if id is not None:
            outside = NotFound if me.id not in self.talks[id].members else None
            self.say(me, Recipient(conversation_id=id), self.talks[id], mark, reply, outside)

    def say(
        self,
        me: Person,
        to: Recipient,
        talk: Talk | None,
        mark: str | None,
        reply: int | None,
        refused: type[DomainError] | None,
    ) -> None:
        before = (
            None
            if talk is None or mark is None
            else next((each for each in talk.said if (each.sender, each.mark) == (me.id, mark)), None)
        )
        answered = talk.said[reply % len(talk.said)] if talk and talk.said and reply is not None else None
        words = MessageDraft(
            content=f"at {self.now}", client_message_id=mark, reply_to=answered.id if answered else None
        )
        if refused is None and before is None:
            if talk is not None and talk.kind == "direct":
                others = [each for each in talk.members if each != me.id]
            else:
                others = [to.recipient_id] if to.recipient_id else []
            if any(self.are_apart(me.id, each) for each in others):
                refused = Forbidden
            elif answered and talk and talk.said.index(answered) < talk.members[me.id].first:
                refused = InvalidField
        sent = self.act(sending.send, refused, sender=me, to=to, words=words)
        if sent is None:
            return
        assert sent.new == (before is None)
        if before is not None:
            assert sent.message.id == before.id
            return
        if talk is None:
            pair = (me.id, str(to.recipient_id))
            talk = Talk("direct", me.id, members={each: Standing() for each in pair})
            self.talks[sent.message.conversation_id] = talk
        talk.said.append(Said(sent.message.id, me.id, words.content, mark, reply_to=words.reply_to))
        talk.members[me.id].read = len(talk.said)

    @rule(who=WHO, others=st.sets(WHO, max_size=3), title=st.sampled_from([None, "Team"]))
    def make_group(self, who: int, others: set[int], title: str | None) -> None:
        me, ids = self.people[who].id, [self.people[each].id for each in sorted(others)]
        with_me = [id for id in ids if id != me]
        refused: type[DomainError] | None = None if with_me else InvalidField
        if any(self.are_apart(me, id) for id in with_me):
            refused = Forbidden
        made = self.act(groups.create, refused, maker_id=me, member_ids=ids, title=title)
        if made is not None:
            self.talks[made.id] = Talk("group", me, title, members={id: Standing() for id in [me, *with_me]})

    def as_maker(self, talk: Talk, who: str) -> type[DomainError] | None:
        if who not in talk.members:
            return NotFound
        if talk.kind != "group":
            return Conflict
        return None if talk.maker == who else Forbidden

    @rule(who=WHO, place=PLACE, whom=WHO, history=st.booleans())
    def add(self, who: int, place: int, whom: int, history: bool) -> None:
        id = self.some(place)
        if id is None:
            return
        talk, me, other = self.talks[id], self.people[who].id, self.people[whom].id
        refused = self.as_maker(talk, me)
        if refused is None and other not in talk.members and self.are_apart(me, other):
            refused = Forbidden
        done = self.act(groups.add_members, refused, conversation_id=id, by=me, user_ids=[other], history=history)
        if done is not None and other not in talk.members:
            said = len(talk.said)
            talk.members[other] = Standing(0, said) if history else Standing(said, 0)

    @rule(who=WHO, place=PLACE, whom=WHO)
    def take_out(self, who: int, place: int, whom: int) -> None:
        id = self.some(place)
        if id is None:
            return
        talk, me, other = self.talks[id], self.people[who].id, self.people[whom].id
        refused: type[DomainError] | None = NotFound if me not in talk.members else None
        if refused is None:
            refused = Conflict if talk.kind == "direct" else None if me == other else self.as_maker(talk, me)
            if refused is None and other not in talk.members:
                refused = NotFound
        self.act(groups.remove_member, refused, conversation_id=id, by=me, user_id=other)
        if refused is None:
            del talk.members[other]
            self.lost_all(id, other)
            if talk.maker == other and talk.members:
                with self.tx.begin():
                    talk.maker = self.tx.execute(
                        text("SELECT maker_id FROM conversations WHERE id = :id"), {"id": id}
                    ).scalar_one()
                assert talk.maker in talk.members

    @rule(who=WHO, place=PLACE, whom=WHO)
    def send_and_take_out_at_once(self, who: int, place: int, whom: int) -> None:
        """In one batch: what was going to be told to who is removed is not."""
        id = self.some(place, "group")
        if id is None:
            return
        talk, me, other = self.talks[id], self.people[who], self.people[whom].id
        if talk.maker != me.id or other not in talk.members or other == me.id:
            return
        words = MessageDraft(content=f"at {self.now}")
        sent, _ = self.do(
            lambda tx: sending.send(tx, sender=me, to=Recipient(conversation_id=id), words=words, now=self.now),
            lambda tx: groups.remove_member(tx, conversation_id=id, by=me.id, user_id=other, now=self.now),
        )
        talk.said.append(Said(sent.message.id, me.id, words.content, None))
        talk.members[me.id].read = len(talk.said)
        del talk.members[other]
        self.lost_all(id, other)

    def lost_all(self, id: str, who: str) -> None:
        """Of this conversation, who was removed is told that, and nothing of it is left to be replayed to them."""
        told = [event for event in self.told if event.channel == f"user:{who}" and id.encode() in event.data]
        assert [event.type for event in told][-1:] == ["message_state"]
        assert all(b'"removed":["%b"]' % who.encode() in e.data for e in told if not e.type.startswith("notification"))
        with self.tx.begin():
            left = outbox.read_after(self.tx, channels=[f"user:{who}"], position=0, limit=1_000).events
        about = [e for e in left if id.encode() in e.data and e.type != "notification_state"]
        assert [(e.type, e.position) for e in about] == [("message_state", told[-1].position)]

    @rule(who=WHO, place=PLACE, back=PLACE)
    def read(self, who: int, place: int, back: int) -> None:
        id = self.some(place)
        if id is None or not self.talks[id].said:
            return
        talk, me = self.talks[id], self.people[who].id
        at = max(0, len(talk.said) - 1 - back)
        refused = NotFound if me not in talk.members else InvalidField if at < talk.members[me].first else None
        done = self.act(receipts.mark_read, refused, conversation_id=id, user_id=me, up_to=talk.said[at].id)
        if done is not None:
            talk.members[me].read = max(talk.members[me].read, at + 1)
            assert done.unread == talk.unread(me)
            assert done.unread_total == self.total(me)

    def change(self, who: int, place: int, back: int, unit: Callable[..., Any], **more: Any) -> Said | None:
        id = self.some(place)
        if id is None or not self.talks[id].said:
            return None
        talk, me = self.talks[id], self.people[who].id
        at = max(0, len(talk.said) - 1 - back)
        said = talk.said[at]
        refused: type[DomainError] | None = None
        if me not in talk.members or at < talk.members[me].first:
            refused = NotFound
        elif said.sender != me:
            refused = Forbidden
        elif said.deleted and more:
            refused = Conflict
        elif more and talk.kind == "direct" and self.are_apart(*talk.members):
            refused = Forbidden
        self.act(unit, refused, message_id=said.id, user_id=me, **more)
        return said if refused is None else None

    @rule(who=WHO, place=PLACE, back=PLACE)
    def edit(self, who: int, place: int, back: int) -> None:
        words = f"instead at {self.now}"
        if said := self.change(who, place, back, editing.edit, content=words):
            said.content, said.edited = words, True

    @rule(who=WHO, place=PLACE, back=PLACE)
    def delete(self, who: int, place: int, back: int) -> None:
        if said := self.change(who, place, back, editing.delete_message):
            said.deleted = True
            with self.tx.begin():
                asked = {"words": f"%{said.content}%"}
                left = "SELECT count(*) FROM events WHERE CAST(data AS TEXT) LIKE :words"
                assert self.tx.execute(text(left), asked).scalar_one() == 0
                kept = "SELECT count(*) FROM notifications WHERE body LIKE :words"
                assert self.tx.execute(text(kept), asked).scalar_one() == 0

    @rule(who=WHO, place=PLACE, muted=st.booleans(), title=st.sampled_from([None, "New"]), rename=st.booleans())
    def settle(self, who: int, place: int, muted: bool, title: str | None, rename: bool) -> None:
        id = self.some(place)
        if id is None:
            return
        talk, me = self.talks[id], self.people[who].id
        refused = (NotFound if me not in talk.members else None) or (self.as_maker(talk, me) if rename else None)
        done = self.act(
            groups.update_group, refused, conversation_id=id, user_id=me, rename=rename, title=title, muted=muted
        )
        if done is not None:
            talk.members[me].muted = muted
            talk.title = title if rename else talk.title

    @rule(who=WHO, whom=WHO, on=st.booleans())
    def block(self, who: int, whom: int, on: bool) -> None:
        me, other = self.people[who].id, self.people[whom].id
        if me != other:
            self.act(blocks.block if on else blocks.unblock, None, user_id=me, other_id=other)
            self.blocked = self.blocked | {(me, other)} if on else self.blocked - {(me, other)}
            self.ever_apart |= {frozenset((me, other))} if on else set()

    @rule(who=WHO)
    def deliver(self, who: int) -> None:
        me = self.people[who].id
        reports = {me: self.pages[me].position + 10_000}
        self.act(receipts.mark_delivered, None, reports=reports)
        with self.tx.begin():
            assert receipts.find_undelivered(self.tx, reports=reports) == []

    @rule()
    def stop_looking(self) -> None:
        self.now += message_notifications.ACTIVE_MS
        with self.tx.begin():
            found = message_notifications.find_due(self.tx, now=self.now, limit=10)
        self.act(message_notifications.notify_due, None, found=found)

    @rule(who=WHO)
    def leave(self, who: int) -> None:
        """A page that fetches now, and comes back with its cursor at the end of every later step."""
        with self.tx.begin():
            self.returning[self.people[who].id] = Page.fetch(self.tx, self.people[who].id)

    def total(self, who: str) -> int:
        return sum(
            talk.unread(who) for talk in self.talks.values() if who in talk.members and not talk.members[who].muted
        )

    @invariant()
    def everything_agrees(self) -> None:
        if not hasattr(self, "pages"):
            return
        with self.tx.begin():
            for person in self.people:
                self.agrees_for(person.id)

    def agrees_for(self, me: str) -> None:
        mine = {id: talk for id, talk in self.talks.items() if me in talk.members}
        apart = {id for id, t in mine.items() if t.kind == "direct" and frozenset(t.members) in self.ever_apart}
        model = _compared({id: talk.shown(me) for id, talk in mine.items()}, self.total(me), me, apart)
        assert _compared(*Page.fetch(self.tx, me).state(), me, apart) == model
        self.pages[me].settle(self.tx)
        assert _compared(*self.pages[me].state(), me, apart) == model
        away = self.returning[me]
        missed = outbox.read_after(self.tx, channels=[f"user:{me}"], position=away.position, limit=1_000)
        for event in missed.events:
            if event.type in ("message", "message_state"):
                away.apply(event)
        away.position = missed.next_position
        away.settle(self.tx)
        shown, unread = _compared(*away.state(), me, apart)
        # Who comes back hears of a deleted message where it was deleted, so its place may differ; all else may not.
        assert (_sorted(shown), unread) == (_sorted(model[0]), model[1])
        self.notified(me, mine)

    def notified(self, me: str, mine: dict[str, Talk]) -> None:
        """One row a conversation at most, and none for what has been read."""
        keyed = text("SELECT collapse_key FROM notifications WHERE user_id = :me")
        keys = self.tx.execute(keyed, {"me": me}).scalars().all()
        unread = {message_notifications.collapse_key(id) for id, talk in mine.items() if talk.unread(me)}
        assert len(keys) == len(set(keys))
        assert set(keys) <= unread
        assert inbox.counts_of(self.tx, ids=[me]).get(me, (0, 0))[0] == len(keys)


def _compared(shown: dict[str, Any], unread: int, me: str, apart: set[str]) -> tuple[dict[str, Any], int]:
    """Without how far the other one has read, where the two were apart."""
    kept = {
        id: talk | {"members": {user_id: read for user_id, read in talk["members"].items() if user_id == me}}
        for id, talk in shown.items()
        if id in apart
    }
    return shown | kept, unread


def _sorted(shown: dict[str, Any]) -> dict[str, Any]:
    return {id: talk | {"messages": sorted(talk["messages"])} for id, talk in shown.items()}


def test_what_each_member_rebuilds_from_events_is_what_there_is(template: Path, tmp_path: Path) -> None:
    made = 0

    def fresh() -> Talks:
        nonlocal made
        made += 1
        return Talks(Path(shutil.copy(template, tmp_path / f"{made}.db")))

    run_state_machine_as_test(
        fresh,  # type: ignore[arg-type]  # it calls it
        settings=settings(
            max_examples=30, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
