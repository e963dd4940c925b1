"""Signing up, in and out, oneself, one's password and one's other sessions."""

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
# What is only compared may have been chosen under other rules; it is still bounded.
AnyPassword = Annotated[str, Meta(max_length=1_024)]
Email = Annotated[str, Meta(min_length=1, max_length=users.EMAIL_LENGTH)]


class SignUp(Body, frozen=True):
    """A new account."""

    email: Email
    password: Password
    name: Line80
    role: Literal["client", "freelancer"]
    skills: Skills | None = None


class LogIn(Body, frozen=True):
    """Who one claims to be."""

    email: Email
    password: AnyPassword


class MyChanges(Body, frozen=True):
    """What a user may change about themselves; absent or null leaves it."""

    name: Line80 | None = None
    skills: Skills | None = None


class NewPassword(Body, frozen=True):
    """The password that is, and the one that shall be."""

    current_password: AnyPassword
    new_password: Password


async def sign_up(call: Call[SignUp, None]) -> Response:
    """Make an account and sign in."""
    user, seen_hash = await _make_account(call)
    if user.email is not None:
        call.hub.email.send_confirmation(user_id=user.id, email=user.email, name=user.name, now=call.now)
    return await _sign_in(call, user, seen_hash, status=201)


async def log_in(call: Call[LogIn, None]) -> Response:
    """Sign in."""
    return await _twice(_log_in, call)


async def _log_in(call: Call[LogIn, None]) -> Response:
    email = call.body.email.lower()
    account = await call.read(users.find_by_email, email=email)
    kept = None if account is None or account.disabled else account.password_hash
    if not await _is_password(call, email, kept, call.body.password) or account is None or kept is None:
        raise Unauthenticated("The e-mail address or the password is wrong.")
    return await _sign_in(call, users.to_schema(account.user), await _renewed(call, account.user, kept), status=200)


async def log_out(call: Call[None, None]) -> Response:
    """Sign out; the streams of this session end."""
    if call.caller.login is not None:
        # Ended from elsewhere at the same moment: it is what was wanted.
        with suppress(NotFound):
            await call.write(account_sessions.revoke, login_id=call.caller.login, user_id=call.user.id, reason="logout")
    response = Response(status_code=204)
    call.hub.identities.cookie.clear(response)
    return response


async def me(call: Call[None, None]) -> Me:
    """Who one is."""
    return users.to_schema(call.user)


async def patch_me(call: Call[MyChanges, None]) -> Me:
    """Change one's name or skills."""
    call.hub.paces.change.hit(call.user.id)
    return await call.write(users.update_profile, user_id=call.user.id, name=call.body.name, skills=call.body.skills)


async def change_password(call: Call[NewPassword, None]) -> None:
    """Change one's password; every other session ends."""
    await _twice(_change_password, call)


async def _change_password(call: Call[NewPassword, None]) -> None:
    account = await call.read(users.find_by_id, user_id=call.user.id)
    kept = None if account is None else account.password_hash
    counted_as = call.user.email or call.user.id
    if not await _is_password(call, counted_as, kept, call.body.current_password):
        raise Unauthenticated("The current password is wrong.")
    await call.write(
        account_access.change_password,
        user_id=call.user.id,
        seen_hash=kept,
        password_hash=await call.hub.passwords.hash(call.body.new_password),
        keep_login=call.caller.login,
    )


async def sessions(call: Call[None, PageQuery]) -> SessionList:
    """Where one is signed in."""
    return await call.read(
        account_sessions.list_for_user,
        user_id=call.user.id,
        current=call.caller.login,
        after=call.query.after,
        limit=call.query.limit,
        now=call.now,
    )


async def end_session(call: Call[None, None]) -> None:
    """Sign another browser or program of one's own out; its streams end."""
    await call.write(account_sessions.revoke, login_id=call.path("id"), user_id=call.user.id)


async def _make_account(call: Call[SignUp, None]) -> tuple[Me, str]:
    """The account, new or (with a repeated Idempotency-Key) the one made before, and the hash that lets one in."""
    email, user_id = users.checked_email(call.body.email), new_id()
    call.hub.attempts.sign_up(_address(call))
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
    answer = await call.write(
        idempotency.run_once,
        caller=f"sign-up:{hashlib.sha256(email.encode()).hexdigest()[:32]}",
        key=key,
        digest=_digest(call.body),
        act=partial(create, now=call.now),
    )
    made = msgspec.json.decode(answer, type=Me)
    return made, password_hash if made.id == user_id else await _proven(call, made)


async def _proven(call: Call[SignUp, None], made: Me) -> str:
    """The kept hash, for somebody who repeats a sign-up with the same password.

    What was asked is kept without the password (a plain digest of it would be easy to guess at), so that the
    password itself must prove that it is the same request. Raises IdempotencyKeyReused.
    """
    account = await call.read(users.find_by_id, user_id=made.id)
    kept = None if account is None or account.disabled else account.password_hash
    if not await _is_password(call, call.body.email.lower(), kept, call.body.password) or kept is None:
        raise IdempotencyKeyReused
    return kept


async def _twice(act: Callable[[Call[B, None]], Awaitable[T]], call: Call[B, None]) -> T:
    """Do what rests on a compared hash, and once more where that was replaced meanwhile.

    Most likely it is the same password still: another log-in has hashed it anew at today's cost.
    """
    with suppress(PasswordChanged):
        return await act(call)
    return await act(call)


def _digest(body: SignUp) -> bytes:
    return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(body, password=""))).digest()


async def _is_password(call: Call[Any, Any], counted_as: str, kept: str | None, password: str) -> bool:
    """Whether it is the password; counted against the account and the address when not. Raises RateLimited."""
    attempts, address = call.hub.attempts, _address(call)
    attempts.check(counted_as, address)
    # Again when its turn has come: those before it may have used the tries up.
    if await call.hub.passwords.verify(kept, password, before=lambda: attempts.check(counted_as, address)):
        return True
    attempts.failed(counted_as, address)
    return False


async def _renewed(call: Call[LogIn, None], user: User, kept: str) -> str:
    """The kept hash, made anew if the cost of hashing was changed since."""
    if not call.hub.passwords.needs_rehash(kept):
        return kept
    renewed = await call.hub.passwords.hash(call.body.password)
    await call.write(account_access.upgrade_hash, user_id=user.id, seen_hash=kept, password_hash=renewed)
    return renewed


async def _sign_in(call: Call[Any, Any], user: Me, seen_hash: str, *, status: int) -> Response:
    """Start a login and answer with its token, in the body and as the cookie."""
    login_id = await call.write(
        account_sessions.create,
        user_id=user.id,
        seen_hash=seen_hash,
        user_agent=call.request.headers.get("user-agent"),
        address=_address(call),
    )
    token = call.hub.tokens.sign_session(login_id)
    response = Response(
        msgspec.json.encode(SignInResult(user=user, token=token)),
        status,
        headers={"cache-control": "no-store"},
        media_type="application/json",
    )
    call.hub.identities.cookie.set(response, token)
    return response


def _address(call: Call[Any, Any]) -> str:
    return str(call.request.scope["hub.address"])
