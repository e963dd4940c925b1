"""Logins and API keys: rows that live until they are ended, idle or revoked."""

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
from services.times import HOUR

NOW = 1_700_000_000_000


@pytest.fixture
def ada(tx: Connection) -> Me:
    return users.create(tx, email="ada@example.org", password_hash="h1", name="Ada", role="client", now=NOW)


def start(tx: Connection, user: Me, now: int = NOW) -> str:
    return sessions.create(tx, user_id=user.id, seen_hash="h1", user_agent="curl/8" * 100, address="192.0.2.1", now=now)


def test_a_login_names_its_user(tx: Connection, ada: Me) -> None:
    login = start(tx, ada)
    found = sessions.load_many(tx, ids=[login, "?"])
    assert list(found) == [login]
    assert users.to_schema(found[login].user) == ada
    assert found[login].used_at == NOW


def test_nobody_signs_in_with_a_password_that_was_just_changed(tx: Connection, ada: Me) -> None:
    with pytest.raises(Unauthenticated):
        sessions.create(tx, user_id=ada.id, seen_hash="h0", user_agent=None, address=None, now=NOW)


def test_the_list_has_pages_newest_first_and_says_which_login_asks(tx: Connection, ada: Me) -> None:
    made = [start(tx, ada, NOW + n) for n in range(5)]
    first = sessions.list_for_user(tx, user_id=ada.id, current=made[3], after=None, limit=2, now=NOW)
    assert [(login.id, login.current) for login in first.items] == [(made[4], False), (made[3], True)]
    second = sessions.list_for_user(tx, user_id=ada.id, current=None, after=first.next, limit=2, now=NOW)
    last = sessions.list_for_user(tx, user_id=ada.id, current=None, after=second.next, limit=2, now=NOW)
    assert [login.id for login in second.items + last.items] == [made[2], made[1], made[0]]
    assert last.next is None
    assert first.items[0].user_agent == ("curl/8" * 100)[:200]


def test_one_ends_ones_own_login_only_and_only_once(tx: Connection, ada: Me, told: list[PendingEvent]) -> None:
    bob = users.create(tx, email="bob@example.org", password_hash="h1", name="Bob", role="client", now=NOW)
    login = start(tx, ada)
    with pytest.raises(NotFound):
        sessions.revoke(tx, login_id=login, user_id=bob.id, now=NOW)
    sessions.revoke(tx, login_id=login, user_id=ada.id, reason="logout", now=NOW)
    with pytest.raises(NotFound):
        sessions.revoke(tx, login_id=login, user_id=ada.id, now=NOW)
    assert [(draft.channel, draft.type, msgspec.json.decode(draft.data)) for draft in told] == [
        ("control", "login_ended", {"loginId": login, "userId": ada.id, "reason": "logout"})
    ]


def test_a_login_is_used_later_but_never_earlier(tx: Connection, ada: Me) -> None:
    login = start(tx, ada)
    sessions.record_use(tx, ids=[login], now=NOW + HOUR)
    sessions.record_use(tx, ids=[login, "?"], now=NOW)
    assert sessions.load_many(tx, ids=[login])[login].used_at == NOW + HOUR


def test_idle_logins_are_not_listed_and_go_in_steps(tx: Connection, ada: Me) -> None:
    for n in range(3):
        start(tx, ada, NOW + n)
    kept = start(tx, ada, NOW + 10)
    later = NOW + 10 + IDLE_MS
    listed = sessions.list_for_user(tx, user_id=ada.id, current=None, after=None, limit=20, now=later)
    assert [login.id for login in listed.items] == [kept]
    assert [sessions.delete_idle(tx, limit=2, now=later) for _ in range(3)] == [2, 1, 0]
    assert tx.execute(select(table.c.id)).scalars().all() == [kept]


def test_a_user_has_a_bounded_number_of_logins_and_the_least_used_goes(
    tx: Connection, ada: Me, told: list[PendingEvent]
) -> None:
    made = [start(tx, ada, NOW + n) for n in range(MAX_SESSIONS_PER_USER)]
    sessions.record_use(tx, ids=[made[0]], now=NOW + HOUR)
    start(tx, ada, NOW + MAX_SESSIONS_PER_USER)
    assert tx.execute(select(func.count()).select_from(table)).scalar_one() == MAX_SESSIONS_PER_USER
    assert set(sessions.load_many(tx, ids=made[:2])) == {made[0]}
    assert [msgspec.json.decode(draft.data)["loginId"] for draft in told] == [made[1]]


def test_of_a_key_only_the_hash_is_kept(tx: Connection) -> None:
    text = "gw_" + "k" * 43
    made = account_api_keys.create(
        tx, name="billing", scopes=["tickets", "notify", "notify"], hash=account_api_keys.hash_of(text), now=NOW
    )
    assert made.scopes == ["notify", "tickets"]
    assert tx.execute(select(api_keys.c.hash)).scalar_one() == hashlib.sha256(text.encode()).digest()
    assert account_api_keys.load_many(tx, ids=[account_api_keys.hash_of(text).hex(), "00" * 32]) == {
        account_api_keys.hash_of(text).hex(): account_api_keys.Key("billing", frozenset({"notify", "tickets"}))
    }


def test_a_revoked_key_is_found_no_more_and_its_name_is_free_again(tx: Connection, told: list[PendingEvent]) -> None:
    account_api_keys.create(tx, name="billing", scopes=["notify"], hash=b"1" * 32, now=NOW)
    with pytest.raises(Conflict):
        account_api_keys.create(tx, name="billing", scopes=["notify"], hash=b"2" * 32, now=NOW)
    account_api_keys.revoke(tx, name="billing", now=NOW + 1)
    with pytest.raises(NotFound):
        account_api_keys.revoke(tx, name="billing", now=NOW + 2)
    assert account_api_keys.load_many(tx, ids=[(b"1" * 32).hex()]) == {}
    account_api_keys.create(tx, name="billing", scopes=["users"], hash=b"2" * 32, now=NOW + 3)
    assert [(key.name, key.revoked_at) for key in account_api_keys.list_keys(tx)] == [
        ("billing", "2023-11-14T22:13:20.001Z"),
        ("billing", None),
    ]
    assert [(draft.channel, draft.type, draft.data) for draft in told] == [
        ("control", "key_revoked", b'{"name":"billing"}')
    ]


@pytest.mark.parametrize("scopes", [[], ["notify", "everything"]])
def test_a_key_has_scopes_and_only_known_ones(tx: Connection, scopes: list[str]) -> None:
    with pytest.raises(InvalidField):
        account_api_keys.create(tx, name="billing", scopes=scopes, hash=b"1" * 32, now=NOW)
