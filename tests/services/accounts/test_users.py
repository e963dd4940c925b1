"""User accounts: creation, changes, lookup and access."""

import msgspec
import pytest
from sqlalchemy import Connection, select

from services.accounts import account_access, sessions, users
from services.accounts.schemas import Me
from services.accounts.users import UserRef
from services.database.outbox import PendingEvent
from services.errors import Conflict, InvalidField, NotFound, Unauthenticated
from services.schemas import Role
from services.tables import inboxes

NOW = 1_700_000_000_000


def create_user(tx: Connection, email: str | None = "ada@example.org", role: Role = "client") -> Me:
    return users.create(tx, email=email, password_hash="h1", name="Ada", role=role, skills=["sql", "sql"], now=NOW)


def published(events: list[PendingEvent]) -> list[tuple[str, str, dict[str, str]]]:
    return [(event.channel, event.type, msgspec.json.decode(event.data)) for event in events]


def test_user_is_found_by_email_in_upper_or_lower_case(tx: Connection) -> None:
    created = create_user(tx, "Ada@Example.org")
    assert created == Me(
        id=created.id,
        email="ada@example.org",
        name="Ada",
        role="client",
        skills=["sql"],
        created_at="2023-11-14T22:13:20.000Z",
    )
    account = users.find_by_email(tx, email="ADA@example.ORG")
    assert account is not None
    assert users.to_schema(account.user) == created
    assert account == users.find_by_id(tx, user_id=created.id)
    assert users.find_by_email(tx, email="bob@example.org") is None


def test_list_users_returns_pages_oldest_first(tx: Connection) -> None:
    created = [create_user(tx, f"{n}@example.org").id for n in range(3)]
    users.upsert_external(tx, external_id="crm/7", name="Grace", now=NOW)
    first = users.list_users(tx, after="", limit=2)
    rest = users.list_users(tx, after=first[-1].id, limit=3)
    assert [user.id for user in first + rest][:3] == created
    assert (len(rest), rest[-1].external_id, rest[-1].email, rest[-1].disabled_at) == (2, "crm/7", None, None)


def test_new_user_has_an_empty_inbox(tx: Connection) -> None:
    created = create_user(tx)
    assert tx.execute(select(inboxes)).all() == [(created.id, 0, 0, 0)]


def test_skills_are_normalized_and_deduplicated(tx: Connection) -> None:
    created = users.create(
        tx, email=None, password_hash=None, name="Ada", role="freelancer", skills=["Cafe\u0301", "Café"], now=NOW
    )
    assert created.skills == ["Café"]
    assert users.update_profile(tx, user_id=created.id, skills=["E\u0301tude", "sql"], now=NOW).skills == [
        "Étude",
        "sql",
    ]
    with pytest.raises(InvalidField) as caught:
        users.update_profile(tx, user_id=created.id, skills=["\u0958" * 40], now=NOW)
    assert caught.value.details == {"pointer": "/skills/0", "reason": "length"}


def test_email_of_another_user_is_rejected(tx: Connection) -> None:
    create_user(tx)
    with pytest.raises(Conflict):
        create_user(tx, "ADA@example.org")


INVALID_EMAILS = [
    *("", "ada", "ada@", "@example.org", "a b@example.org", "ada@ex ample.org", "ada@-x.org", "ada@x..org"),
    *("a@b@c.d", "ada@example.org\n", "ädä@example.org", "ada\0@example.org", "<ada@example.org>"),
    "a" * 65 + "@example.org",
]


@pytest.mark.parametrize("email", INVALID_EMAILS, ids=ascii)
def test_invalid_email_is_rejected(tx: Connection, email: str) -> None:
    with pytest.raises(InvalidField) as caught:
        create_user(tx, email)
    assert caught.value.details == {"pointer": "/email", "reason": "type"}


def test_email_has_at_most_254_characters(tx: Connection) -> None:
    domain = ".".join(["d" * 60] * 3)
    assert create_user(tx, f"{'a' * 60}@{domain}.example").email
    with pytest.raises(InvalidField) as caught:
        create_user(tx, f"{'a' * 64}@{domain}.example")
    assert caught.value.details["reason"] == "length"


def test_update_profile_publishes_a_control_event(tx: Connection, pending_events: list[PendingEvent]) -> None:
    created = create_user(tx)
    changed = users.update_profile(tx, user_id=created.id, name="Ada L", now=NOW)
    assert changed == msgspec.structs.replace(created, name="Ada L")
    assert users.update_profile(tx, user_id=created.id, skills=["css"], now=NOW).skills == ["css"]
    assert published(pending_events) == [("control", "user_changed", {"userId": created.id})] * 2


def test_update_profile_publishes_nothing_when_nothing_changes(
    tx: Connection, pending_events: list[PendingEvent]
) -> None:
    created = create_user(tx)
    assert users.update_profile(tx, user_id=created.id, name="Ada", skills=["sql"], now=NOW) == created
    assert pending_events == []


