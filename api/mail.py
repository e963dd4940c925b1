"""The links in the hub's e-mails: an address confirmed, e-mails ended in one click, a password chosen anew."""

from html import escape
from typing import Annotated, Any, Final
from urllib.parse import parse_qs

from msgspec import Meta
from starlette.responses import Response

from api import bodies
from api.addresses import group
from api.auth import Email, Password
from api.bodies import Body, Query
from api.call import Call
from services import access, confirming, preferences, users
from services.errors import InvalidField, NotFound, PasswordReplaced, RateLimited, Unauthenticated
from services.tokens import Purpose

# For how long a link is good; what ends e-mails is good for ever.
CONFIRM_SECONDS: Final = 24 * 3_600
RESET_SECONDS: Final = 3_600
FORM_BYTES: Final = 4_096


class Link(Query, frozen=True):
    """What stands in a link of an e-mail."""

    token: Annotated[str, Meta(min_length=1, max_length=2_048)]


class Forgotten(Body, frozen=True):
    """Whose password is to be chosen anew."""

    email: Email


class Reset(Body, frozen=True):
    """What stood in the e-mail, and the new password."""

    token: Annotated[str, Meta(min_length=1, max_length=2_048)]
    new_password: Password


async def ask_to_confirm(call: Call[None, None]) -> None:
    """Have a link sent to one's address that shows it to be one's own."""
    _must_be_on(call)
    if call.user.email is None:
        raise NotFound("There is no e-mail address in this account.")
    call.hub.paces.mail.count(call.user.id)
    call.hub.mail_post.ask_to_confirm(user_id=call.user.id, email=call.user.email, name=call.user.name, now=call.now)


async def forgot(call: Call[Forgotten, None]) -> None:
    """Have a link sent to one's address with which to choose a new password; the answer is the same for anybody."""
    _must_be_on(call)
    email = call.body.email.lower()
    call.hub.paces.mail_address.count(group(str(call.request.scope["hub.address"])))
    account = await call.read(users.by_email, email=email)
    if account is None or account.disabled or account.password_hash is None:
        return
    try:
        call.hub.paces.mail.count(account.user.id)
    except RateLimited:
        return  # or it would say that there is such an account
    mark = confirming.fingerprint(account.password_hash, account.user.email)
    call.hub.mail_post.offer_reset(
        user_id=account.user.id, mark=mark, email=email, name=account.user.name, now=call.now
    )


async def reset(call: Call[Reset, None]) -> None:
    """Choose a new password with what stood in the e-mail; every session ends."""
    await _reset(call, call.body.token, call.body.new_password)


async def confirm_page(call: Call[None, Link]) -> Response:
    """Ask whether to confirm an address: opening a link changes nothing, a mail filter does that too."""
    _claims(call, "confirm", call.query.token, CONFIRM_SECONDS, 2)
    return _page("Is this your e-mail address?", _button("Yes, it is mine"))


async def confirm(call: Call[None, Link]) -> Response:
    """Confirm an address."""
    user_id, email = _claims(call, "confirm", call.query.token, CONFIRM_SECONDS, 2)
    await call.write(confirming.confirm, user_id=user_id, email=email)
    return _page("Thank you, your address is confirmed.")


async def unsubscribe_page(call: Call[None, Link]) -> Response:
    """Ask whether to send no more e-mails."""
    _claims(call, "unsubscribe", call.query.token, None, 1)
    return _page("No more e-mails about what happens here?", _button("No more e-mails"))


async def unsubscribe(call: Call[None, Link]) -> Response:
    """Send no more e-mails (RFC 8058: by the mail program itself, without a session)."""
    (user_id,) = _claims(call, "unsubscribe", call.query.token, None, 1)
    await call.write(preferences.no_more_email, user_id=user_id)
    return _page("You will get no more e-mails about what happens here. In the settings you can turn them on again.")


async def reset_page(call: Call[None, Link]) -> Response:
    """Ask for a new password."""
    user_id, _ = _claims(call, "reset", call.query.token, RESET_SECONDS, 2)
    account = await call.read(users.by_id, user_id=user_id)
    email = "" if account is None else account.user.email or ""
    # Whose it is, for the browser's own list of passwords.
    name = f'<input type=text name=username value="{escape(email)}" autocomplete=username hidden>'
    field = '<input type=password name=password minlength=8 maxlength=128 required autocomplete="new-password">'
    return _page(
        "Choose a new password",
        f"<form method=post>{name}<label>New password {field}</label> <button class=primary>Change it</button></form>",
    )


async def reset_by_form(call: Call[None, Link]) -> Response:
    """Choose a new password on the page that the e-mail leads to; every session ends."""
    raw = await bodies.read_bytes(call.request, FORM_BYTES)
    try:
        given = parse_qs(raw.decode(), strict_parsing=True, max_num_fields=4).get("password", [""])[0]
    except ValueError:
        given = ""
    if not 8 <= len(given) <= 128:
        raise InvalidField("/password", "length", "A password is 8 to 128 characters long.")
    await _reset(call, call.query.token, given)
    return _page("Your password is changed. Sign in with the new one.", '<p><a href="/">Sign in</a></p>')


async def _reset(call: Call[Any, Any], token: str, password: str) -> None:
    user_id, mark = _claims(call, "reset", token, RESET_SECONDS, 2)
    account = await call.read(users.by_id, user_id=user_id)
    kept = None if account is None or account.disabled else account.password_hash
    if account is None or kept is None or confirming.fingerprint(kept, account.user.email) != mark:
        raise _expired()
    hashed = await call.hub.passwords.hash(password)
    try:
        await call.write(access.change_password, user_id=user_id, seen_hash=kept, password_hash=hashed, keep_login=None)
    except PasswordReplaced:
        raise _expired() from None
    if account.user.email is not None:
        # Whoever reads what is sent there has shown that, too.
        await call.write(confirming.confirm, user_id=user_id, email=account.user.email)


def _claims(call: Call[Any, Any], purpose: Purpose, token: str, seconds: int | None, count: int) -> list[str]:
    try:
        claims = call.hub.tokens.of_link(purpose, token, seconds=seconds)
    except Unauthenticated:
        raise _expired() from None
    if len(claims) != count:
        raise _expired()
    return claims


def _expired() -> InvalidField:
    return InvalidField("token", "range", "This link is not good any more: ask for a new one.")


def _must_be_on(call: Call[Any, Any]) -> None:
    if not call.hub.mail_post.is_on:
        raise NotFound("This hub sends no e-mail.")


def _button(label: str) -> str:
    return f"<form method=post><button class=primary>{escape(label)}</button></form>"


def _page(heading: str, rest: str = "") -> Response:
    content = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>{escape(heading)}</title><link rel="icon" href="/static/mark.svg" type="image/svg+xml">'
        '<link rel="stylesheet" href="/static/app.css">'
        f'<body class="email-page"><main class="card"><h1>{escape(heading)}</h1>{rest}</main></body></html>'
    )
    return Response(content, headers={"cache-control": "no-store"}, media_type="text/html")
