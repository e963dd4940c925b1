"""Browsers that take push: told to the hub by their owner, gone with their login or when their push service says so."""

from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from services.ids import new_id
from services.schemas import Schema
from services.tables import deliveries, push_subscriptions
from services.times import to_rfc3339

# A user has a few browsers; the one renewed the longest ago goes.
MOST: Final = 10
ENDPOINT_LENGTH: Final = 1_000

_s = push_subscriptions.c
_put = insert(push_subscriptions)
# An endpoint is one browser's. Whoever signs in there now gets its notifications, and nobody else any more.
_PUT = _put.on_conflict_do_update(
    index_elements=[_s.endpoint],
    set_={name: _put.excluded[name] for name in ("user_id", "login_id", "p256dh", "auth", "renewed_at")},
).returning(_s.id, _s.created_at)
_SURPLUS = (
    select(_s.id)
    .where(_s.user_id == bindparam("owner"))
    .order_by(_s.renewed_at.desc(), _s.id.desc())
    .limit(-1)
    .offset(MOST)
)
_MINE = select(_s.id).where(_s.endpoint == bindparam("which"), _s.user_id == bindparam("owner"))
_OF = select(_s.id).where(_s.user_id == bindparam("owner"))
_DROP = delete(push_subscriptions).where(_s.id.in_(bindparam("ids", expanding=True)))
_p = deliveries.c
_GIVE_UP = (
    update(deliveries)
    .where(_p.subscription_id.in_(bindparam("ids", expanding=True)), _p.due_at.is_not(None))
    .values(fate="failed", reason=bindparam("why"), due_at=None, done_at=bindparam("at"))
)
_PAUSE = (
    update(push_subscriptions)
    .where(_s.id == bindparam("which"))
    .values(resume_at=func.max(func.coalesce(_s.resume_at, 0), bindparam("until")))
)


class SubscriptionSaved(Schema, frozen=True):
    """A browser that takes push now."""

    id: str
    endpoint: str
    created_at: str


def save(
    tx: Connection, *, user_id: str, login_id: str, endpoint: str, p256dh: str, auth: str, now: int
) -> SubscriptionSaved:
    """Take a browser's subscription, or renew it: its endpoint is what tells it from others."""
    row: dict[str, Any] = {
        "id": new_id(),
        "user_id": user_id,
        "login_id": login_id,
        "endpoint": endpoint,
        "p256dh": p256dh,
        "auth": auth,
        "resume_at": None,
        "created_at": now,
        "renewed_at": now,
    }
    made = tx.execute(_PUT, row).one()
    delete_gone(tx, ids=list(tx.execute(_SURPLUS, {"owner": user_id}).scalars()), why="too many", now=now)
    return SubscriptionSaved(id=made.id, endpoint=endpoint, created_at=to_rfc3339(made.created_at))


def remove(tx: Connection, *, user_id: str, endpoint: str, now: int) -> None:
    """Forget one of a user's own browsers; one that is not known is forgotten already."""
    delete_gone(
        tx, ids=list(tx.execute(_MINE, {"which": endpoint, "owner": user_id}).scalars()), why="removed", now=now
    )


def list_ids(tx: Connection, *, user_id: str) -> list[str]:
    """The ids of a user's browsers."""
    return list(tx.execute(_OF, {"owner": user_id}).scalars())


def delete_gone(tx: Connection, *, ids: list[str], why: str, now: int) -> None:
    """Forget these browsers; what was to be sent to them is not sent any more."""
    if ids:
        tx.execute(_DROP, {"ids": ids})
        tx.execute(_GIVE_UP, {"ids": ids, "why": why, "at": now})


def pause(tx: Connection, *, subscription_id: str, until: int, now: int) -> None:
    """Ask nothing of a browser's push service before `until` (ms)."""
    tx.execute(_PAUSE, {"which": subscription_id, "until": until})
