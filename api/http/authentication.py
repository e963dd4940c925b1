"""Cookie, bearer token, API key or stream ticket → who is asking."""

import asyncio
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
from services.times import DAY, SECOND

# The only place where a ticket counts, and the only credential that may stand in a URL.
STREAM_PATH = "/api/realtime/connect"
# Browsers keep no cookie longer than 400 days; the login's row says when it is over, after 30 idle days.
COOKIE_SECONDS = 400 * DAY // SECOND
# How late `used_at` may be written.
FLUSH_SECONDS = 30


class SessionCookie:
    """The cookie of a signed-in browser: HttpOnly, SameSite=Lax and, outside localhost, Secure."""

    def __init__(self, settings: Settings) -> None:
        self._secure = settings.secure_cookies
        # `__Host-` (RFC 6265bis): no other host or path can have set it. Browsers take it over https alone.
        self.name = "__Host-gigwire" if self._secure else "gigwire"

    def is_in(self, headers: Headers) -> bool:
        """Whether a request brings the cookie, good or bad."""
        return self.read(headers) is not None

    def read(self, headers: Headers) -> str | None:
        """The token in the cookie."""
        cookies = headers.getlist("cookie")
        return cookie_parser("; ".join(cookies)).get(self.name) if cookies else None

    def set(self, response: Response, token: str) -> None:
        """Give it to a browser."""
        response.set_cookie(
            self.name, token, max_age=COOKIE_SECONDS, path="/", secure=self._secure, httponly=True, samesite="lax"
        )

    def clear(self, response: Response) -> None:
        """Take it from a browser."""
        response.delete_cookie(self.name, path="/", secure=self._secure, httponly=True, samesite="lax")


class Authenticator:
    """Knows who is asking. `apply` must hear every event of the control channel; see `Credentials`."""

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
        self._background = BackgroundTask("identities-flush", self._flush)
        self.cookie = SessionCookie(settings)

    async def start(self) -> None:
        """From here on, write down now and then which logins were used; the database must run."""
        self._background.start()

    async def stop(self) -> None:
        """Write down the last of them; the database must still run."""
        if await self._background.stop():
            # A use that is not noted costs nothing but an hour of idle time.
            with suppress(DomainError):
                await self._credentials.flush()

    async def authenticate(self, request: Request) -> Caller:
        """Who sends this request: by ticket (for a stream), by bearer token, by cookie, or nobody.

        Raises Unauthenticated for a bad ticket or bearer token. A bad cookie is nobody: a browser sends it whether
        or not its page wants to, and no page could sign in again if it were refused.
        """
        scope = request.scope
        scope["hub.mark"] = self._credentials.version
        if scope["query_string"] and scope["path"] == STREAM_PATH and "ticket" in request.query_params:
            # HEAD opens no stream, so it leaves the ticket for the GET that will.
            look = self._tickets.peek if request.method == "HEAD" else self._tickets.redeem
            return await self._by_ticket(look(request.query_params["ticket"]))
        if (token := bearer(request.headers)) is not None:
            return await self._by_bearer(token)
        return await self._by_cookie(self.cookie.read(request.headers))

    def is_still_valid(self, request: Request, caller: Caller) -> bool:
        """Whether nothing this caller rests on has ended or changed since `identify`."""
        return not self._credentials.changed_since(request.scope["hub.mark"], caller)

    def ticket_for(self, user_id: str, caller: Caller) -> str:
        """A ticket for a user's stream, taken by one of their logins or by a service."""
        mark = self._credentials.version
        return self._tickets.issue(user_id=user_id, login=caller.login, service=caller.service, mark=mark)

    def apply(self, type: str, data: Mapping[str, str]) -> None:
        """Hear what the hub tells itself on the control channel."""
        self._credentials.invalidate(type, data)

    def forget(self, user_ids: Iterable[str]) -> None:
        """These users have been gone for long: whoever comes back is looked up again."""
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
            login_id = self._tokens.read_session(token)
        except Unauthenticated:
            return ANONYMOUS
        return await self._credentials.by_session(login_id) or ANONYMOUS

    async def _by_ticket(self, ticket: Ticket) -> Caller:
        if ticket.login is not None:
            caller = await self._credentials.by_session(ticket.login)
            if caller is None:
                raise Unauthenticated
            return caller
        user = await self._credentials.by_user(ticket.user_id)
        taken_by = Caller("service", service=ticket.service)
        if user is None or self._credentials.changed_since(ticket.mark, taken_by):
            raise Unauthenticated
        return Caller("user", user=user, service=ticket.service)

    async def _flush(self) -> None:
        log = structlog.get_logger("identity")
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self._credentials.flush()
            except DomainError as error:
                log.warning("logins_not_touched", code=error.code)


def bearer(headers: Headers) -> str | None:
    """The token of an `Authorization: Bearer` header (RFC 6750); another scheme is somebody else's business."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
