"""Signed tokens: sessions, stream tickets and e-mail links (itsdangerous)."""

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
# The purpose of a link in an e-mail.
Purpose = Literal["unsubscribe", "confirm", "reset"]

TICKET_SECONDS = 30
# Characters of the longest token that is verified.
MAX_TOKEN_LENGTH = 2_048
# Redeemed tickets remembered for 30 seconds: 3,000 a second, at most 20 MB.
MAX_REDEEMED = 100_000


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to open one stream. `version` is the version of the credential cache at issue."""

    user_id: str
    session_id: str | None
    service: str | None
    version: int
    expires_at: int
    id: str
    process: str


class Tokens:
    """Signs and verifies tokens. The last key signs and all keys verify, so that keys can be rotated.

    Signature and key derivation use HMAC-SHA-256 (`key_derivation="hmac"`) instead of the defaults of the library. Each
    purpose has its own salt, so that a token is never accepted for another purpose.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._sessions = _Serializer(keys, "gigwire.login")
        self._tickets = _Serializer(keys, "gigwire.ticket")
        self._links = {purpose: _Serializer(keys, f"gigwire.{purpose}") for purpose in get_args(Purpose)}

    def sign_session(self, session_id: str) -> str:
        """Return the token of a session. Its row decides whether the session is still valid."""
        return str(self._sessions.dumps(session_id))

    def read_session(self, token: str) -> str:
        """Return the session id of a token. Raises Unauthenticated for an invalid signature."""
        return _verify(self._sessions.payload_of, token, str)

    def sign_ticket(self, ticket: Ticket) -> str:
        """Return the text of a ticket."""
        return str(self._tickets.dumps(msgspec.to_builtins(ticket)))

    def read_ticket(self, text: str) -> Ticket:
        """Return the ticket of a text, without redeeming it. Raises Unauthenticated for an invalid signature."""
        return _verify(self._tickets.payload_of, text, Ticket)

    def sign_link(self, purpose: Purpose, claims: Sequence[str]) -> str:
        """Return the token of a link in an e-mail."""
        return str(self._links[purpose].dumps(list(claims)))

    def read_link(self, purpose: Purpose, text: str, *, seconds: int | None) -> list[str]:
        """Return the claims of a link token; `seconds` is its greatest age. Raises Unauthenticated."""
        return _verify(partial(self._links[purpose].loads, max_age=seconds), text, list[str])


class Tickets:
    """Issues tickets and redeems each once, within 30 seconds and in the process that issued it.

    Redeemed tickets are remembered in memory only. A ticket from before a restart is therefore rejected: it may have
    been redeemed. `clock` gives monotonic milliseconds.
    """

    def __init__(self, tokens: Tokens, clock: Callable[[], int], *, max_redeemed: int = MAX_REDEEMED) -> None:
        self._tokens = tokens
        self._clock = clock
        self._process = new_id()
        self._max_redeemed = max_redeemed
        # Expiry times (ms) by ticket id, in the order of redemption.
        self._redeemed: dict[str, int] = {}

    def issue(self, *, user_id: str, session_id: str | None, service: str | None, version: int) -> str:
        """Return a new ticket for a user, requested by a session of the user or by a service."""
        expires_at = self._clock() + TICKET_SECONDS * 1_000
        return self._tokens.sign_ticket(
            Ticket(user_id, session_id, service, version, expires_at, new_id(), self._process)
        )

    def peek(self, text: str) -> Ticket:
        """Return a redeemable ticket without redeeming it. Raises Unauthenticated."""
        return self._require_redeemable(text, self._clock())

    def redeem(self, text: str) -> Ticket:
        """Redeem a ticket. Raises Unauthenticated, and Overloaded when too many were redeemed within 30 seconds."""
        now = self._clock()
        ticket = self._require_redeemable(text, now)
        self._forget_expired(now)
        if len(self._redeemed) >= self._max_redeemed:
            raise Overloaded("Too many streams are being opened. Request a new ticket in a moment.")
        self._redeemed[ticket.id] = ticket.expires_at
        return ticket

    def _require_redeemable(self, text: str, now: int) -> Ticket:
        ticket = self._tokens.read_ticket(text)
        if ticket.process != self._process or ticket.expires_at <= now or ticket.id in self._redeemed:
            raise Unauthenticated("This ticket has expired or was used. Request a new one.")
        return ticket

    def _forget_expired(self, now: int) -> None:
        """Forget expired tickets, oldest redemption first; a later expiry delays the following ones by at most 30 s."""
        while self._redeemed and self._redeemed[oldest := next(iter(self._redeemed))] <= now:
            del self._redeemed[oldest]


class _Sha256(SigningAlgorithm):
    """HMAC-SHA-256 in one call of the standard library."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return hmac.digest(key, value, "sha256")


class _Serializer(URLSafeTimedSerializer):
    """A serializer with one signer for all tokens; the base class derives every key again for each token."""

    def __init__(self, keys: Sequence[str], salt: str) -> None:
        derived = [hmac.digest(key.encode(), salt.encode(), "sha256") for key in keys]
        super().__init__(derived, salt=salt, signer_kwargs={"key_derivation": "none", "algorithm": _Sha256()})
        self._signer: TimestampSigner = super().make_signer()  # type: ignore[assignment]  # the class attribute `signer` decides the type

    def make_signer(self, salt: str | bytes | None = None) -> TimestampSigner:
        return self._signer

    def payload_of(self, text: str) -> Any:
        """Return the signed payload without checking the time, unlike `loads`. Raises BadData."""
        payload, _, _time = Signer.unsign(self._signer, text).rpartition(b".")
        return self.load_payload(payload)


def _verify(load: Callable[[str], Any], text: str, kind: type[T]) -> T:
    if len(text) > MAX_TOKEN_LENGTH or not text.isascii():
        raise Unauthenticated
    try:
        return msgspec.convert(load(text), kind)
    except (BadData, msgspec.ValidationError):
        raise Unauthenticated from None
