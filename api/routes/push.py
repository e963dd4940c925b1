"""Push subscriptions."""

from api.http.bodies import Body, Line64, Line120, Line1000
from api.operations.call import Call
from services.delivery import push_subscriptions, queue
from services.delivery.base64url import decode, encode
from services.delivery.push_subscriptions import SubscriptionSaved
from services.delivery.queue import TestResult
from services.errors import InvalidField, Unauthenticated
from services.schemas import Schema


class SubscriptionKeys(Body, frozen=True):
    """The public key and the authentication secret of a browser (base64url)."""

    p256dh: Line120
    auth: Line64


class Subscription(Body, frozen=True):
    """A push subscription, in the format of `PushSubscription.toJSON()`."""

    endpoint: Line1000
    keys: SubscriptionKeys
    expiration_time: float | None = None


class SubscriptionEndpoint(Body, frozen=True):
    """A push subscription, identified by its endpoint."""

    endpoint: Line1000


class PushKey(Schema, frozen=True):
    """The public key of the hub, for `applicationServerKey`."""

    key: str


async def get_key(call: Call[None, None]) -> PushKey:
    """Get the public key that browsers subscribe to."""
    return PushKey(key=await call.hub.push.public_key())


async def subscribe(call: Call[Subscription, None]) -> SubscriptionSaved:
    """Create or renew the push subscription of a browser; it ends with the current session."""
    hub, body = call.hub, call.body
    hub.rate_limits.push.hit(call.user.id)
    session_id = call.caller.session_id
    if session_id is None:
        raise Unauthenticated
    p256dh, auth = _decode_key(body.keys.p256dh, "p256dh", 65), _decode_key(body.keys.auth, "auth", 16)
    if not await hub.push.is_valid_key(p256dh):
        raise InvalidField("/keys/p256dh", "range", "The key is not a point of the curve P-256.")
    await hub.push_endpoints.check(body.endpoint, call.user.id)
    return await call.write(
        push_subscriptions.save,
        user_id=call.user.id,
        session_id=session_id,
        endpoint=body.endpoint,
        p256dh=encode(p256dh),
        auth=encode(auth),
    )


async def unsubscribe(call: Call[SubscriptionEndpoint, None]) -> None:
    """Delete the push subscription of a browser."""
    await call.write(push_subscriptions.delete_by_endpoint, user_id=call.user.id, endpoint=call.body.endpoint)


async def send_test(call: Call[None, None]) -> TestResult:
    """Send a test push to each of your browsers."""
    call.hub.rate_limits.push.hit(call.user.id)
    return await call.write(queue.queue_test, user_id=call.user.id)


def _decode_key(text: str, name: str, length: int) -> bytes:
    try:
        key = decode(text)
    except ValueError:
        key = b""
    if len(key) != length:
        raise InvalidField(f"/keys/{name}", "length", f"The key must have {length} bytes in base64url.")
    return key
