"""The delivery worker with push: sending, retries, attention and limits, against a local push service."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from sqlalchemy import Connection, select

from services.accounts import sessions
from services.database.database import Database
from services.delivery import dns_resolver, push_subscriptions, queue
from services.delivery.push_client import PushClient
from services.delivery.push_connections import MAX_RESPONSE_BYTES
from services.delivery.push_endpoints import MAX_CONCURRENT_SENDS, PushEndpoints
from services.delivery.worker import MAX_ATTEMPTS, MAX_CONCURRENT, MAX_CONCURRENT_PER_USER
from services.notifications import changes, preferences
from services.notifications.preferences import DEFAULTS, Choice
from services.notifications.quiet_hours import QuietHours
from services.tables import deliveries, events
from services.tables import push_subscriptions as table_push_subscriptions
from services.times import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from tests.support.delivery_setup import NOON, DeliverySetup
from tests.support.push_service import Browser, LocalPushService, Reply, base64url_decode
from tests.support.timeouts import TIMEOUT_SECONDS


@pytest.fixture
async def setup(database: Database, tmp_path: Path) -> AsyncIterator[DeliverySetup]:
    async with LocalPushService() as push_service:
        client = PushClient(PushEndpoints(push_service.origin), tmp_path / "keys", "mailto:ops@example.org")
        setup = DeliverySetup(database, push_service, tmp_path / "keys", client)
        yield setup
        await setup.push_client.stop()


async def test_push_is_readable_only_by_its_browser_and_has_all_headers(setup: DeliverySetup) -> None:
    browser, other = setup.push_service.browser("a"), setup.push_service.browser("b")
    ann = await setup.create_user(browser)
    notification_id = await setup.send(
        ann,
        title="You are hired",
        priority="urgent",
        category="hire",
        url="/jobs/1",
        icon="🎉",
        collapse_key="hire/1",
        expires_at=NOON + HOUR_MS,
    )
    assert await setup.run_worker() == 1
    (request,) = setup.push_service.requests
    assert request.target == "/push/a"
    assert (request.headers["ttl"], request.headers["urgency"]) == ("3600", "high")
    assert len(base64url_decode(request.headers["topic"])) == 24
    assert request.headers["content-encoding"] == "aes128gcm"
    assert request.headers["authorization"].startswith("vapid t=")
    assert browser.read(request.body) == {
        "web_push": 8030,
        "mutable": True,
        "app_badge": 1,
        "notification": {
            "title": "🎉 You are hired",
            "body": "B",
            "navigate": "https://hub.example/jobs/1",
            "tag": "hire/1",
            "silent": False,
            "timestamp": NOON,
            "data": {"id": notification_id, "type": "t", "category": "hire", "priority": "urgent", "url": "/jobs/1"},
        },
    }
    with pytest.raises(InvalidTag):
        other.read(request.body)
    report = await setup.get_report(ann, notification_id)
    assert (report.push.state, report.push.attempts[0].tries) == ("sent", 1)
    assert await setup.run_worker(DAY_MS) == 1, "once"


@pytest.mark.parametrize(
    ("priority", "urgency", "ttl"),
    [
        ("low", "low", 6 * HOUR_MS),
        ("normal", "normal", DAY_MS),
        ("high", "high", 3 * DAY_MS),
        ("urgent", "high", 7 * DAY_MS),
    ],
)
async def test_urgency_and_ttl_follow_from_the_priority(
    setup: DeliverySetup, priority: str, urgency: str, ttl: int
) -> None:
    ann = await setup.create_user(setup.push_service.browser())
    await setup.send(ann, priority=priority)
    await setup.run_worker()
    (request,) = setup.push_service.requests
    assert (request.headers["urgency"], request.headers["ttl"]) == (urgency, str(ttl // SECOND_MS))
    assert "topic" not in request.headers


@pytest.mark.parametrize("characters", ["xx", "ää", "🎉🎉", '""', "x\n", "x\u2028"])
async def test_long_body_is_cut_to_the_record_size(setup: DeliverySetup, characters: str) -> None:
    browser = setup.push_service.browser()
    ann = await setup.create_user(browser)
    await setup.send(ann, title="ä" * 200, body=characters * 1_000, url="/" + "x" * 499, collapse_key="k" * 64)
    await setup.run_worker()
    notification = browser.read(setup.push_service.requests[0].body)["notification"]
    assert notification["title"] == "ä" * 200
    assert len(notification["body"]) > 300


@pytest.mark.parametrize("status", [404, 410])
async def test_gone_subscription_is_deleted_and_its_deliveries_fail(setup: DeliverySetup, status: int) -> None:
    gone, here = setup.push_service.browser("gone"), setup.push_service.browser("here")
    ann = await setup.create_user(gone, here)
    ids = [await setup.send(ann) for _ in range(MAX_CONCURRENT_PER_USER + 1)]
    setup.push_service.status_by_target = {"/push/gone": status}
    await setup.run_worker()
    endpoints = await setup.database.read(
        lambda tx: tx.execute(select(table_push_subscriptions.c.endpoint)).scalars().all()
    )
    assert endpoints == [here.endpoint]
    await setup.run_worker(HOUR_MS)
    targets = [request.target for request in setup.push_service.requests]
    assert targets.count("/push/here") == len(ids)
    assert targets.count("/push/gone") < len(ids), "waiting deliveries were not sent"
    for notification_id in ids:
        report = await setup.get_report(ann, notification_id)
        assert sorted((attempt.state, attempt.reason) for attempt in report.push.attempts) == [
            ("failed", "gone"),
            ("sent", None),
        ]
    before = len(targets)
    assert await setup.run_worker(DAY_MS) == before


@pytest.mark.parametrize("status", [400, 401, 403, 405, 413, 301, 302, 307, 308])
async def test_other_rejections_fail_the_delivery_and_keep_the_subscription(setup: DeliverySetup, status: int) -> None:
    ann = await setup.create_user(setup.push_service.browser())
    notification_id = await setup.send(ann)
    setup.push_service.replies = [Reply(status, {"location": f"{setup.push_service.origin}/elsewhere"})]
    assert await setup.run_worker() == 1
    report = await setup.get_report(ann, notification_id)
    assert (report.push.state, report.push.reason) == ("failed", f"status {status}")
    assert await setup.run_worker(DAY_MS) == 1, "redirects are not followed"
    await setup.send(ann)
    assert await setup.run_worker() == 2, "the subscription still exists"


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_delivery_is_retried_with_growing_delays_until_it_fails(setup: DeliverySetup, status: int) -> None:
    ann = await setup.create_user(setup.push_service.browser())
    notification_id = await setup.send(ann, priority="urgent")
    setup.push_service.replies = [Reply(status)] * MAX_ATTEMPTS
    delays = []
    for count in range(1, MAX_ATTEMPTS + 1):
        assert await setup.run_worker() == count
        (attempt,) = (await setup.get_report(ann, notification_id)).push.attempts
        if attempt.next_at is None:
            break
        due_at = await setup.database.read(lambda tx: tx.execute(select(deliveries.c.due_at)).scalar_one())
        delays.append(due_at - setup.now)
        assert await setup.run_worker(delays[-1] - 1) == count, "not before"
        setup.now += 1
    assert attempt.state == "failed"
    assert len(delays) == MAX_ATTEMPTS - 1
    assert 4 * SECOND_MS <= delays[0] <= 6 * SECOND_MS
    assert all(after > before for before, after in pairwise(delays[:5]))
    assert max(delays) <= 72 * MINUTE_MS
    assert await setup.run_worker(DAY_MS) == MAX_ATTEMPTS


@pytest.mark.parametrize("retry_after", ["600", "Thu, 15 Jan 2026 12:10:00 GMT"])
async def test_retry_after_postpones_all_deliveries_of_the_subscription(
    setup: DeliverySetup, retry_after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await setup.create_user(setup.push_service.browser())
    await setup.send(ann)
    setup.push_service.replies = [Reply(429, {"retry-after": retry_after})]
    await setup.run_worker()
    await setup.send(ann)
    assert await setup.run_worker(10 * MINUTE_MS - SECOND_MS) == 1
    assert await setup.run_worker(2 * SECOND_MS) == 3


async def test_endless_response_body_is_not_read_to_the_end(setup: DeliverySetup) -> None:
    ann = await setup.create_user(setup.push_service.browser())
    notification_id = await setup.send(ann)
    setup.push_service.replies = [Reply(body=b"x" * (MAX_RESPONSE_BYTES + 1), length=10**12)]
    await setup.run_worker()
    assert (await setup.get_report(ann, notification_id)).push.state == "sent"


async def test_oldest_subscription_is_deleted_when_there_are_too_many(setup: DeliverySetup) -> None:
    ann = await setup.create_user(
        *(setup.push_service.browser(f"{n}") for n in range(push_subscriptions.MAX_SUBSCRIPTIONS + 2))
    )
    await setup.send(ann)
    for _ in range(push_subscriptions.MAX_SUBSCRIPTIONS):
        await setup.run_worker()
    assert sorted(request.target for request in setup.push_service.requests) == sorted(
        f"/push/{n}" for n in range(2, push_subscriptions.MAX_SUBSCRIPTIONS + 2)
    )


async def test_unreachable_push_service_is_retried(setup: DeliverySetup, unused_origin: str) -> None:
    ann = await setup.create_user(Browser(f"{unused_origin}/x"))
    notification_id = await setup.send(ann)
    await setup.use_endpoints(PushEndpoints(unused_origin))
    await setup.run_worker()
    (attempt,) = (await setup.get_report(ann, notification_id)).push.attempts
    assert (attempt.state, attempt.reason, attempt.tries) == ("waiting", "network", 1)


@pytest.fixture
def unused_origin() -> Iterator[str]:
    """An origin on which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_host_that_resolves_to_a_private_address_is_not_connected_to(setup: DeliverySetup) -> None:
    endpoints = PushEndpoints(None, lambda host, port: ["127.0.0.1"])
    ann = await setup.create_user(Browser("https://push.example/x"))
    notification_id = await setup.send(ann)
    await setup.use_endpoints(endpoints)
    await setup.run_worker()
    (attempt,) = (await setup.get_report(ann, notification_id)).push.attempts
    assert (attempt.state, attempt.reason) == ("waiting", "not public")
    assert setup.push_service.connections == 0


