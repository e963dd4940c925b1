"""Sends what services and admins wrote: who is meant is found first, then all of it is put in, or nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import UNSET, UnsetType
from sqlalchemy import Connection

from services.accounts import users
from services.accounts.users import Ref
from services.errors import InvalidField
from services.notifications import inbox as notifications
from services.notifications.draft import Letter
from services.schemas import Shape

# Recipients of one call: some 50 ms of the writer's time.
RECIPIENTS = 1_000


@dataclass(frozen=True, slots=True)
class Parcel:
    """A letter, and whom it is for; `many` says that they were named in a list, which the answer mirrors."""

    letter: Letter
    to: Sequence[Ref]
    many: bool


class Sent(Shape, frozen=True):
    """The id of what was made, or the ids in the order of the recipients; one who was named twice counts once."""

    id: str | UnsetType = UNSET
    ids: list[str] | UnsetType = UNSET


def send(tx: Connection, *, parcel: Parcel, now: int) -> Sent:
    """Send one letter. Raises InvalidField: an unknown user, more than 1,000 recipients, an expiry that is past."""
    return _send(tx, [parcel], f"{parcel.letter.at}/userIds", now)[0]


@dataclass(frozen=True, slots=True)
class Single:
    """A letter for one recipient; `now` is when it was sent."""

    letter: Letter
    to: Ref
    now: int


def send_each(tx: Connection, singles: Sequence[Single]) -> list[Sent | InvalidField]:
    """Send each of these, or say what is wrong with it: what many callers ask in the same moment (see `batch.Joint`).

    One unknown user or an expiry that is past keeps only that one back.
    """
    now = max(single.now for single in singles)
    known = users.known(tx, refs=[single.to for single in singles])
    faults = [_fault(single, user_id, now) for single, user_id in zip(singles, known, strict=True)]
    mail = [
        (user_id, single.letter)
        for single, user_id, fault in zip(singles, known, faults, strict=True)
        if user_id is not None and fault is None
    ]
    made = iter(notifications.deliver(tx, mail=mail, now=now) if mail else ())
    return [Sent(id=next(made)) if fault is None else fault for fault in faults]


def send_batch(tx: Connection, *, parcels: Sequence[Parcel], now: int) -> list[Sent]:
    """Send several letters, to 1,000 recipients in all; what was sent, in their order. Raises like `send`."""
    return _send(tx, parcels, "", now)


def _send(tx: Connection, parcels: Sequence[Parcel], pointer: str, now: int) -> list[Sent]:
    named = [len({(ref.user_id, ref.external_id) for ref in parcel.to}) for parcel in parcels]
    if sum(named) > RECIPIENTS:
        raise InvalidField(pointer, "length", f"One call sends to {RECIPIENTS} recipients at most.")
    found = iter(users.resolve(tx, refs=[ref for parcel in parcels for ref in parcel.to]))
    recipients = [list(dict.fromkeys(next(found) for _ in parcel.to)) for parcel in parcels]
    mail = [(user_id, parcel.letter) for parcel, to in zip(parcels, recipients, strict=True) for user_id in to]
    made = iter(notifications.deliver(tx, mail=mail, now=now))
    return [_sent(parcel, [next(made) for _ in to]) for parcel, to in zip(parcels, recipients, strict=True)]


def _fault(single: Single, user_id: str | None, now: int) -> InvalidField | None:
    if user_id is None:
        return users.unknown(single.to)
    try:
        single.letter.check_expiry(now)
    except InvalidField as error:
        return error
    return None


def _sent(parcel: Parcel, ids: list[str]) -> Sent:
    return Sent(ids=ids) if parcel.many else Sent(id=ids[0])
