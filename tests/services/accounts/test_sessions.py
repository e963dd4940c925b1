"""Sessions and API keys: creation, lists, use, revocation."""

import hashlib

import msgspec
import pytest
from sqlalchemy import Connection, func, select

from services.accounts import api_keys as account_api_keys
from services.accounts import sessions, users
from services.accounts.schemas import Me
from services.accounts.sessions import IDLE_MS, MAX_SESSIONS_PER_USER
from services.database.outbox import PendingEvent
from services.errors import Conflict, InvalidField, NotFound, Unauthenticated
from services.tables import api_keys
from services.tables import sessions as table
from services.times import HOUR_MS

NOW = 1_700_000_000_000


@pytest.fixture
def ada(tx: Connection) -> Me:
    return users.create(tx, email="ada@example.org", password_hash="h1", name="Ada", role="client", now=NOW)


def sign_in(tx: Connection, user: Me, now: int = NOW) -> str:
    return sessions.create(
        tx, user_id=user.id, expected_hash="h1", user_agent="curl/8" * 100, address="192.0.2.1", now=now
    )


def test_session_is_loaded_with_its_user(tx: Connection, ada: Me) -> None:
    session_id = sign_in(tx, ada)
    found = sessions.load_many(tx, ids=[session_id, "?"])
    assert list(found) == [session_id]
    assert users.to_schema(found[session_id].user) == ada
    assert found[session_id].used_at == NOW


def test_create_is_rejected_when_the_password_was_changed(tx: Connection, ada: Me) -> None:
    with pytest.raises(Unauthenticated):
        sessions.create(tx, user_id=ada.id, expected_hash="h0", user_agent=None, address=None, now=NOW)


def test_list_has_pages_newest_first_and_marks_the_current_session(tx: Connection, ada: Me) -> None:
    created = [sign_in(tx, ada, NOW + n) for n in range(5)]
    first = sessions.list_for_user(tx, user_id=ada.id, current=created[3], after=None, limit=2, now=NOW)
    assert [(session.id, session.current) for session in first.items] == [(created[4], False), (created[3], True)]
    second = sessions.list_for_user(tx, user_id=ada.id, current=None, after=first.next, limit=2, now=NOW)
    last = sessions.list_for_user(tx, user_id=ada.id, current=None, after=second.next, limit=2, now=NOW)
    assert [session.id for session in second.items + last.items] == [created[2], created[1], created[0]]
    assert last.next is None
    assert first.items[0].user_agent == ("curl/8" * 100)[:200]


def test_revoke_works_once_and_only_for_the_users_own_session(
    tx: Connection, ada: Me, pending_events: list[PendingEvent]
) -> None:
    bob = users.create(tx, email="bob@example.org", password_hash="h1", name="Bob", role="client", now=NOW)
    session_id = sign_in(tx, ada)
    with pytest.raises(NotFound):
        sessions.revoke(tx, session_id=session_id, user_id=bob.id, now=NOW)
    sessions.revoke(tx, session_id=session_id, user_id=ada.id, reason="logout", now=NOW)
    with pytest.raises(NotFound):
        sessions.revoke(tx, session_id=session_id, user_id=ada.id, now=NOW)
    assert [(event.channel, event.type, msgspec.json.decode(event.data)) for event in pending_events] == [
        ("control", "session_revoked", {"sessionId": session_id, "userId": ada.id, "reason": "logout"})
    ]


def test_record_use_never_moves_used_at_back(tx: Connection, ada: Me) -> None:
    session_id = sign_in(tx, ada)
    sessions.record_use(tx, ids=[session_id], now=NOW + HOUR_MS)
    sessions.record_use(tx, ids=[session_id, "?"], now=NOW)
    assert sessions.load_many(tx, ids=[session_id])[session_id].used_at == NOW + HOUR_MS


def test_idle_sessions_are_not_listed_and_are_deleted_in_steps(tx: Connection, ada: Me) -> None:
    for n in range(3):
        sign_in(tx, ada, NOW + n)
    recent = sign_in(tx, ada, NOW + 10)
    later = NOW + 10 + IDLE_MS
    listed = sessions.list_for_user(tx, user_id=ada.id, current=None, after=None, limit=20, now=later)
    assert [session.id for session in listed.items] == [recent]
    assert [sessions.delete_idle(tx, limit=2, now=later) for _ in range(3)] == [2, 1, 0]
    assert tx.execute(select(table.c.id)).scalars().all() == [recent]


def test_create_revokes_the_least_recently_used_over_the_limit(
    tx: Connection, ada: Me, pending_events: list[PendingEvent]
) -> None:
    created = [sign_in(tx, ada, NOW + n) for n in range(MAX_SESSIONS_PER_USER)]
    sessions.record_use(tx, ids=[created[0]], now=NOW + HOUR_MS)
    sign_in(tx, ada, NOW + MAX_SESSIONS_PER_USER)
    assert tx.execute(select(func.count()).select_from(table)).scalar_one() == MAX_SESSIONS_PER_USER
    assert set(sessions.load_many(tx, ids=created[:2])) == {created[0]}
    assert [msgspec.json.decode(event.data)["sessionId"] for event in pending_events] == [created[1]]


def test_api_key_is_stored_as_a_hash(tx: Connection) -> None:
    key = "gw_" + "k" * 43
    created = account_api_keys.create(
        tx, name="billing", scopes=["tickets", "notify", "notify"], hash=account_api_keys.hash_key(key), now=NOW
    )
    assert created.scopes == ["notify", "tickets"]
    assert tx.execute(select(api_keys.c.hash)).scalar_one() == hashlib.sha256(key.encode()).digest()
    assert account_api_keys.load_many(tx, ids=[account_api_keys.hash_key(key).hex(), "00" * 32]) == {
        account_api_keys.hash_key(key).hex(): account_api_keys.KeyRecord("billing", frozenset({"notify", "tickets"}))
    }


def test_revoked_key_is_not_found_and_its_name_is_free(tx: Connection, pending_events: list[PendingEvent]) -> None:
    account_api_keys.create(tx, name="billing", scopes=["notify"], hash=b"1" * 32, now=NOW)
    with pytest.raises(Conflict):
        account_api_keys.create(tx, name="billing", scopes=["notify"], hash=b"2" * 32, now=NOW)
    account_api_keys.revoke(tx, name="billing", now=NOW + 1)
    with pytest.raises(NotFound):
        account_api_keys.revoke(tx, name="billing", now=NOW + 2)
    assert account_api_keys.load_many(tx, ids=[(b"1" * 32).hex()]) == {}
    account_api_keys.create(tx, name="billing", scopes=["users"], hash=b"2" * 32, now=NOW + 3)
    assert [(api_key.name, api_key.revoked_at) for api_key in account_api_keys.list_keys(tx)] == [
        ("billing", "2023-11-14T22:13:20.001Z"),
        ("billing", None),
    ]
    assert [(event.channel, event.type, event.data) for event in pending_events] == [
        ("control", "key_revoked", b'{"name":"billing"}')
    ]


@pytest.mark.parametrize("scopes", [[], ["notify", "everything"]], ids=["none", "unknown"])
def test_api_key_is_rejected_without_known_scopes(tx: Connection, scopes: list[str]) -> None:
    with pytest.raises(InvalidField):
        account_api_keys.create(tx, name="billing", scopes=scopes, hash=b"1" * 32, now=NOW)
