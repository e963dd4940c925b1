"""Pages behind the links in e-mails."""

from html import escape
from pathlib import Path
from string import Template
from typing import Annotated, Any, Final
from urllib.parse import parse_qs

from msgspec import Meta
from starlette.responses import Response

from api.http import bodies
from api.http.bodies import Body, Query
from api.http.client_address import rate_limit_group
from api.operations.call import Call
from api.routes.auth import Email, Password
from services.accounts import account_access, email_verification, users
from services.accounts.tokens import Purpose
from services.errors import InvalidField, NotFound, PasswordChanged, RateLimited, Unauthenticated
from services.notifications import preferences

# Lifetimes of links. A link to unsubscribe does not expire.
CONFIRM_SECONDS: Final = 24 * 3_600
RESET_SECONDS: Final = 3_600
MAX_FORM_BYTES: Final = 4_096

_TEMPLATES: Final = Path(__file__).resolve().parents[1] / "web" / "templates"


def _load_template(name: str) -> Template:
    return Template((_TEMPLATES / name).read_text(encoding="utf-8"))


_PAGE: Final = _load_template("email_link_page.html")
_CONFIRM_FORM: Final = _load_template("confirm_form.html")
_PASSWORD_FORM: Final = _load_template("password_form.html")
_SIGN_IN_LINK: Final = _load_template("sign_in_link.html")


class LinkQuery(Query, frozen=True):
    """The signed token of a link in an e-mail."""

    token: Annotated[str, Meta(min_length=1, max_length=2_048)]


class PasswordResetRequest(Body, frozen=True):
    """The e-mail address of the account."""

    email: Email


class PasswordReset(Body, frozen=True):
    """The token of the link in the e-mail, and the new password."""

    token: Annotated[str, Meta(min_length=1, max_length=2_048)]
    new_password: Password


async def request_confirmation(call: Call[None, None]) -> None:
    """Send an e-mail with a link that confirms your address."""
    _require_email(call)
    if call.user.email is None:
        raise NotFound("This account has no e-mail address.")
    call.hub.rate_limits.emails_to_account.hit(call.user.id)
    call.hub.email.send_confirmation(user_id=call.user.id, email=call.user.email, name=call.user.name, now=call.now)


async def request_password_reset(call: Call[PasswordResetRequest, None]) -> None:
    """Send an e-mail with a link to choose a new password; the response is the same for unknown addresses."""
    _require_email(call)
    email = call.body.email.lower()
    call.hub.rate_limits.emails_from_address.hit(rate_limit_group(str(call.request.scope["hub.address"])))
    account = await call.read(users.find_by_email, email=email)
    if account is None or account.disabled or account.password_hash is None:
        return
    try:
        call.hub.rate_limits.emails_to_account.hit(account.user.id)
    except RateLimited:
        return  # an error would reveal that the account exists
    call.hub.email.send_password_reset(
        user_id=account.user.id,
        fingerprint=email_verification.reset_fingerprint(account.password_hash, account.user.email),
        email=email,
        name=account.user.name,
        now=call.now,
    )


async def reset_password(call: Call[PasswordReset, None]) -> None:
    """Set a new password with the token of the e-mail; all sessions are revoked."""
    await _reset(call, call.body.token, call.body.new_password)


async def show_confirmation_form(call: Call[None, LinkQuery]) -> Response:
    """Show the form that confirms an e-mail address."""
    # Opening the link changes nothing, because mail filters open links too.
    _read_claims(call, "confirm", call.query.token, CONFIRM_SECONDS, 2)
    return _page("Is this your e-mail address?", _confirm_form("Yes, it is mine"))


async def confirm(call: Call[None, LinkQuery]) -> Response:
    """Confirm an e-mail address."""
    user_id, email = _read_claims(call, "confirm", call.query.token, CONFIRM_SECONDS, 2)
    await call.write(email_verification.confirm, user_id=user_id, email=email)
    return _page("Thank you, your address is confirmed.")


async def show_unsubscribe_form(call: Call[None, LinkQuery]) -> Response:
    """Show the form that turns notification e-mails off."""
    _read_claims(call, "unsubscribe", call.query.token, None, 1)
    return _page("No more e-mails about what happens here?", _confirm_form("No more e-mails"))


async def unsubscribe(call: Call[None, LinkQuery]) -> Response:
    """Turn notification e-mails off; mail programs call this without a session (RFC 8058)."""
    (user_id,) = _read_claims(call, "unsubscribe", call.query.token, None, 1)
    await call.write(preferences.disable_email, user_id=user_id)
    return _page("You will get no more e-mails about what happens here. In the settings you can turn them on again.")


async def show_reset_form(call: Call[None, LinkQuery]) -> Response:
    """Show the form to set a new password."""
    user_id, _ = _read_claims(call, "reset", call.query.token, RESET_SECONDS, 2)
    account = await call.read(users.find_by_id, user_id=user_id)
    email = "" if account is None else account.user.email or ""
    return _page("Choose a new password", _PASSWORD_FORM.substitute(email=escape(email)))


async def reset_password_by_form(call: Call[None, LinkQuery]) -> Response:
    """Set a new password with the form of the e-mail link; all sessions are revoked."""
    form = await bodies.read_bytes(call.request, MAX_FORM_BYTES)
    try:
        password = parse_qs(form.decode(), strict_parsing=True, max_num_fields=4).get("password", [""])[0]
    except ValueError:
        password = ""
    if not 8 <= len(password) <= 128:
        raise InvalidField("/password", "length", "A password has 8 to 128 characters.")
    await _reset(call, call.query.token, password)
    return _page("Your password is changed. Sign in with the new one.", _SIGN_IN_LINK.substitute())


async def _reset(call: Call[Any, Any], token: str, password: str) -> None:
    user_id, fingerprint = _read_claims(call, "reset", token, RESET_SECONDS, 2)
    account = await call.read(users.find_by_id, user_id=user_id)
    current_hash = None if account is None or account.disabled else account.password_hash
    if account is None or current_hash is None:
        raise _expired()
    if email_verification.reset_fingerprint(current_hash, account.user.email) != fingerprint:
        raise _expired()
    password_hash = await call.hub.passwords.hash(password)
    try:
        await call.write(
            account_access.change_password,
            user_id=user_id,
            expected_hash=current_hash,
            password_hash=password_hash,
            keep_session_id=None,
        )
    except PasswordChanged:
        raise _expired() from None
    if account.user.email is not None:
        # The user has received the link at this address, so the address is confirmed as well.
        await call.write(email_verification.confirm, user_id=user_id, email=account.user.email)


def _read_claims(call: Call[Any, Any], purpose: Purpose, token: str, seconds: int | None, count: int) -> list[str]:
    try:
        claims = call.hub.tokens.read_link(purpose, token, seconds=seconds)
    except Unauthenticated:
        raise _expired() from None
    if len(claims) != count:
        raise _expired()
    return claims


def _expired() -> InvalidField:
    return InvalidField("token", "range", "This link is no longer valid. Request a new one.")


def _require_email(call: Call[Any, Any]) -> None:
    if not call.hub.email.enabled:
        raise NotFound("This hub sends no e-mail.")


def _confirm_form(label: str) -> str:
    return _CONFIRM_FORM.substitute(label=escape(label))


def _page(heading: str, content: str = "") -> Response:
    """Return a page; `heading` is escaped, `content` is HTML."""
    html = _PAGE.substitute(heading=escape(heading), content=content)
    return Response(html, headers={"cache-control": "no-store"}, media_type="text/html")