async def test_busy_resolver_postpones_the_push_without_counting_an_attempt(
    setup: DeliverySetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns_resolver, "TIMEOUT_SECONDS", 0.1)
    end = threading.Event()

    def resolve(host: str, port: int) -> list[str]:
        assert host == "127.0.0.1" or end.wait(TIMEOUT_SECONDS)
        return ["127.0.0.1"]

    endpoints = PushEndpoints(setup.push_service.origin, resolve)
    await setup.use_endpoints(endpoints)
    lookups = (endpoints.resolve(f"hole{number}.example", 443) for number in range(MAX_CONCURRENT_SENDS))
    await asyncio.gather(*lookups, return_exceptions=True)
    # Lookups that do not hang may be slow on a busy machine.
    monkeypatch.setattr(dns_resolver, "TIMEOUT_SECONDS", TIMEOUT_SECONDS)
    ann = await setup.create_user(setup.push_service.browser())
    notification_id = await setup.send(ann)
    assert await setup.run_worker() == 0
    (attempt,) = (await setup.get_report(ann, notification_id)).push.attempts
    assert (attempt.state, attempt.reason, attempt.tries) == ("waiting", "busy", 0)
    end.set()
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while await setup.run_worker(6 * SECOND_MS) == 0:
            pass
    assert (await setup.get_report(ann, notification_id)).push.state == "sent"


