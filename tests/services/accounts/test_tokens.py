"""Tokens and tickets: signed for one purpose, rotated, and a ticket opens one stream once."""

import base64
import hashlib

import pytest
from itsdangerous import URLSafeTimedSerializer

from services.accounts.tokens import TICKET_SECONDS, Tickets, Tokens
from services.errors import Overloaded, Unauthenticated

OLD, NEW = "o" * 40, "n" * 40


class Clock:
    """Milliseconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000

    def __call__(self) -> int:
        return self.now


def issue(tickets: Tickets) -> str:
    return tickets.issue(user_id="ada", login="l1", service=None, mark=3)


def test_a_token_says_whose_login_it_is() -> None:
    tokens = Tokens([OLD])
    assert tokens.read_session(tokens.sign_session("l1")) == "l1"


def test_the_last_key_signs_and_all_verify() -> None:
    old, both, new = Tokens([OLD]), Tokens([OLD, NEW]), Tokens([NEW])
    assert both.read_session(old.sign_session("l1")) == "l1"
    assert new.read_session(both.sign_session("l1")) == "l1"
    with pytest.raises(Unauthenticated):
        new.read_session(old.sign_session("l1"))


def test_tokens_are_the_librarys_own_of_hmac_and_sha_256() -> None:
    how = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    theirs = URLSafeTimedSerializer([OLD], salt="gigwire.login", signer_kwargs=how)
    assert Tokens([OLD]).read_session(str(theirs.dumps("l1"))) == "l1"
    assert theirs.loads(Tokens([OLD]).sign_session("l1")) == "l1"


def test_every_changed_character_is_noticed() -> None:
    tokens = Tokens([OLD])
    token = tokens.sign_session("l1")
    for place, character in enumerate(token[:-1]):
        changed = token[:place] + ("A" if character != "A" else "B") + token[place + 1 :]
        with pytest.raises(Unauthenticated):
            tokens.read_session(changed)


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "ü.b.c", "x" * 5_000, "l1", "null", "\0", "gw_" + "k" * 43])
def test_what_is_no_token_is_refused(text: str) -> None:
    tokens = Tokens([OLD])
    with pytest.raises(Unauthenticated):
        tokens.read_session(text)
    with pytest.raises(Unauthenticated):
        tokens.read_ticket(text)


def test_no_token_passes_for_another_kind() -> None:
    tokens, clock = Tokens([OLD]), Clock()
    with pytest.raises(Unauthenticated):
        tokens.read_session(issue(Tickets(tokens, clock)))
    with pytest.raises(Unauthenticated):
        Tickets(tokens, clock).redeem(tokens.sign_session("l1"))


def test_a_text_signed_for_another_purpose_is_refused_whatever_it_says() -> None:
    for salt, good in (("gigwire.login", True), ("gigwire.ticket", False), ("itsdangerous", False)):
        how = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        text = str(URLSafeTimedSerializer(OLD, salt=salt, signer_kwargs=how).dumps("l1"))
        if good:
            assert Tokens([OLD]).read_session(text) == "l1"
            continue
        with pytest.raises(Unauthenticated):
            Tokens([OLD]).read_session(text)


def test_signatures_are_not_the_librarys_sha1() -> None:
    token = Tokens([OLD]).sign_session("l1")
    signature = token.rsplit(".", 1)[1]
    assert len(base64.urlsafe_b64decode(signature + "=")) == 32
    weak = URLSafeTimedSerializer(OLD, salt="gigwire.login").dumps("l1")
    with pytest.raises(Unauthenticated):
        Tokens([OLD]).read_session(str(weak))


def test_a_ticket_is_good_once() -> None:
    tickets = Tickets(Tokens([OLD]), Clock())
    text = issue(tickets)
    ticket = tickets.redeem(text)
    assert (ticket.user_id, ticket.login, ticket.service, ticket.mark) == ("ada", "l1", None, 3)
    with pytest.raises(Unauthenticated):
        tickets.redeem(text)
    assert tickets.redeem(issue(tickets))


def test_a_ticket_is_good_for_30_seconds_to_the_millisecond() -> None:
    clock = Clock()
    tickets = Tickets(Tokens([OLD]), clock)
    first, second = issue(tickets), issue(tickets)
    clock.now += TICKET_SECONDS * 1_000 - 1
    assert tickets.redeem(first)
    clock.now += 1
    with pytest.raises(Unauthenticated):
        tickets.redeem(second)


def test_a_ticket_from_before_a_restart_is_refused() -> None:
    tokens, clock = Tokens([OLD]), Clock()
    text = issue(Tickets(tokens, clock))
    with pytest.raises(Unauthenticated):
        Tickets(tokens, clock).redeem(text)


def test_used_tickets_are_remembered_only_as_long_as_they_would_live() -> None:
    clock = Clock()
    tickets = Tickets(Tokens([OLD]), clock, burned=2)
    for _ in range(2):
        tickets.redeem(issue(tickets))
    refused = issue(tickets)
    with pytest.raises(Overloaded):
        tickets.redeem(refused)
    clock.now += TICKET_SECONDS * 1_000
    assert tickets.redeem(issue(tickets))
