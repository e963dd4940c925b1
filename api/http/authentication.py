"""Authenticates a request by cookie, bearer token, API key or ticket."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser
from starlette.responses import Response

from api.config.settings import Settings
from services.accounts import api_keys
from services.accounts.callers import ANONYMOUS, Caller
from services.accounts.credential_cache import CredentialCache
from services.accounts.tokens import Ticket, Tickets, Tokens
from services.database.database import Database
from services.errors import DomainError, Unauthenticated
from services.scheduling.background import BackgroundTask
from services.times import DAY_MS, SECOND_MS

# The only route that accepts a ticket. A ticket is the only credential that may be part of a URL.
STREAM_PATH = "/api/realtime/connect"
# Browsers limit cookies to 400 days. The session itself expires after 30 idle days.
COOKIE_MAX_AGE_SECONDS = 400 * DAY_MS // SECOND_MS
# The time of a session's last use is saved with at most this delay.
FLUSH_INTERVAL_SECONDS = 30


class SessionCookie:
    """The cookie of a signed-in browser: HttpOnly, SameSite=Lax and, outside localhost, Secure."""

    def __init__(self, settings: Settings) -> None:
        self._secure = settings.secure_cookies
        # `__Host-` (RFC 6265bis): no other host or path can set it, but browsers accept it over https only.
        self.name = "__Host-gigwire" if self._secure else "gigwire"

    def is_present(self, headers: Headers) -> bool:
        """Return whether the request has the cookie, valid or not."""
        return self.read(headers) is not None

    def read(self, headers: Headers) -> str | None:
        """Return the token in the cookie, or None."""
        cookies = headers.getlist("cookie")
        return cookie_parser("; ".join(cookies)).get(self.name) if cookies else None

    def set(self, response: Response, token: str) -> None:
        """Add the cookie to a response."""
        response.set_cookie(
            self.name,
            token,
            max_age=COOKIE_MAX_AGE_SECONDS,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    def clear(self, response: Response) -> None:
        """Delete the cookie with a response."""
        response.delete_cookie(self.name, path="/", secure=self._secure, httponly=True, samesite="lax")


class Authenticator:
    """Finds the caller of a request. `invalidate` must receive every event of the control channel."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        tokens: Tokens,
        tickets: Tickets,
        clock: Callable[[], int],
    ) -> None:
        self._credentials = CredentialCache(database, clock=clock)
        self._tokens = tokens
        self._tickets = tickets
        self._flush_task = BackgroundTask(
            "session-use",
            interval_seconds=FLUSH_INTERVAL_SECONDS,
            run_once=self._credentials.flush,
            on_error=self._log_flush_error,
        )
        self.cookie = SessionCookie(settings)

    async def start(self) -> None:
        """Start saving the use of sessions; the database must run."""
        self._flush_task.start()

    async def stop(self) -> None:
        """Save the last use of sessions and stop; the database must still run."""
        if await self._flush_task.stop():
            # Without this use the session expires at most an hour earlier.
            with suppress(DomainError):
                await self._credentials.flush()

    async def authenticate(self, request: Request) -> Caller:
        """Return the caller by ticket (for a stream), bearer token or cookie; otherwise the anonymous caller.

        Raises Unauthenticated for an invalid ticket or bearer token. An invalid cookie gives the anonymous caller:
        browsers always send it, so a page could not sign in again if it were rejected.
        """
        scope = request.scope
        scope["hub.credential_version"] = self._credentials.version
        if scope["query_string"] and scope["path"] == STREAM_PATH and "ticket" in request.query_params:
            # HEAD opens no stream, so the ticket stays valid for the GET that follows.
            read_ticket = self._tickets.peek if request.method == "HEAD" else self._tickets.redeem
            return await self._by_ticket(read_ticket(request.query_params["ticket"]))
        if (token := bearer_token(request.headers)) is not None:
            return await self._by_bearer(token)
        return await self._by_cookie(self.cookie.read(request.headers))

    def is_still_valid(self, request: Request, caller: Caller) -> bool:
        """Return whether the credentials of this caller are unchanged since `authenticate`."""
        return not self._credentials.changed_since(request.scope["hub.credential_version"], caller)

    def issue_ticket(self, user_id: str, caller: Caller) -> str:
        """Return a ticket for a stream of the user, requested by one of their sessions or by a service."""
        version = self._credentials.version
        return self._tickets.issue(
            user_id=user_id, session_id=caller.session_id, service=caller.service, version=version
        )

    def invalidate(self, type: str, data: Mapping[str, str]) -> None:
        """Drop cached credentials that an event of the control channel revokes or changes."""
        self._credentials.invalidate(type, data)

    def forget(self, user_ids: Iterable[str]) -> None:
        """Drop the cached credentials of users without a stream; they are loaded again when needed."""
        for user_id in user_ids:
            self._credentials.forget(user_id)

    async def _by_bearer(self, token: str) -> Caller:
        if token.startswith(api_keys.PREFIX):
            caller = await self._credentials.by_api_key(token)
        else:
            caller = await self._credentials.by_session(self._tokens.read_session(token))
        if caller is None:
            raise Unauthenticated
        return caller

    async def _by_cookie(self, token: str | None) -> Caller:
        if token is None:
            return ANONYMOUS
        try:
            session_id = self._tokens.read_session(token)
        except Unauthenticated:
            return ANONYMOUS
        return await self._credentials.by_session(session_id) or ANONYMOUS

    async def _by_ticket(self, ticket: Ticket) -> Caller:
        if ticket.session_id is not None:
            caller = await self._credentials.by_session(ticket.session_id)
            if caller is None:
                raise Unauthenticated
            return caller
        user = await self._credentials.by_user(ticket.user_id)
        issuer = Caller("service", service=ticket.service)
        if user is None or self._credentials.changed_since(ticket.version, issuer):
            raise Unauthenticated
        return Caller("user", user=user, service=ticket.service)

    def _log_flush_error(self, error: Exception) -> None:
        structlog.get_logger("authentication").warning("session_use_not_saved", error=repr(error))


def bearer_token(headers: Headers) -> str | None:
    """Return the token of an `Authorization: Bearer` header (RFC 6750); None for another scheme."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