async def test_active_user_gets_no_push_after_the_acknowledgement(setup: DeliverySetup) -> None:
    ann = await setup.create_user(setup.push_service.browser())
    setup.user_active = True
    notification_id = await setup.send(ann)
    assert await setup.run_worker() == 0
    position = await setup.database.read(lambda tx: tx.execute(select(events.c.position)).scalars().all()[-1])
    setup.user_active, setup.position = False, position
    assert await setup.run_worker(HOUR_MS) == 0
    report = await setup.get_report(ann, notification_id)
    assert (report.push.state, report.push.reason) == ("skipped", "looking")


async def test_push_is_sent_when_the_event_was_never_acknowledged(setup: DeliverySetup) -> None:
    ann = await setup.create_user(setup.push_service.browser())
    setup.user_active = True
    await setup.send(ann)
    assert await setup.run_worker() == 0
    setup.user_active = False
    assert await setup.run_worker(10 * SECOND_MS) == 0
    assert await setup.run_worker(MINUTE_MS) == 1


async def test_user_who_stays_active_gets_no_push_without_acknowledgement(setup: DeliverySetup) -> None:
    ann = await setup.create_user(setup.push_service.browser())
    setup.user_active = True
    notification_id = await setup.send(ann)
    for _ in range(6):
        assert await setup.run_worker(MINUTE_MS) == 0
    assert (await setup.get_report(ann, notification_id)).push.reason == "looking"


