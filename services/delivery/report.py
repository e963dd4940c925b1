"""Explains why a notification was or was not delivered."""

from collections.abc import Sequence
from typing import Literal

from sqlalchemy import Connection, bindparam, select

from services.errors import NotFound
from services.schemas import Schema
from services.tables import deliveries, notifications
from services.times import to_rfc3339, to_rfc3339_or_none

State = Literal["shown", "hidden", "waiting", "sent", "skipped", "failed", "off", "nowhere", "unknown"]

_n, _d = notifications.c, deliveries.c
_FIND = select(_n.id, _n.created_at, _n.hidden, _n.push_decision, _n.email_decision, _n.seen_at, _n.read_at).where(
    _n.id == bindparam("id"), _n.user_id == bindparam("user_id")
)
_DELIVERIES = (
    select(deliveries)
    .where(_d.notification_id == bindparam("notification_id"))
    .order_by(_d.id)
    .limit(bindparam("limit"))
)

# Reasons of a decision, as sentences for the user. The reasons of attempts are short codes for programs.
_REASONS = {
    "off": "You have turned this delivery method off for this category.",
    "nowhere": "The hub could not reach you: no browser receives push, or no e-mail address is confirmed.",
    "unknown": "The notification is older than the delivery reports of this hub.",
}
# More than a user has subscriptions.
_MAX_ATTEMPTS = 50


class Attempt(Schema, frozen=True):
    """One delivery to a browser or e-mail address; `reason` says why it was postponed, skipped or failed."""

    state: State
    reason: str | None
    tries: int
    next_at: str | None
    done_at: str | None


class MethodReport(Schema, frozen=True):
    """The result of one delivery method, and its deliveries."""

    state: State
    reason: str | None
    attempts: Sequence[Attempt] = ()


class DeliveryReport(Schema, frozen=True):
    """The results of all delivery methods for a notification."""

    id: str
    created_at: str
    seen_at: str | None
    read_at: str | None
    in_app: MethodReport
    push: MethodReport
    email: MethodReport


def get_report(tx: Connection, *, notification_id: str, user_id: str) -> DeliveryReport:
    """Return the delivery report of a user's notification, also of a hidden or expired one. Raises NotFound."""
    row = tx.execute(_FIND, {"id": notification_id, "user_id": user_id}).one_or_none()
    if row is None:
        raise NotFound
    attempts: dict[str, list[Attempt]] = {"push": [], "email": []}
    for delivery in tx.execute(_DELIVERIES, {"notification_id": notification_id, "limit": _MAX_ATTEMPTS}):
        attempts[delivery.method].append(
            Attempt(
                state=delivery.outcome,
                reason=delivery.reason,
                tries=delivery.tries,
                next_at=to_rfc3339_or_none(delivery.due_at),
                done_at=to_rfc3339_or_none(delivery.done_at),
            )
        )
    return DeliveryReport(
        id=row.id,
        created_at=to_rfc3339(row.created_at),
        seen_at=to_rfc3339_or_none(row.seen_at),
        read_at=to_rfc3339_or_none(row.read_at),
        in_app=MethodReport(state="hidden", reason=_REASONS["off"])
        if row.hidden
        else MethodReport(state="shown", reason=None),
        push=_method_report(row.push_decision or "unknown", attempts["push"]),
        email=_method_report(row.email_decision or "unknown", attempts["email"]),
    )


def _method_report(decision: State, attempts: list[Attempt]) -> MethodReport:
    """Return the best result of the attempts: one successful delivery is enough."""
    if decision != "waiting":
        return MethodReport(state=decision, reason=_REASONS[decision])
    for state in ("sent", "waiting", "skipped", "failed"):
        for attempt in attempts:
            if attempt.state == state:
                return MethodReport(state=state, reason=attempt.reason, attempts=attempts)
    return MethodReport(state="unknown", reason="The deliveries of this notification are no longer stored.")
