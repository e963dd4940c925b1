"""Web Push over HTTP: the key to subscribe to, one's browsers that take push, and a test."""

from api.http.bodies import Body, Line64, Line120, Line1000
from api.operations.call import Call
from services.delivery import push_subscriptions, queue
from services.delivery.base64url import decode, encode
from services.delivery.push_subscriptions import SubscriptionSaved
from services.delivery.queue import TestResult
from services.errors import InvalidField, Unauthenticated
from services.schemas import Schema


class SubscriptionKeys(Body, frozen=True):
    """The browser's public key and its secret, base64url."""

    p256dh: Line120
    auth: Line64


class Subscription(Body, frozen=True):
    """A browser's subscription as `PushSubscription.toJSON()` gives it."""

    endpoint: Line1000
    keys: SubscriptionKeys
    expiration_time: float | None = None


class SubscriptionEndpoint(Body, frozen=True):
    """A browser's subscription, by its endpoint."""

    endpoint: Line1000


class PushKey(Schema, frozen=True):
    """The hub's public key, for `applicationServerKey`."""

    key: str


async def get_key(call: Call[None, None]) -> PushKey:
    """The key that a browser subscribes to."""
    return PushKey(key=await call.hub.push.public_key())


async def subscribe(call: Call[Subscription, None]) -> SubscriptionSaved:
    """Take push in this browser, or renew it; it ends with the session it was asked for in."""
    hub, body = call.hub, call.body
    hub.rate_limits.push.hit(call.user.id)
    login = call.caller.session_id
    if login is None:
        raise Unauthenticated
    p256dh, auth = _key(body.keys.p256dh, "p256dh", 65), _key(body.keys.auth, "auth", 16)
    if not await hub.push.is_valid_key(p256dh):
        raise InvalidField("/keys/p256dh", "range", "That is not a point of the curve P-256.")
    await hub.push_endpoints.check(body.endpoint, call.user.id)
    return await call.write(
        push_subscriptions.save,
        user_id=call.user.id,
        session_id=login,
        endpoint=body.endpoint,
        p256dh=encode(p256dh),
        auth=encode(auth),
    )


async def unsubscribe(call: Call[SubscriptionEndpoint, None]) -> None:
    """Take no push in this browser any more."""
    await call.write(push_subscriptions.delete_by_endpoint, user_id=call.user.id, endpoint=call.body.endpoint)


async def send_test(call: Call[None, None]) -> TestResult:
    """Send a test to each of one's browsers."""
    call.hub.rate_limits.push.hit(call.user.id)
    return await call.write(queue.queue_test, user_id=call.user.id)


def _key(text: str, name: str, length: int) -> bytes:
    try:
        raw = decode(text)
    except ValueError:
        raw = b""
    if len(raw) != length:
        raise InvalidField(f"/keys/{name}", "length", f"That must be {length} bytes in base64url.")
    return raw