async def test_inactive_user_gets_a_push_despite_an_acknowledgement(setup: DeliverySetup) -> None:
    ann = await setup.create_user(setup.push_service.browser())
    setup.position = 10**9
    await setup.send(ann)
    assert await setup.run_worker() == 1


async def test_hidden_notification_is_pushed_to_an_active_user(setup: DeliverySetup) -> None:
    ann = await setup.create_user(setup.push_service.browser())
    categories = DEFAULTS | {"job": Choice(in_app=False, push=True, email=False)}
    await setup.database.write(preferences.save, user_id=ann, categories=categories, quiet_hours=None, now=1)
    setup.user_active = True
    await setup.send(ann)
    assert await setup.run_worker() == 1


@pytest.mark.parametrize("verb", ["read", "seen", "archive"])
async def test_push_is_skipped_when_the_notification_was_seen(setup: DeliverySetup, verb: Any) -> None:
    ann = await setup.create_user(setup.push_service.browser())
    notification_id = await setup.send(ann)
    await setup.database.write(changes.change_ids, user_id=ann, verb=verb, ids=[notification_id], now=setup.now)
    assert await setup.run_worker() == 0
    assert (await setup.get_report(ann, notification_id)).push.reason == "seen"


async def test_quiet_hours_set_later_postpone_the_push_unless_urgent(setup: DeliverySetup) -> None:
    ann = await setup.create_user(setup.push_service.browser())
    quiet_hours = QuietHours(from_="11:00", to="13:00", time_zone="UTC")
    await setup.send(ann)
    await setup.send(ann, priority="urgent")
    await setup.database.write(preferences.save, user_id=ann, categories=DEFAULTS, quiet_hours=quiet_hours, now=1)
    assert await setup.run_worker() == 1
    assert setup.push_service.requests[0].headers["urgency"] == "high"
    assert await setup.run_worker(HOUR_MS - 1) == 1
    assert await setup.run_worker(1) == 2


async def test_expired_or_late_push_is_not_sent(setup: DeliverySetup) -> None:
    ann = await setup.create_user(setup.push_service.browser())
    ids = [await setup.send(ann, expires_at=NOON + HOUR_MS), await setup.send(ann)]
    assert await setup.run_worker(2 * DAY_MS) == 0
    reports = [(await setup.get_report(ann, notification_id)).push for notification_id in ids]
    assert [(report.state, report.reason) for report in reports] == [("skipped", "expired"), ("failed", "too late")]


