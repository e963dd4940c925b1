"""Push subscriptions of browsers."""

from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, select, update

from services.database.statements import upsert
from services.ids import new_id
from services.schemas import Schema
from services.tables import deliveries, push_subscriptions
from services.times import to_rfc3339

# Subscriptions of one user. Above it, the one renewed the longest ago is deleted.
MAX_SUBSCRIPTIONS: Final = 10
MAX_ENDPOINT_LENGTH: Final = 1_000

_s = push_subscriptions.c
_insert = upsert(push_subscriptions)
# An endpoint identifies a browser. When another user signs in there, the subscription becomes that user's.
_UPSERT = _insert.on_conflict_do_update(
    index_elements=[_s.endpoint],
    set_={name: _insert.excluded[name] for name in ("user_id", "session_id", "p256dh", "auth", "renewed_at")},
).returning(_s.id, _s.created_at)
_OVER_LIMIT = (
    select(_s.id)
    .where(_s.user_id == bindparam("user_id"))
    .order_by(_s.renewed_at.desc(), _s.id.desc())
    .limit(-1)
    .offset(MAX_SUBSCRIPTIONS)
)
_FIND = select(_s.id).where(_s.endpoint == bindparam("endpoint"), _s.user_id == bindparam("user_id"))
_IDS_OF_USER = select(_s.id).where(_s.user_id == bindparam("user_id"))
_DELETE = delete(push_subscriptions).where(_s.id.in_(bindparam("ids", expanding=True)))
_d = deliveries.c
_FAIL_DELIVERIES = (
    update(deliveries)
    .where(_d.subscription_id.in_(bindparam("ids", expanding=True)), _d.due_at.is_not(None))
    .values(outcome="failed", reason=bindparam("new_reason"), due_at=None, done_at=bindparam("now"))
)
_PAUSE = (
    update(push_subscriptions)
    .where(_s.id == bindparam("subscription_id"))
    .values(resume_at=func.max(func.coalesce(_s.resume_at, 0), bindparam("until")))
)


class SubscriptionSaved(Schema, frozen=True):
    """A saved push subscription."""

    id: str
    endpoint: str
    created_at: str


def save(
    tx: Connection, *, user_id: str, session_id: str, endpoint: str, p256dh: str, auth: str, now: int
) -> SubscriptionSaved:
    """Create the subscription of a browser, or renew the one with the same endpoint."""
    row: dict[str, Any] = {
        "id": new_id(),
        "user_id": user_id,
        "session_id": session_id,
        "endpoint": endpoint,
        "p256dh": p256dh,
        "auth": auth,
        "resume_at": None,
        "created_at": now,
        "renewed_at": now,
    }
    saved = tx.execute(_UPSERT, row).one()
    over_limit = list(tx.execute(_OVER_LIMIT, {"user_id": user_id}).scalars())
    delete_gone(tx, ids=over_limit, reason="too many", now=now)
    return SubscriptionSaved(id=saved.id, endpoint=endpoint, created_at=to_rfc3339(saved.created_at))


def delete_by_endpoint(tx: Connection, *, user_id: str, endpoint: str, now: int) -> None:
    """Delete one of a user's subscriptions; an unknown endpoint is ignored."""
    ids = list(tx.execute(_FIND, {"endpoint": endpoint, "user_id": user_id}).scalars())
    delete_gone(tx, ids=ids, reason="removed", now=now)


def list_ids(tx: Connection, *, user_id: str) -> list[str]:
    """Return the ids of a user's subscriptions."""
    return list(tx.execute(_IDS_OF_USER, {"user_id": user_id}).scalars())


def delete_gone(tx: Connection, *, ids: list[str], reason: str, now: int) -> None:
    """Delete subscriptions, and record `reason` as the failure of their waiting deliveries."""
    if ids:
        tx.execute(_DELETE, {"ids": ids})
        tx.execute(_FAIL_DELIVERIES, {"ids": ids, "new_reason": reason, "now": now})


def pause(tx: Connection, *, subscription_id: str, until: int, now: int) -> None:
    """Send nothing to a subscription before `until` (ms)."""
    tx.execute(_PAUSE, {"subscription_id": subscription_id, "until": until})
