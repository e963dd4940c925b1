"""A model of the inbox: whatever is done, counts, lists and events agree, for those who listen and who return."""

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
from services.accounts.users import UserRef
from services.database import outbox
from services.database.sqlite import engine
from services.notifications import changes as notification_changes
from services.notifications import inbox as notification_inbox
from services.notifications import listing, removal
from services.notifications import undo as notification_undo
from services.notifications.change_rules import Verb
from services.notifications.change_steps import ChangeResult, Remaining, StepResult
from services.notifications.draft import Action, NotificationDraft
from tests.services.notifications.inbox_client import Client

KEYS = st.sampled_from([None, "a", "b"])
VERBS = st.sampled_from(["read", "unread", "seen", "archive", "unarchive"])
PLACES = st.lists(st.integers(0, 7), min_size=1, max_size=3)


class Inbox(RuleBasedStateMachine):
    """One user's inbox, a page that hears everything, and pages that were away."""

    def __init__(self, store: Path) -> None:
        super().__init__()
        self.engine = engine.writer_engine(store)
        self.tx = self.engine.connect()
        self.now = 1_000_000
        self.undos: list[tuple[str, int]] = []
        self.rests: list[Remaining] = []
        self.ids: list[str] = []

    def teardown(self) -> None:
        self.tx.close()
        self.engine.dispose()

    def do(self, unit: Callable[..., Any], **arguments: Any) -> Any:
        """Commit one unit of work, and let the page hear of it."""
        with self.tx.begin():
            outbox.begin(self.tx)
            answer = unit(self.tx, now=self.now, **arguments)
            events = outbox.assign_positions(self.tx)
        for event in events:
            if event.channel == f"user:{self.user_id}":
                self.page.apply(event)
                assert (self.page.unread, self.page.unseen) == self.page.recounted()
        self.now += 1
        return answer

    def read(self, query: Callable[..., Any], **arguments: Any) -> Any:
        with self.tx.begin():
            return query(self.tx, **arguments)

    def steps(self, step: StepResult, go_on: Callable[..., StepResult]) -> ChangeResult:
        while step.rest is not None:
            step = self.do(go_on, rest=step.rest)
        return step.changes

    def remember(self, changes: ChangeResult) -> None:
        assert (changes.unread, changes.unseen) == (self.page.unread, self.page.unseen)
        if isinstance(changes.undo, str):
            self.undos.append((changes.undo, self.now))

    def some(self, places: list[int]) -> list[str]:
        return [self.ids[-1 - place] for place in places if place < len(self.ids)] or ["nobody's"]

    @initialize()
    def begin(self) -> None:
        with self.tx.begin():
            outbox.begin(self.tx)
            make: dict[str, Any] = {"email": None, "password_hash": None, "role": "client", "now": self.now}
            self.user_id = users.create(self.tx, name="Ann", **make).id
            self.other_id = users.create(self.tx, name="Bob", **make).id
        with self.tx.begin():
            self.page = Client.fetch(self.tx, self.user_id)
            self.returning = [Client.fetch(self.tx, self.user_id)]

    @rule(key=KEYS, expires=st.booleans(), many=st.integers(1, 3))
    def send(self, key: str | None, expires: bool, many: int) -> None:
        letter = NotificationDraft(
            type="note",
            category="system",
            title=f"at {self.now}",
            body="b",
            collapse_key=key,
            expires_at=self.now + 20 if expires else None,
            actions=[Action(id="yes", label="Yes"), Action(id="no", label="No")],
        )
        mail = [(self.user_id, letter), (self.other_id, letter)] * many
        self.ids += self.do(notification_inbox.deliver, items=mail)[::2]

    @rule(verb=VERBS, places=PLACES)
    def change(self, verb: Verb, places: list[int]) -> None:
        self.remember(self.do(notification_changes.change_ids, user_id=self.user_id, verb=verb, ids=self.some(places)))

    @rule(verb=VERBS, place=st.integers(0, 7))
    def change_all(self, verb: Verb, place: int) -> None:
        if place < len(self.ids):
            before = self.ids[-1 - place]
            step = self.do(notification_changes.change_up_to, user_id=self.user_id, verb=verb, before=before)
            self.remember(self.steps(step, notification_changes.continue_change))

    @rule(verb=VERBS, place=st.integers(0, 3))
    def begin_change(self, verb: Verb, place: int) -> None:
        """The rest is done later, after other things have happened."""
        if place < len(self.ids):
            step = self.do(
                notification_changes.change_up_to, user_id=self.user_id, verb=verb, before=self.ids[-1 - place]
            )
            self.rests += [step.rest] if step.rest else []

    @rule()
    def go_on(self) -> None:
        if self.rests:
            step = self.do(notification_changes.continue_change, rest=self.rests.pop())
            self.rests += [step.rest] if step.rest else []

    @rule(which=st.integers(0, 3))
    def undo(self, which: int) -> None:
        in_time = [id for id, at in self.undos if self.now < at + notification_undo.UNDO_MS]
        if which < len(in_time):
            step = self.do(notification_undo.undo, user_id=self.user_id, undo=in_time[-1 - which])
            changes = self.steps(step, notification_undo.continue_undo)
            assert (changes.unread, changes.unseen) == (self.page.unread, self.page.unseen)

    @rule(places=PLACES)
    def retract(self, places: list[int]) -> None:
        self.do(removal.retract, ids=self.some(places))

    @rule(key=st.sampled_from(["a", "b"]))
    def retract_key(self, key: str) -> None:
        self.do(removal.retract_by_key, user=UserRef("/userId", self.user_id), collapse_key=key)

    @rule(later=st.integers(0, 25))
    def expire(self, later: int) -> None:
        self.now += later
        self.do(removal.expire, ids=self.read(removal.find_expired, now=self.now, limit=2))

    @rule()
    def purge(self) -> None:
        self.do(removal.purge, ids=self.read(removal.find_old, before=self.now - 10, limit=1))

    @rule(place=st.integers(0, 3), action=st.sampled_from(["yes", "no"]))
    def act(self, place: int, action: str) -> None:
        shown = [item["id"] for item in self.page.items.values()]
        if place < len(shown):
            self.do(listing.record_action, user_id=self.user_id, notification_id=shown[place], action_id=action)

    @rule()
    def leave(self) -> None:
        """A page that fetches now, and comes back with its cursor at the end of some later step."""
        with self.tx.begin():
            self.returning.append(Client.fetch(self.tx, self.user_id))

    @invariant()
    def everything_agrees(self) -> None:
        if not hasattr(self, "page"):
            return
        with self.tx.begin():
            fetched = Client.fetch(self.tx, self.user_id)
            assert (fetched.unread, fetched.unseen) == _recount(self.tx, self.user_id) == fetched.recounted()
            assert _recount(self.tx, self.other_id) == tuple(
                notification_inbox.counts_of(self.tx, ids=[self.other_id]).get(self.other_id, (0, 0))
            )
            assert (self.page.items, self.page.unread, self.page.unseen) == _state(fetched)
            page = self.returning[-1]
            missed = outbox.read_after(self.tx, channels=[f"user:{self.user_id}"], position=page.position, limit=1_000)
        for event in missed.events:
            page.apply(event)
        page.position = missed.next_position
        assert _state(page) == _state(fetched)


def _state(page: Client) -> tuple[Any, ...]:
    return page.items, page.unread, page.unseen


def _recount(tx: Connection, user_id: str) -> tuple[int, int]:
    counted = text(
        "SELECT coalesce(sum(read_at IS NULL), 0), coalesce(sum(seen_at IS NULL), 0) FROM notifications"
        " WHERE user_id = :who AND archived_at IS NULL AND expired_at IS NULL"
    )
    unread, unseen = tx.execute(counted, {"who": user_id}).one()
    return unread, unseen


def test_counts_lists_and_events_agree_whatever_is_done(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notification_changes, "STEP_ROWS", 2)
    monkeypatch.setattr(notification_undo, "IDS_AT_ONCE", 2)
    made = 0

    def fresh() -> Inbox:
        nonlocal made
        made += 1
        return Inbox(Path(shutil.copy(template, tmp_path / f"{made}.db")))

    run_state_machine_as_test(
        fresh,  # type: ignore[arg-type]  # it calls it
        settings=settings(
            max_examples=50, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
