"""Sends what services and admins wrote: who is meant is found first, then all of it is put in, or nothing."""

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

# Recipients of one call: some 50 ms of the writer's time.
MAX_RECIPIENTS = 1_000


@dataclass(frozen=True, slots=True)
class SendRequest:
    """A letter, and whom it is for; `many` says that they were named in a list, which the answer mirrors."""

    letter: NotificationDraft
    recipients: Sequence[UserRef]
    as_list: bool


class SendResult(Schema, frozen=True):
    """The id of what was made, or the ids in the order of the recipients; one who was named twice counts once."""

    id: str | UnsetType = UNSET
    ids: list[str] | UnsetType = UNSET


def send(tx: Connection, *, parcel: SendRequest, now: int) -> SendResult:
    """Send one letter. Raises InvalidField: an unknown user, more than 1,000 recipients, an expiry that is past."""
    return _send(tx, [parcel], f"{parcel.letter.pointer}/userIds", now)[0]


@dataclass(frozen=True, slots=True)
class SingleSend:
    """A letter for one recipient; `now` is when it was sent."""

    letter: NotificationDraft
    recipient: UserRef
    now: int


def send_coalesced(tx: Connection, singles: Sequence[SingleSend]) -> list[SendResult | InvalidField]:
    """Send each of these, or say what is wrong with it: what many callers ask in the same moment (see `batch.Joint`).

    One unknown user or an expiry that is past keeps only that one back.
    """
    now = max(single.now for single in singles)
    known = users.find_refs(tx, refs=[single.recipient for single in singles])
    faults = [_fault(single, user_id, now) for single, user_id in zip(singles, known, strict=True)]
    mail = [
        (user_id, single.letter)
        for single, user_id, fault in zip(singles, known, faults, strict=True)
        if user_id is not None and fault is None
    ]
    made = iter(inbox.deliver(tx, items=mail, now=now) if mail else ())
    return [SendResult(id=next(made)) if fault is None else fault for fault in faults]


def send_batch(tx: Connection, *, parcels: Sequence[SendRequest], now: int) -> list[SendResult]:
    """Send several letters, to 1,000 recipients in all; what was sent, in their order. Raises like `send`."""
    return _send(tx, parcels, "", now)


def _send(tx: Connection, parcels: Sequence[SendRequest], pointer: str, now: int) -> list[SendResult]:
    named = [len({(ref.user_id, ref.external_id) for ref in parcel.recipients}) for parcel in parcels]
    if sum(named) > MAX_RECIPIENTS:
        raise InvalidField(pointer, "length", f"One call sends to {MAX_RECIPIENTS} recipients at most.")
    found = iter(users.resolve_refs(tx, refs=[ref for parcel in parcels for ref in parcel.recipients]))
    recipients = [list(dict.fromkeys(next(found) for _ in parcel.recipients)) for parcel in parcels]
    mail = [(user_id, parcel.letter) for parcel, to in zip(parcels, recipients, strict=True) for user_id in to]
    made = iter(inbox.deliver(tx, items=mail, now=now))
    return [_sent(parcel, [next(made) for _ in to]) for parcel, to in zip(parcels, recipients, strict=True)]


def _fault(single: SingleSend, user_id: str | None, now: int) -> InvalidField | None:
    if user_id is None:
        return users.unknown_user_error(single.recipient)
    try:
        single.letter.check_expiry(now)
    except InvalidField as error:
        return error
    return None


def _sent(parcel: SendRequest, ids: list[str]) -> SendResult:
    return SendResult(ids=ids) if parcel.as_list else SendResult(id=ids[0])
