"""Sends notifications on behalf of services and admins."""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import UNSET, UnsetType
from sqlalchemy import Connection

from services.accounts import users
from services.accounts.users import UserRef
from services.errors import InvalidField
from services.notifications import inbox
from services.notifications.draft import NotificationDraft
from services.schemas import Schema

# Recipients of one call. The writer is busy for about 50 ms with so many.
MAX_RECIPIENTS = 1_000


@dataclass(frozen=True, slots=True)
class SendRequest:
    """A draft and its recipients; `as_list` means that the request named a list, so the response has `ids`."""

    draft: NotificationDraft
    recipients: Sequence[UserRef]
    as_list: bool


class SendResult(Schema, frozen=True):
    """The id of the notification, or the ids in the order of the recipients; a repeated recipient counts once."""

    id: str | UnsetType = UNSET
    ids: list[str] | UnsetType = UNSET


def send(tx: Connection, *, request: SendRequest, now: int) -> SendResult:
    """Send one draft.

    Raises InvalidField for an unknown user, for more than MAX_RECIPIENTS recipients and for a past expiry time.
    """
    return _send(tx, [request], f"{request.draft.pointer}/userIds", now)[0]


@dataclass(frozen=True, slots=True)
class SingleSend:
    """A draft for one recipient; `now` is the time of the request (ms)."""

    draft: NotificationDraft
    recipient: UserRef
    now: int


def send_coalesced(tx: Connection, sends: Sequence[SingleSend]) -> list[SendResult | InvalidField]:
    """Send drafts of several callers in one unit of work (see CoalescedUnit); return a result or an error for each.

    An unknown user or a past expiry time fails only its own request.
    """
    now = max(single.now for single in sends)
    user_ids = users.find_refs(tx, refs=[single.recipient for single in sends])
    errors = [_find_error(single, user_id, now) for single, user_id in zip(sends, user_ids, strict=True)]
    items = [
        (user_id, single.draft)
        for single, user_id, error in zip(sends, user_ids, errors, strict=True)
        if user_id is not None and error is None
    ]
    ids = iter(inbox.deliver(tx, items=items, now=now) if items else ())
    return [SendResult(id=next(ids)) if error is None else error for error in errors]


def send_batch(tx: Connection, *, requests: Sequence[SendRequest], now: int) -> list[SendResult]:
    """Send several drafts to MAX_RECIPIENTS recipients in all; return the results in order. Raises like `send`."""
    return _send(tx, requests, "", now)


def _send(tx: Connection, requests: Sequence[SendRequest], pointer: str, now: int) -> list[SendResult]:
    distinct = [len({(ref.user_id, ref.external_id) for ref in request.recipients}) for request in requests]
    if sum(distinct) > MAX_RECIPIENTS:
        raise InvalidField(pointer, "length", f"One call sends to at most {MAX_RECIPIENTS} recipients.")
    resolved = iter(users.resolve_refs(tx, refs=[ref for request in requests for ref in request.recipients]))
    recipients = [list(dict.fromkeys(next(resolved) for _ in request.recipients)) for request in requests]
    items = [
        (user_id, request.draft) for request, user_ids in zip(requests, recipients, strict=True) for user_id in user_ids
    ]
    ids = iter(inbox.deliver(tx, items=items, now=now))
    return [
        _to_result(request, [next(ids) for _ in user_ids])
        for request, user_ids in zip(requests, recipients, strict=True)
    ]


def _find_error(single: SingleSend, user_id: str | None, now: int) -> InvalidField | None:
    if user_id is None:
        return users.unknown_user_error(single.recipient)
    try:
        single.draft.check_expiry(now)
    except InvalidField as error:
        return error
    return None


def _to_result(request: SendRequest, ids: list[str]) -> SendResult:
    return SendResult(ids=ids) if request.as_list else SendResult(id=ids[0])
