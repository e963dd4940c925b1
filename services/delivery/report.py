"""Why a notification did, or did not, go out: what was decided when it was made, and what came of it since."""

from collections.abc import Sequence
from typing import Literal

from sqlalchemy import Connection, bindparam, select

from services.errors import NotFound
from services.schemas import Shape
from services.tables import notifications, pushes
from services.times import render, render_optional

State = Literal["shown", "hidden", "waiting", "sent", "skipped", "failed", "off", "nowhere", "unknown"]

_n, _p = notifications.c, pushes.c
_ONE = select(_n.id, _n.created_at, _n.hidden, _n.by_push, _n.by_email, _n.seen_at, _n.read_at).where(
    _n.id == bindparam("which"), _n.user_id == bindparam("owner")
)
_ORDERS = select(pushes).where(_p.notification_id == bindparam("which")).order_by(_p.id).limit(bindparam("most"))

# What a person reads; the words after a colon in `reason` are for programs.
_WHY = {
    "off": "You have turned this way off for this category.",
    "nowhere": "There was nowhere to send it: no browser takes push, or no e-mail address is confirmed.",
    "unknown": "It was made before the hub kept this.",
}
# Browsers a user has are fewer.
_MOST = 50


class Attempt(Shape, frozen=True):
    """One place it goes to by a way; `reason` says why it was put off, left out or given up."""

    state: State
    reason: str | None
    tries: int
    next_at: str | None
    done_at: str | None


class ByWay(Shape, frozen=True):
    """What became of it by one way, and by each place of that way."""

    state: State
    reason: str | None
    attempts: Sequence[Attempt] = ()


class Delivery(Shape, frozen=True):
    """What became of a notification."""

    id: str
    created_at: str
    seen_at: str | None
    read_at: str | None
    in_app: ByWay
    push: ByWay
    email: ByWay


def of(tx: Connection, *, notification_id: str, user_id: str) -> Delivery:
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
                next_at=render_optional(order.due_at),
                done_at=render_optional(order.done_at),
            )
        )
    return Delivery(
        id=row.id,
        created_at=render(row.created_at),
        seen_at=render_optional(row.seen_at),
        read_at=render_optional(row.read_at),
        in_app=ByWay(state="hidden", reason=_WHY["off"]) if row.hidden else ByWay(state="shown", reason=None),
        push=_by_way(row.by_push or "unknown", attempts["push"]),
        email=_by_way(row.by_email or "unknown", attempts["email"]),
    )


def _by_way(decided: State, attempts: list[Attempt]) -> ByWay:
    """The best that came of it: one place that it reached is enough."""
    if decided != "waiting":
        return ByWay(state=decided, reason=_WHY[decided])
    for state in ("sent", "waiting", "skipped", "failed"):
        for attempt in attempts:
            if attempt.state == state:
                return ByWay(state=state, reason=attempt.reason, attempts=attempts)
    return ByWay(state="unknown", reason="What came of it is not kept any more.")
