"""Signed tokens and stream tickets: purposes, key rotation, single use."""

import base64
import hashlib

import pytest
from itsdangerous import URLSafeTimedSerializer

from services.accounts.tokens import TICKET_SECONDS, Tickets, Tokens
from services.errors import Overloaded, Unauthenticated

OLD, NEW = "o" * 40, "n" * 40


class Clock:
    """A clock in milliseconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000

    def __call__(self) -> int:
        return self.now


def issue(tickets: Tickets) -> str:
    return tickets.issue(user_id="ada", session_id="l1", service=None, version=3)


def test_session_token_holds_the_session_id() -> None:
    tokens = Tokens([OLD])
    assert tokens.read_session(tokens.sign_session("l1")) == "l1"


def test_last_key_signs_and_all_keys_verify() -> None:
    old, both, new = Tokens([OLD]), Tokens([OLD, NEW]), Tokens([NEW])
    assert both.read_session(old.sign_session("l1")) == "l1"
    assert new.read_session(both.sign_session("l1")) == "l1"
    with pytest.raises(Unauthenticated):
        new.read_session(old.sign_session("l1"))


def test_tokens_equal_those_of_itsdangerous_with_hmac_sha_256() -> None:
    signer = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    library = URLSafeTimedSerializer([OLD], salt="gigwire.login", signer_kwargs=signer)
    assert Tokens([OLD]).read_session(str(library.dumps("l1"))) == "l1"
    assert library.loads(Tokens([OLD]).sign_session("l1")) == "l1"


def test_token_with_a_changed_character_is_rejected() -> None:
    tokens = Tokens([OLD])
    token = tokens.sign_session("l1")
    for index, character in enumerate(token[:-1]):
        changed = token[:index] + ("A" if character != "A" else "B") + token[index + 1 :]
        with pytest.raises(Unauthenticated):
            tokens.read_session(changed)


INVALID_TOKENS = {
    "empty": "",
    "dot": ".",
    "two dots": "..",
    "three parts": "a.b.c",
    "not ASCII": "ü.b.c",
    "too long": "x" * 5_000,
    "payload only": "l1",
    "JSON null": "null",
    "NUL": "\0",
    "API key": "gw_" + "k" * 43,
}


@pytest.mark.parametrize("text", INVALID_TOKENS.values(), ids=INVALID_TOKENS)
def test_invalid_token_is_rejected(text: str) -> None:
    tokens = Tokens([OLD])
    with pytest.raises(Unauthenticated):
        tokens.read_session(text)
    with pytest.raises(Unauthenticated):
        tokens.read_ticket(text)


def test_token_of_another_kind_is_rejected() -> None:
    tokens, clock = Tokens([OLD]), Clock()
    with pytest.raises(Unauthenticated):
        tokens.read_session(issue(Tickets(tokens, clock)))
    with pytest.raises(Unauthenticated):
        Tickets(tokens, clock).redeem(tokens.sign_session("l1"))


def test_token_signed_with_another_salt_is_rejected() -> None:
    for salt, valid in (("gigwire.login", True), ("gigwire.ticket", False), ("itsdangerous", False)):
        signer = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        text = str(URLSafeTimedSerializer(OLD, salt=salt, signer_kwargs=signer).dumps("l1"))
        if valid:
            assert Tokens([OLD]).read_session(text) == "l1"
            continue
        with pytest.raises(Unauthenticated):
            Tokens([OLD]).read_session(text)


def test_sha1_signature_is_rejected() -> None:
    token = Tokens([OLD]).sign_session("l1")
    signature = token.rsplit(".", 1)[1]
    assert len(base64.urlsafe_b64decode(signature + "=")) == 32
    sha1_token = URLSafeTimedSerializer(OLD, salt="gigwire.login").dumps("l1")
    with pytest.raises(Unauthenticated):
        Tokens([OLD]).read_session(str(sha1_token))


def test_ticket_is_redeemed_once() -> None:
    tickets = Tickets(Tokens([OLD]), Clock())
    text = issue(tickets)
    ticket = tickets.redeem(text)
    assert (ticket.user_id, ticket.session_id, ticket.service, ticket.version) == ("ada", "l1", None, 3)
    with pytest.raises(Unauthenticated):
        tickets.redeem(text)
    assert tickets.redeem(issue(tickets))


def test_ticket_expires_after_exactly_30_seconds() -> None:
    clock = Clock()
    tickets = Tickets(Tokens([OLD]), clock)
    first, second = issue(tickets), issue(tickets)
    clock.now += TICKET_SECONDS * 1_000 - 1
    assert tickets.redeem(first)
    clock.now += 1
    with pytest.raises(Unauthenticated):
        tickets.redeem(second)


def test_ticket_from_before_a_restart_is_rejected() -> None:
    tokens, clock = Tokens([OLD]), Clock()
    text = issue(Tickets(tokens, clock))
    with pytest.raises(Unauthenticated):
        Tickets(tokens, clock).redeem(text)


def test_redeemed_tickets_are_remembered_until_they_expire() -> None:
    clock = Clock()
    tickets = Tickets(Tokens([OLD]), clock, max_redeemed=2)
    for _ in range(2):
        tickets.redeem(issue(tickets))
    rejected = issue(tickets)
    with pytest.raises(Overloaded):
        tickets.redeem(rejected)
    clock.now += TICKET_SECONDS * 1_000
    assert tickets.redeem(issue(tickets))
