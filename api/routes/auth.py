"""Sign-up, log-in, log-out, own account, password and sessions."""

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta
from starlette.responses import Response

from api.http.bodies import Body, Line80, PageQuery, Skills
from api.operations.call import Call
from services.accounts import account_access, users
from services.accounts import sessions as account_sessions
from services.accounts.callers import User
from services.accounts.schemas import Me, SessionList, SignInResult
from services.database import idempotency
from services.errors import IdempotencyKeyReused, NotFound, PasswordChanged, Unauthenticated
from services.ids import new_id
from services.payments import registration

B = TypeVar("B")
T = TypeVar("T")

Password = Annotated[str, Meta(min_length=8, max_length=128)]
# A password that is only verified may have been chosen under other rules; its length is still bounded.
AnyPassword = Annotated[str, Meta(max_length=1_024)]
Email = Annotated[str, Meta(min_length=1, max_length=users.MAX_EMAIL)]


class SignUp(Body, frozen=True):
    """A new account."""

    email: Email
    password: Password
    name: Line80
    role: Literal["client", "freelancer"]
    skills: Skills | None = None


class LogIn(Body, frozen=True):
    """The credentials of a user."""

    email: Email
    password: AnyPassword


class ProfileUpdate(Body, frozen=True):
    """Changes of the current user; absent or null leaves a field unchanged."""

    name: Line80 | None = None
    skills: Skills | None = None


class PasswordChange(Body, frozen=True):
    """The current password and the new one."""

    current_password: AnyPassword
    new_password: Password


async def sign_up(call: Call[SignUp, None]) -> Response:
    """Create an account and sign in."""
    user, password_hash = await _create_account(call)
    if user.email is not None:
        call.hub.email.send_confirmation(user_id=user.id, email=user.email, name=user.name, now=call.now)
    return await _sign_in(call, user, password_hash, status=201)


async def log_in(call: Call[LogIn, None]) -> Response:
    """Sign in with e-mail address and password."""
    return await _retry_once(_log_in, call)


async def _log_in(call: Call[LogIn, None]) -> Response:
    email = call.body.email.lower()
    account = await call.read(users.find_by_email, email=email)
    stored_hash = None if account is None or account.disabled else account.password_hash
    if (
        not await _verify_password(call, email, stored_hash, call.body.password)
        or account is None
        or stored_hash is None
    ):
        raise Unauthenticated("The e-mail address or the password is wrong.")
    return await _sign_in(
        call, users.to_schema(account.user), await _upgrade_hash(call, account.user, stored_hash), status=200
    )


async def log_out(call: Call[None, None]) -> Response:
    """Sign out; the streams of this session are closed."""
    if call.caller.session_id is not None:
        # Another request may have revoked the session at the same time.
        with suppress(NotFound):
            await call.write(
                account_sessions.revoke, session_id=call.caller.session_id, user_id=call.user.id, reason="logout"
            )
    response = Response(status_code=204)
    call.hub.authenticator.cookie.clear(response)
    return response


async def get_me(call: Call[None, None]) -> Me:
    """Get the current user."""
    return users.to_schema(call.user)


async def update_me(call: Call[ProfileUpdate, None]) -> Me:
    """Update your name or skills."""
    call.hub.rate_limits.changes.hit(call.user.id)
    return await call.write(users.update_profile, user_id=call.user.id, name=call.body.name, skills=call.body.skills)


async def change_password(call: Call[PasswordChange, None]) -> None:
    """Change your password; all other sessions are revoked."""
    await _retry_once(_change_password, call)


async def _change_password(call: Call[PasswordChange, None]) -> None:
    account = await call.read(users.find_by_id, user_id=call.user.id)
    stored_hash = None if account is None else account.password_hash
    account_name = call.user.email or call.user.id
    if not await _verify_password(call, account_name, stored_hash, call.body.current_password):
        raise Unauthenticated("The current password is wrong.")
    await call.write(
        account_access.change_password,
        user_id=call.user.id,
        expected_hash=stored_hash,
        password_hash=await call.hub.passwords.hash(call.body.new_password),
        keep_session_id=call.caller.session_id,
    )


async def list_sessions(call: Call[None, PageQuery]) -> SessionList:
    """List the current user's sessions."""
    return await call.read(
        account_sessions.list_for_user,
        user_id=call.user.id,
        current=call.caller.session_id,
        after=call.query.after,
        limit=call.query.limit,
        now=call.now,
    )