def test_upsert_external_creates_once_and_then_updates(tx: Connection, pending_events: list[PendingEvent]) -> None:
    first = users.upsert_external(tx, external_id="crm|7", name="Grace", now=NOW)
    assert (first.role, first.email) == ("client", None)
    updated = users.upsert_external(
        tx, external_id="crm|7", name="Grace H", role="freelancer", email="Grace@example.org", now=NOW + 1
    )
    assert updated == msgspec.structs.replace(first, name="Grace H", role="freelancer", email="grace@example.org")
    unchanged = users.upsert_external(tx, external_id="crm|7", name="Grace H", now=NOW + 2)
    assert unchanged == updated
    # Another role subscribes to other channels.
    assert published(pending_events) == [("control", "user_changed", {"userId": first.id, "streams": "rotate"})]


def test_upsert_external_is_rejected_for_the_email_of_another_user(tx: Connection) -> None:
    create_user(tx)
    users.upsert_external(tx, external_id="7", name="Grace", email="grace@example.org", now=NOW)
    for external_id in ("7", "8"):
        with pytest.raises(Conflict):
            users.upsert_external(tx, external_id=external_id, name="Grace", email="ADA@example.org", now=NOW)


def test_resolve_refs_returns_ids_in_order_for_both_kinds_of_id(tx: Connection) -> None:
    ada, grace = create_user(tx), users.upsert_external(tx, external_id="7", name="Grace", now=NOW)
    refs = [
        UserRef("/a", external_id="7"),
        UserRef("/b", user_id=ada.id),
        UserRef("/c", user_id=grace.id),
        UserRef("/d", ada.id),
    ]
    assert users.resolve_refs(tx, refs=refs) == [grace.id, ada.id, grace.id, ada.id]
    assert users.load_names(tx, ids=[ada.id, grace.id, "?"]) == {ada.id: "Ada", grace.id: "Grace"}


@pytest.mark.parametrize(
    "ref",
    [UserRef("/userIds/1", user_id="7"), UserRef("/userIds/1", external_id="8"), UserRef("/userIds/1")],
    ids=["unknown id", "unknown external id", "no id"],
)
def test_resolve_refs_points_at_the_first_unknown_user(tx: Connection, ref: UserRef) -> None:
    grace = users.upsert_external(tx, external_id="7", name="Grace", now=NOW)
    with pytest.raises(InvalidField) as caught:
        users.resolve_refs(tx, refs=[UserRef("/userIds/0", user_id=grace.id), ref, UserRef("/userIds/2", user_id="?")])
    assert caught.value.details == {"pointer": "/userIds/1", "reason": "unknown user"}


def sign_in(tx: Connection, user: Me) -> str:
    return sessions.create(tx, user_id=user.id, expected_hash="h1", user_agent=None, address=None, now=NOW)


def test_change_password_revokes_all_other_sessions(tx: Connection, pending_events: list[PendingEvent]) -> None:
    ada, bob = create_user(tx), create_user(tx, "bob@example.org")
    current, other, bob_session = sign_in(tx, ada), sign_in(tx, ada), sign_in(tx, bob)
    account_access.change_password(
        tx, user_id=ada.id, expected_hash="h1", password_hash="h2", keep_session_id=current, now=NOW
    )
    assert set(sessions.load_many(tx, ids=[current, other, bob_session])) == {current, bob_session}
    assert published(pending_events) == [
        ("control", "session_revoked", {"sessionId": other, "userId": ada.id, "reason": "revoked"})
    ]


def test_change_password_is_rejected_when_it_was_changed_meanwhile(tx: Connection) -> None:
    ada = create_user(tx)
    with pytest.raises(Unauthenticated):
        account_access.change_password(
            tx, user_id=ada.id, expected_hash="h0", password_hash="h2", keep_session_id=None, now=NOW
        )
    account_access.upgrade_hash(tx, user_id=ada.id, expected_hash="h0", password_hash="h0 at another cost", now=NOW)
    account = users.find_by_id(tx, user_id=ada.id)
    assert account is not None
    assert account.password_hash == "h1"


def test_disable_revokes_sessions_and_prevents_sign_in(tx: Connection, pending_events: list[PendingEvent]) -> None:
    ada = create_user(tx)
    session_id = sign_in(tx, ada)
    account_access.disable(tx, email="ADA@example.org", now=NOW)
    assert sessions.load_many(tx, ids=[session_id]) == {}
    assert users.load_many(tx, ids=[ada.id]) == {}
    assert published(pending_events) == [("control", "user_revoked", {"userId": ada.id, "reason": "revoked"})]
    with pytest.raises(Unauthenticated):
        sign_in(tx, ada)
    account_access.enable(tx, email="ada@example.org", now=NOW)
    assert sessions.load_many(tx, ids=[session_id]) == {}, "revoked sessions stay revoked"
    assert sign_in(tx, ada)


def test_set_password_revokes_all_sessions(tx: Connection, pending_events: list[PendingEvent]) -> None:
    ada = create_user(tx)
    session_id = sign_in(tx, ada)
    account_access.set_password(tx, email="ada@example.org", password_hash="h2", now=NOW)
    assert sessions.load_many(tx, ids=[session_id]) == {}
    assert [type for _, type, _ in published(pending_events)] == ["user_revoked"]


@pytest.mark.parametrize("unit", [account_access.disable, account_access.enable], ids=["disable", "enable"])
def test_disable_and_enable_are_rejected_for_an_unknown_user(tx: Connection, unit: object) -> None:
    assert callable(unit)
    with pytest.raises(NotFound):
        unit(tx, email="nobody@example.org", now=NOW)
