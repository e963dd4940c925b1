"""Accounts: who may be made, what may be changed, and how others are found."""

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


def make(tx: Connection, email: str | None = "ada@example.org", role: Role = "client") -> Me:
    return users.create(tx, email=email, password_hash="h1", name="Ada", role=role, skills=["sql", "sql"], now=NOW)


def heard(told: list[PendingEvent]) -> list[tuple[str, str, dict[str, str]]]:
    return [(draft.channel, draft.type, msgspec.json.decode(draft.data)) for draft in told]


def test_a_user_is_found_by_their_address_however_it_is_typed(tx: Connection) -> None:
    made = make(tx, "Ada@Example.org")
    assert made == Me(
        id=made.id,
        email="ada@example.org",
        name="Ada",
        role="client",
        skills=["sql"],
        created_at="2023-11-14T22:13:20.000Z",
    )
    account = users.find_by_email(tx, email="ADA@example.ORG")
    assert account is not None
    assert users.to_schema(account.user) == made
    assert account == users.find_by_id(tx, user_id=made.id)
    assert users.find_by_email(tx, email="bob@example.org") is None


def test_users_are_listed_page_by_page_oldest_first(tx: Connection) -> None:
    made = [make(tx, f"{n}@example.org").id for n in range(3)]
    users.upsert_external(tx, external_id="crm/7", name="Grace", now=NOW)
    first = users.list_users(tx, after="", most=2)
    rest = users.list_users(tx, after=first[-1].id, most=3)
    assert [user.id for user in first + rest][:3] == made
    assert (len(rest), rest[-1].external_id, rest[-1].email, rest[-1].disabled_at) == (2, "crm/7", None, None)


def test_a_user_begins_with_an_empty_inbox(tx: Connection) -> None:
    made = make(tx)
    assert tx.execute(select(inboxes)).all() == [(made.id, 0, 0, 0)]


def test_skills_have_one_spelling_however_their_accents_were_typed(tx: Connection) -> None:
    made = users.create(
        tx, email=None, password_hash=None, name="Ada", role="freelancer", skills=["Cafe\u0301", "Café"], now=NOW
    )
    assert made.skills == ["Café"]
    assert users.update_profile(tx, user_id=made.id, skills=["E\u0301tude", "sql"], now=NOW).skills == ["Étude", "sql"]
    with pytest.raises(InvalidField) as refused:
        users.update_profile(tx, user_id=made.id, skills=["\u0958" * 40], now=NOW)
    assert refused.value.details == {"pointer": "/skills/0", "reason": "length"}


def test_an_address_belongs_to_one_user(tx: Connection) -> None:
    make(tx)
    with pytest.raises(Conflict):
        make(tx, "ADA@example.org")


@pytest.mark.parametrize(
    "email",
    [
        *("", "ada", "ada@", "@example.org", "a b@example.org", "ada@ex ample.org", "ada@-x.org", "ada@x..org"),
        *("a@b@c.d", "ada@example.org\n", "ädä@example.org", "ada\0@example.org", "<ada@example.org>"),
        "a" * 65 + "@example.org",
    ],
)
def test_what_is_no_address_is_refused(tx: Connection, email: str) -> None:
    with pytest.raises(InvalidField) as caught:
        make(tx, email)
    assert caught.value.details == {"pointer": "/email", "reason": "type"}


def test_an_address_has_at_most_254_characters(tx: Connection) -> None:
    domain = ".".join(["d" * 60] * 3)
    assert make(tx, f"{'a' * 60}@{domain}.example").email
    with pytest.raises(InvalidField) as caught:
        make(tx, f"{'a' * 64}@{domain}.example")
    assert caught.value.details["reason"] == "length"


def test_a_change_of_oneself_is_heard_by_the_hub_and_nothing_else_changes(
    tx: Connection, told: list[PendingEvent]
) -> None:
    made = make(tx)
    changed = users.update_profile(tx, user_id=made.id, name="Ada L", now=NOW)
    assert changed == msgspec.structs.replace(made, name="Ada L")
    assert users.update_profile(tx, user_id=made.id, skills=["css"], now=NOW).skills == ["css"]
    assert heard(told) == [("control", "user_changed", {"userId": made.id})] * 2


def test_a_change_that_changes_nothing_tells_nobody(tx: Connection, told: list[PendingEvent]) -> None:
    made = make(tx)
    assert users.update_profile(tx, user_id=made.id, name="Ada", skills=["sql"], now=NOW) == made
    assert told == []


def test_another_system_makes_a_user_once_and_brings_them_up_to_date(tx: Connection, told: list[PendingEvent]) -> None:
    first = users.upsert_external(tx, external_id="crm|7", name="Grace", now=NOW)
    assert (first.role, first.email) == ("client", None)
    again = users.upsert_external(
        tx, external_id="crm|7", name="Grace H", role="freelancer", email="Grace@example.org", now=NOW + 1
    )
    assert again == msgspec.structs.replace(first, name="Grace H", role="freelancer", email="grace@example.org")
    kept = users.upsert_external(tx, external_id="crm|7", name="Grace H", now=NOW + 2)
    assert kept == again
    # Another role hears other channels.
    assert heard(told) == [("control", "user_changed", {"userId": first.id, "streams": "rotate"})]


