"""A stateful model of the inbox: counts, lists and events agree for connected and returning clients."""

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
from services.notifications import changes, inbox, listing, removal
from services.notifications import undo as undo_service
from services.notifications.change_rules import Verb
from services.notifications.change_steps import ChangeResult, Remaining, StepResult
from services.notifications.draft import Action, NotificationDraft
from tests.services.notifications.inbox_client import InboxClient

KEYS = st.sampled_from([None, "a", "b"])
VERBS = st.sampled_from(["read", "unread", "seen", "archive", "unarchive"])
INDEXES = st.lists(st.integers(0, 7), min_size=1, max_size=3)


class InboxModel(RuleBasedStateMachine):
    """The inbox of a user, a page that receives all events, and pages that reconnect later."""

    def __init__(self, store: Path) -> None:
        super().__init__()
        self.engine = engine.writer_engine(store)
        self.tx = self.engine.connect()
        # Durability is not tested here.
        engine.raw_connection(self.tx).execute("PRAGMA synchronous=OFF")
        self.now = 1_000_000
        self.undos: list[tuple[str, int]] = []
        self.remaining: list[Remaining] = []
        self.ids: list[str] = []

    def teardown(self) -> None:
        self.tx.close()
        self.engine.dispose()

    def do(self, unit: Callable[..., Any], **arguments: Any) -> Any:
        """Commit a unit of work and apply its events to the page."""
        with self.tx.begin():
            outbox.begin(self.tx)
            result = unit(self.tx, now=self.now, **arguments)
            events = outbox.assign_positions(self.tx)
        for event in events:
            if event.channel == f"user:{self.user_id}":
                self.page.apply(event)
                assert (self.page.unread, self.page.unseen) == self.page.recount()
        self.now += 1
        return result

    def read(self, query: Callable[..., Any], **arguments: Any) -> Any:
        with self.tx.begin():
            return query(self.tx, **arguments)

    def run_remaining(self, step: StepResult, continue_step: Callable[..., StepResult]) -> ChangeResult:
        while step.remaining is not None:
            step = self.do(continue_step, remaining=step.remaining)
        return step.result

    def record(self, result: ChangeResult) -> None:
        assert (result.unread, result.unseen) == (self.page.unread, self.page.unseen)
        if isinstance(result.undo, str):
            self.undos.append((result.undo, self.now))

    def newest(self, indexes: list[int]) -> list[str]:
        return [self.ids[-1 - index] for index in indexes if index < len(self.ids)] or ["unknown"]

    @initialize()
    def begin(self) -> None:
        with self.tx.begin():
            outbox.begin(self.tx)
            fields: dict[str, Any] = {"email": None, "password_hash": None, "role": "client", "now": self.now}
            self.user_id = users.create(self.tx, name="Ann", **fields).id
            self.other_id = users.create(self.tx, name="Bob", **fields).id
        with self.tx.begin():
            self.page = InboxClient.fetch(self.tx, self.user_id)
            self.returning_pages = [InboxClient.fetch(self.tx, self.user_id)]

    @rule(key=KEYS, expires=st.booleans(), count=st.integers(1, 3))
    def send(self, key: str | None, expires: bool, count: int) -> None:
        draft = NotificationDraft(
            type="note",
            category="system",
            title=f"at {self.now}",
            body="b",
            collapse_key=key,
            expires_at=self.now + 20 if expires else None,
            actions=[Action(id="yes", label="Yes"), Action(id="no", label="No")],
        )
        items = [(self.user_id, draft), (self.other_id, draft)] * count
        self.ids += self.do(inbox.deliver, items=items)[::2]

    @rule(verb=VERBS, indexes=INDEXES)
    def change(self, verb: Verb, indexes: list[int]) -> None:
        self.record(self.do(changes.change_ids, user_id=self.user_id, verb=verb, ids=self.newest(indexes)))

    @rule(verb=VERBS, index=st.integers(0, 7))
    def change_all(self, verb: Verb, index: int) -> None:
        if index < len(self.ids):
            before = self.ids[-1 - index]
            step = self.do(changes.change_up_to, user_id=self.user_id, verb=verb, before=before)
            self.record(self.run_remaining(step, changes.continue_change))

    @rule(verb=VERBS, index=st.integers(0, 3))
    def begin_change(self, verb: Verb, index: int) -> None:
        """Do the first step only; `continue_change` does the others after other operations."""
        if index < len(self.ids):
            step = self.do(changes.change_up_to, user_id=self.user_id, verb=verb, before=self.ids[-1 - index])
            self.remaining += [step.remaining] if step.remaining else []

    @rule()
    def continue_change(self) -> None:
        if self.remaining:
            step = self.do(changes.continue_change, remaining=self.remaining.pop())
            self.remaining += [step.remaining] if step.remaining else []

    @rule(index=st.integers(0, 3))
    def undo(self, index: int) -> None:
        usable = [id for id, created_at in self.undos if self.now < created_at + undo_service.UNDO_WINDOW_MS]
        if index < len(usable):
            step = self.do(undo_service.undo, user_id=self.user_id, undo_id=usable[-1 - index])
            result = self.run_remaining(step, undo_service.continue_undo)
            assert (result.unread, result.unseen) == (self.page.unread, self.page.unseen)

    @rule(indexes=INDEXES)
    def retract(self, indexes: list[int]) -> None:
        self.do(removal.retract, ids=self.newest(indexes))

    @rule(key=st.sampled_from(["a", "b"]))
    def retract_by_key(self, key: str) -> None:
        self.do(removal.retract_by_key, user=UserRef("/userId", self.user_id), collapse_key=key)

    @rule(later=st.integers(0, 25))
    def expire(self, later: int) -> None:
        self.now += later
        self.do(removal.expire, ids=self.read(removal.find_expired, now=self.now, limit=2))

    @rule()
    def purge(self) -> None:
        self.do(removal.purge, ids=self.read(removal.find_old, before=self.now - 10, limit=1))

    @rule(index=st.integers(0, 3), action=st.sampled_from(["yes", "no"]))
    def record_action(self, index: int, action: str) -> None:
        ids = [item["id"] for item in self.page.items.values()]
        if index < len(ids):
            self.do(listing.record_action, user_id=self.user_id, notification_id=ids[index], action_id=action)

    @rule()
    def disconnect_page(self) -> None:
        """Open a page that receives no events until it reconnects with its cursor after a later step."""
        with self.tx.begin():
            self.returning_pages.append(InboxClient.fetch(self.tx, self.user_id))

    @invariant()
    def counts_lists_and_events_agree(self) -> None:
        if not hasattr(self, "page"):
            return
        with self.tx.begin():
            fetched = InboxClient.fetch(self.tx, self.user_id)
            assert (fetched.unread, fetched.unseen) == _recount(self.tx, self.user_id) == fetched.recount()
            assert _recount(self.tx, self.other_id) == tuple(
                inbox.load_counts(self.tx, ids=[self.other_id]).get(self.other_id, (0, 0))
            )
            assert (self.page.items, self.page.unread, self.page.unseen) == _state(fetched)
            page = self.returning_pages[-1]
            missed = outbox.read_after(self.tx, channels=[f"user:{self.user_id}"], position=page.position, limit=1_000)
        for event in missed.events:
            page.apply(event)
        page.position = missed.next_position
        assert _state(page) == _state(fetched)


def _state(page: InboxClient) -> tuple[Any, ...]:
    return page.items, page.unread, page.unseen


def _recount(tx: Connection, user_id: str) -> tuple[int, int]:
    counted = text(
        "SELECT coalesce(sum(read_at IS NULL), 0), coalesce(sum(seen_at IS NULL), 0) FROM notifications"
        " WHERE user_id = :user_id AND archived_at IS NULL AND expired_at IS NULL"
    )
    unread, unseen = tx.execute(counted, {"user_id": user_id}).one()
    return unread, unseen


def test_inbox_counts_lists_and_events_agree_after_any_operations(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deep: bool
) -> None:
    monkeypatch.setattr(changes, "MAX_STEP_ROWS", 2)
    monkeypatch.setattr(undo_service, "MAX_IDS_PER_EVENT", 2)
    count = 0

    def new_model() -> InboxModel:
        nonlocal count
        count += 1
        return InboxModel(Path(shutil.copy(template, tmp_path / f"{count}.db")))

    run_state_machine_as_test(
        new_model,  # type: ignore[arg-type]  # any callable that returns a machine works
        settings=settings(
            max_examples=50 if deep else 20,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