async def test_browser_of_another_user_gets_no_push_of_the_previous_user(setup: DeliverySetup) -> None:
    browser = setup.push_service.browser()
    ann = await setup.create_user(browser)
    notification_id = await setup.send(ann)
    bob = await setup.create_user(browser)
    assert await setup.run_worker() == 0
    assert (await setup.get_report(ann, notification_id)).push.reason == "gone"
    await setup.send(bob)
    assert await setup.run_worker() == 1


async def test_subscription_ends_with_its_session(setup: DeliverySetup) -> None:
    ann = await setup.create_user(setup.push_service.browser())

    def log_out(tx: Connection) -> None:
        (session,) = sessions.list_for_user(tx, user_id=ann, current=None, after=None, limit=5, now=2).items
        sessions.revoke(tx, session_id=session.id, user_id=ann, now=2)

    notification_id = await setup.send(ann)
    await setup.database.write(log_out)
    assert await setup.run_worker() == 0
    assert (await setup.get_report(ann, notification_id)).push.reason == "gone"


async def test_slow_push_services_of_one_user_do_not_delay_other_users(setup: DeliverySetup) -> None:
    slow = await setup.create_user(*(setup.push_service.browser(f"slow{n}") for n in range(8)))
    setup.push_service.replies = [Reply(hang=True)] * MAX_CONCURRENT_PER_USER
    for _ in range(10):
        await setup.send(slow)
    await setup.worker.run_once()
    await setup.push_service.wait_for(MAX_CONCURRENT_PER_USER)
    quick = await setup.create_user(setup.push_service.browser("quick"))
    await setup.send(quick)
    await setup.worker.run_once()
    requests = await setup.push_service.wait_for(MAX_CONCURRENT_PER_USER + 1)
    assert requests[-1].target == "/push/quick"
    await setup.worker.stop()


async def test_unsent_delivery_is_sent_once_by_the_next_worker(setup: DeliverySetup) -> None:
    ann = await setup.create_user(setup.push_service.browser())
    notification_id = await setup.send(ann)
    next_worker = setup.new_worker()
    await next_worker.run_once()
    await next_worker.finish(TIMEOUT_SECONDS)
    assert len(setup.push_service.requests) == 1
    assert await setup.run_worker(DAY_MS) == 1
    assert (await setup.get_report(ann, notification_id)).push.state == "sent"


async def test_test_push_is_sent_to_every_browser_of_an_active_user(setup: DeliverySetup) -> None:
    a, b = setup.push_service.browser("a"), setup.push_service.browser("b")
    ann = await setup.create_user(a, b)
    setup.user_active = True
    result = await setup.database.write(queue.queue_test, user_id=ann, now=setup.now)
    assert result.subscriptions == 2
    assert await setup.run_worker() == 2
    read: dict[str, Callable[[bytes], Any]] = {"/push/a": a.read, "/push/b": b.read}
    for request in setup.push_service.requests:
        assert read[request.target](request.body)["notification"]["tag"] == "test"


async def test_unexpected_errors_count_as_attempts_and_do_not_block_others(setup: DeliverySetup) -> None:
    # More deliveries than the worker sends concurrently, to an endpoint that the hub no longer accepts.
    failing = [await setup.create_user(Browser(f"http://elsewhere.example/{n}")) for n in range(MAX_CONCURRENT + 1)]
    ids = [await setup.send(user_id) for user_id in failing]
    other = await setup.create_user(setup.push_service.browser())
    await setup.send(other)
    for _ in range(3):
        await setup.worker.run_once()
        await setup.worker.finish(TIMEOUT_SECONDS)
    assert [request.target for request in setup.push_service.requests] == ["/push/one"]
    (attempt,) = (await setup.get_report(failing[0], ids[0])).push.attempts
    assert (attempt.state, attempt.reason, attempt.tries) == ("waiting", "internal", 1)
    for _ in range(MAX_ATTEMPTS):
        await setup.run_worker(2 * HOUR_MS)
    (attempt,) = (await setup.get_report(failing[0], ids[0])).push.attempts
    assert (attempt.state, attempt.tries) == ("failed", MAX_ATTEMPTS)