def test_another_system_cannot_take_somebody_elses_address(tx: Connection) -> None:
    make(tx)
    users.upsert_external(tx, external_id="7", name="Grace", email="grace@example.org", now=NOW)
    for external_id in ("7", "8"):
        with pytest.raises(Conflict):
            users.upsert_external(tx, external_id=external_id, name="Grace", email="ADA@example.org", now=NOW)


def test_people_named_by_either_id_are_resolved_in_order(tx: Connection) -> None:
    ada, grace = make(tx), users.upsert_external(tx, external_id="7", name="Grace", now=NOW)
    refs = [
        UserRef("/a", external_id="7"),
        UserRef("/b", user_id=ada.id),
        UserRef("/c", user_id=grace.id),
        UserRef("/d", ada.id),
    ]
    assert users.resolve_refs(tx, refs=refs) == [grace.id, ada.id, grace.id, ada.id]
    assert users.load_names(tx, ids=[ada.id, grace.id, "?"]) == {ada.id: "Ada", grace.id: "Grace"}


@pytest.mark.parametrize(
    "ref", [UserRef("/userIds/1", user_id="7"), UserRef("/userIds/1", external_id="8"), UserRef("/userIds/1")]
)
def test_the_first_who_is_nobody_is_pointed_at(tx: Connection, ref: UserRef) -> None:
    grace = users.upsert_external(tx, external_id="7", name="Grace", now=NOW)
    with pytest.raises(InvalidField) as caught:
        users.resolve_refs(tx, refs=[UserRef("/userIds/0", user_id=grace.id), ref, UserRef("/userIds/2", user_id="?")])
    assert caught.value.details == {"pointer": "/userIds/1", "reason": "unknown user"}


def sign_in(tx: Connection, user: Me) -> str:
    return sessions.create(tx, user_id=user.id, seen_hash="h1", user_agent=None, address=None, now=NOW)


def test_a_changed_password_ends_every_other_login(tx: Connection, told: list[PendingEvent]) -> None:
    ada, bob = make(tx), make(tx, "bob@example.org")
    mine, lost, bobs = sign_in(tx, ada), sign_in(tx, ada), sign_in(tx, bob)
    account_access.change_password(tx, user_id=ada.id, seen_hash="h1", password_hash="h2", keep_login=mine, now=NOW)
    assert set(sessions.load_many(tx, ids=[mine, lost, bobs])) == {mine, bobs}
    assert heard(told) == [("control", "login_ended", {"loginId": lost, "userId": ada.id, "reason": "revoked"})]


def test_a_password_that_was_changed_meanwhile_is_not_changed_again(tx: Connection) -> None:
    ada = make(tx)
    with pytest.raises(Unauthenticated):
        account_access.change_password(tx, user_id=ada.id, seen_hash="h0", password_hash="h2", keep_login=None, now=NOW)
    account_access.upgrade_hash(tx, user_id=ada.id, seen_hash="h0", password_hash="h0 at another cost", now=NOW)
    account = users.find_by_id(tx, user_id=ada.id)
    assert account is not None
    assert account.password_hash == "h1"


def test_a_disabled_user_is_out_at_once_and_nobody_can_sign_in_as_them(
    tx: Connection, told: list[PendingEvent]
) -> None:
    ada = make(tx)
    login = sign_in(tx, ada)
    account_access.disable(tx, email="ADA@example.org", now=NOW)
    assert sessions.load_many(tx, ids=[login]) == {}
    assert users.load_many(tx, ids=[ada.id]) == {}
    assert heard(told) == [("control", "user_ended", {"userId": ada.id, "reason": "revoked"})]
    with pytest.raises(Unauthenticated):
        sign_in(tx, ada)
    account_access.enable(tx, email="ada@example.org", now=NOW)
    assert sessions.load_many(tx, ids=[login]) == {}, "what was ended stays ended"
    assert sign_in(tx, ada)


def test_a_password_set_by_an_operator_ends_all_logins(tx: Connection, told: list[PendingEvent]) -> None:
    ada = make(tx)
    login = sign_in(tx, ada)
    account_access.set_password(tx, email="ada@example.org", password_hash="h2", now=NOW)
    assert sessions.load_many(tx, ids=[login]) == {}
    assert [type for _, type, _ in heard(told)] == ["user_ended"]


@pytest.mark.parametrize("act", [account_access.disable, account_access.enable])
def test_nobody_can_be_disabled_who_is_not_there(tx: Connection, act: object) -> None:
    assert callable(act)
    with pytest.raises(NotFound):
        act(tx, email="nobody@example.org", now=NOW)
