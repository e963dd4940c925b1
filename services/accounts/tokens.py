"""Signed tokens: a login's, that carries only its id, a ticket for one stream, a link in an e-mail (itsdangerous)."""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar, get_args

import msgspec
from itsdangerous import BadData, Signer, TimestampSigner, URLSafeTimedSerializer
from itsdangerous.signer import SigningAlgorithm

from services.errors import Overloaded, Unauthenticated
from services.ids import new_id

T = TypeVar("T")
# What a link in an e-mail is for.
Purpose = Literal["unsubscribe", "confirm", "reset"]

TICKET_SECONDS = 30
# Longer texts are no tokens of ours; nobody makes us sign megabytes.
TOKEN_LENGTH = 2_048
# Tickets used up within their 30 seconds: 3,000 a second, and 20 MB at most.
MAX_REDEEMED = 100_000


@dataclass(frozen=True, slots=True)
class Ticket:
    """For whom a stream may be opened. `mark` is how many ends had been heard of when it was made."""

    user_id: str
    login: str | None
    service: str | None
    mark: int
    expires_at: int
    id: str
    process: str


class Tokens:
    """Signs and reads; the last key signs, all of them verify, so that keys can be rotated.

    The library's own defaults are SHA-1 and a bare hash for the derived key; here it is HMAC-SHA-256 for both (its
    `key_derivation="hmac"`), and a salt of its own for each purpose, so that no token passes for another kind.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._logins = _Serializer(keys, "gigwire.login")
        self._tickets = _Serializer(keys, "gigwire.ticket")
        self._links = {purpose: _Serializer(keys, f"gigwire.{purpose}") for purpose in get_args(Purpose)}

    def sign_session(self, login_id: str) -> str:
        """The token of a login. Whether the login still lives is not in it: its row says so."""
        return str(self._logins.dumps(login_id))

    def read_session(self, token: str) -> str:
        """The login id in a token. Raises Unauthenticated when it is not one that we signed."""
        return _checked(self._logins.payload_of, token, str)

    def sign_ticket(self, ticket: Ticket) -> str:
        """A ticket as text."""
        return str(self._tickets.dumps(msgspec.to_builtins(ticket)))

    def read_ticket(self, text: str) -> Ticket:
        """The ticket in a text, still to be redeemed. Raises Unauthenticated when it is not one that we signed."""
        return _checked(self._tickets.payload_of, text, Ticket)

    def sign_link(self, purpose: Purpose, claims: Sequence[str]) -> str:
        """What stands in a link that is sent to somebody by e-mail."""
        return str(self._links[purpose].dumps(list(claims)))

    def read_link(self, purpose: Purpose, text: str, *, seconds: int | None) -> list[str]:
        """The claims in a link that is at most so old. Raises Unauthenticated when it is not one that we signed."""
        return _checked(partial(self._links[purpose].loads, max_age=seconds), text, list[str])


class Tickets:
    """Issues tickets and redeems each once, within 30 seconds and in the process that made it.

    What was redeemed is remembered in memory only, so a ticket from before a restart is refused: it could have
    been used then. `clock` gives milliseconds and must not go back.
    """

    def __init__(self, tokens: Tokens, clock: Callable[[], int], *, burned: int = MAX_REDEEMED) -> None:
        self._tokens = tokens
        self._clock = clock
        self._process = new_id()
        self._most = burned
        # Ticket id → when it would have expired; in the order of redemption.
        self._burned: dict[str, int] = {}

    def issue(self, *, user_id: str, login: str | None, service: str | None, mark: int) -> str:
        """A new ticket for a user, asked for by one of their logins or by a service."""
        expires_at = self._clock() + TICKET_SECONDS * 1_000
        return self._tokens.sign_ticket(Ticket(user_id, login, service, mark, expires_at, new_id(), self._process))

    def peek(self, text: str) -> Ticket:
        """A ticket that could be redeemed now, and still can be. Raises Unauthenticated."""
        return self._good(text, self._clock())

    def redeem(self, text: str) -> Ticket:
        """Use a ticket up. Raises Unauthenticated, and Overloaded when too many were used within 30 seconds."""
        now = self._clock()
        ticket = self._good(text, now)
        self._forget_expired(now)
        if len(self._burned) >= self._most:
            raise Overloaded("Too many streams are being opened; take a new ticket in a moment.")
        self._burned[ticket.id] = ticket.expires_at
        return ticket

    def _good(self, text: str, now: int) -> Ticket:
        ticket = self._tokens.read_ticket(text)
        if ticket.process != self._process or ticket.expires_at <= now or ticket.id in self._burned:
            raise Unauthenticated("This ticket has expired or was used; take a new one.")
        return ticket

    def _forget_expired(self, now: int) -> None:
        """Drop what has expired from the old end; one that outlives the rest holds them up 30 s at most."""
        while self._burned and self._burned[oldest := next(iter(self._burned))] <= now:
            del self._burned[oldest]


class _Sha256(SigningAlgorithm):
    """HMAC-SHA-256 in one call."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return hmac.digest(key, value, "sha256")


class _Serializer(URLSafeTimedSerializer):
    """The library's, with one signer for all its tokens: it would derive every key anew for each of them."""

    def __init__(self, keys: Sequence[str], salt: str) -> None:
        derived = [hmac.digest(key.encode(), salt.encode(), "sha256") for key in keys]
        super().__init__(derived, salt=salt, signer_kwargs={"key_derivation": "none", "algorithm": _Sha256()})
        self._signer: TimestampSigner = super().make_signer()  # type: ignore[assignment]  # made of its `signer`

    def make_signer(self, salt: str | bytes | None = None) -> TimestampSigner:
        return self._signer

    def payload_of(self, text: str) -> Any:
        """What was signed, whenever that was: `loads` without reading the time. Raises BadData."""
        payload, _, _time = Signer.unsign(self._signer, text).rpartition(b".")
        return self.load_payload(payload)


def _checked(load: Callable[[str], Any], text: str, kind: type[T]) -> T:
    if len(text) > TOKEN_LENGTH or not text.isascii():
        raise Unauthenticated
    try:
        return msgspec.convert(load(text), kind)
    except (BadData, msgspec.ValidationError):
        raise Unauthenticated from None