async def revoke_session(call: Call[None, None]) -> None:
    """Revoke a session; its streams are closed."""
    await call.write(account_sessions.revoke, session_id=call.path("id"), user_id=call.user.id)


async def _create_account(call: Call[SignUp, None]) -> tuple[Me, str]:
    """Return the account and its password hash; a repeated Idempotency-Key returns the first account."""
    email, user_id = users.check_email(call.body.email), new_id()
    call.hub.rate_limits.login_attempts.hit_sign_up(_client_address(call))
    password_hash = await call.hub.passwords.hash(call.body.password)
    create = partial(
        registration.register,
        email=email,
        password_hash=password_hash,
        name=call.body.name,
        role=call.body.role,
        skills=call.body.skills or (),
        user_id=user_id,
        opening_balance=call.hub.settings.opening_balance,
    )
    key = call.idempotency_key()
    if key is None:
        return await call.write(create), password_hash
    response = await call.write(
        idempotency.run_once,
        caller=f"sign-up:{hashlib.sha256(email.encode()).hexdigest()[:32]}",
        key=key,
        digest=_digest(call.body),
        act=partial(create, now=call.now),
    )
    account = msgspec.json.decode(response.body, type=Me)
    return account, password_hash if account.id == user_id else await _verify_repeated_sign_up(call, account)


async def _verify_repeated_sign_up(call: Call[SignUp, None], me: Me) -> str:
    """Return the stored password hash if a repeated sign-up has the same password.

    The digest of the request leaves out the password, because a plain digest of it would be easy to guess. The
    password must therefore match the stored hash. Raises IdempotencyKeyReused.
    """
    account = await call.read(users.find_by_id, user_id=me.id)
    stored_hash = None if account is None or account.disabled else account.password_hash
    if (
        not await _verify_password(call, call.body.email.lower(), stored_hash, call.body.password)
        or stored_hash is None
    ):
        raise IdempotencyKeyReused
    return stored_hash


async def _retry_once(handler: Callable[[Call[B, None]], Awaitable[T]], call: Call[B, None]) -> T:
    """Run a handler that relies on a verified hash, and run it again if the hash was replaced meanwhile.

    The password is usually still the same: another log-in has upgraded its hash to the current cost.
    """
    with suppress(PasswordChanged):
        return await handler(call)
    return await handler(call)


def _digest(body: SignUp) -> bytes:
    return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(body, password=""))).digest()


async def _verify_password(call: Call[Any, Any], account_name: str, stored_hash: str | None, password: str) -> bool:
    """Verify a password and count a failure against the account and the address. Raises RateLimited."""
    attempts, address = call.hub.rate_limits.login_attempts, _client_address(call)
    attempts.check(account_name, address)
    # Check again when a thread is free: earlier attempts may have used up the limit.
    if await call.hub.passwords.verify(stored_hash, password, on_start=lambda: attempts.check(account_name, address)):
        return True
    attempts.record_failure(account_name, address)
    return False


async def _upgrade_hash(call: Call[LogIn, None], user: User, stored_hash: str) -> str:
    """Return the stored hash, upgraded if the cost of hashing has changed."""
    if not call.hub.passwords.needs_rehash(stored_hash):
        return stored_hash
    new_hash = await call.hub.passwords.hash(call.body.password)
    await call.write(account_access.upgrade_hash, user_id=user.id, expected_hash=stored_hash, password_hash=new_hash)
    return new_hash


async def _sign_in(call: Call[Any, Any], user: Me, password_hash: str, *, status: int) -> Response:
    """Create a session and return its token in the body and in the cookie."""
    session_id = await call.write(
        account_sessions.create,
        user_id=user.id,
        expected_hash=password_hash,
        user_agent=call.request.headers.get("user-agent"),
        address=_client_address(call),
    )
    token = call.hub.tokens.sign_session(session_id)
    response = Response(
        msgspec.json.encode(SignInResult(user=user, token=token)),
        status,
        headers={"cache-control": "no-store"},
        media_type="application/json",
    )
    call.hub.authenticator.cookie.set(response, token)
    return response


def _client_address(call: Call[Any, Any]) -> str:
    return str(call.request.scope["hub.address"])
