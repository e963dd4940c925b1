"""Why a notification did, or did not, go out: what was decided when it was made, and what came of it since."""

from collections.abc import Sequence
from typing import Literal

from sqlalchemy import Connection, bindparam, select

from services.errors import NotFound
from services.schemas import Schema
from services.tables import deliveries, notifications
from services.times import to_rfc3339, to_rfc3339_or_none

State = Literal["shown", "hidden", "waiting", "sent", "skipped", "failed", "off", "nowhere", "unknown"]

_n, _p = notifications.c, deliveries.c
_ONE = select(_n.id, _n.created_at, _n.hidden, _n.by_push, _n.by_email, _n.seen_at, _n.read_at).where(
    _n.id == bindparam("which"), _n.user_id == bindparam("owner")
)
_ORDERS = select(deliveries).where(_p.notification_id == bindparam("which")).order_by(_p.id).limit(bindparam("most"))

# What a person reads; the words after a colon in `reason` are for programs.
_WHY = {
    "off": "You have turned this way off for this category.",
    "nowhere": "There was nowhere to send it: no browser takes push, or no e-mail address is confirmed.",
    "unknown": "It was made before the hub kept this.",
}
# Browsers a user has are fewer.
_MOST = 50


class Attempt(Schema, frozen=True):
    """One place it goes to by a way; `reason` says why it was put off, left out or given up."""

    state: State
    reason: str | None
    tries: int
    next_at: str | None
    done_at: str | None


class MethodReport(Schema, frozen=True):
    """What became of it by one way, and by each place of that way."""

    state: State
    reason: str | None
    attempts: Sequence[Attempt] = ()


class DeliveryReport(Schema, frozen=True):
    """What became of a notification."""

    id: str
    created_at: str
    seen_at: str | None
    read_at: str | None
    in_app: MethodReport
    push: MethodReport
    email: MethodReport


def get_report(tx: Connection, *, notification_id: str, user_id: str) -> DeliveryReport:
    """What became of one of a user's notifications, a hidden or expired one too. Raises NotFound."""
    row = tx.execute(_ONE, {"which": notification_id, "owner": user_id}).one_or_none()
    if row is None:
        raise NotFound
    attempts: dict[str, list[Attempt]] = {"push": [], "email": []}
    for order in tx.execute(_ORDERS, {"which": notification_id, "most": _MOST}):
        attempts[order.way].append(
            Attempt(
                state=order.fate,
                reason=order.reason,
                tries=order.tries,
                next_at=to_rfc3339_or_none(order.due_at),
                done_at=to_rfc3339_or_none(order.done_at),
            )
        )
    return DeliveryReport(
        id=row.id,
        created_at=to_rfc3339(row.created_at),
        seen_at=to_rfc3339_or_none(row.seen_at),
        read_at=to_rfc3339_or_none(row.read_at),
        in_app=MethodReport(state="hidden", reason=_WHY["off"])
        if row.hidden
        else MethodReport(state="shown", reason=None),
        push=_by_way(row.by_push or "unknown", attempts["push"]),
        email=_by_way(row.by_email or "unknown", attempts["email"]),
    )


def _by_way(decided: State, attempts: list[Attempt]) -> MethodReport:
    """The best that came of it: one place that it reached is enough."""
    if decided != "waiting":
        return MethodReport(state=decided, reason=_WHY[decided])
    for state in ("sent", "waiting", "skipped", "failed"):
        for attempt in attempts:
            if attempt.state == state:
                return MethodReport(state=state, reason=attempt.reason, attempts=attempts)
    return MethodReport(state="unknown", reason="What came of it is not kept any more.")
