"""What is due is sent to a real push service, once, when nobody is looking; its answer decides what comes next."""

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
from services.tables import deliveries as orders
from services.tables import events
from services.tables import push_subscriptions as browsers
from services.times import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from tests.support.delivery_setup import NOON, DeliverySetup
from tests.support.push_service import Browser, LocalPushService, Reply, base64url_decode


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[DeliverySetup]:
    async with LocalPushService() as push:
        service = PushClient(PushEndpoints(push.origin), tmp_path / "keys", "mailto:ops@example.org")
        world = DeliverySetup(database, push, tmp_path / "keys", service)
        yield world
        await world.push_client.stop()


async def test_what_is_sent_can_be_read_by_that_browser_alone_and_says_how_to_treat_it(world: DeliverySetup) -> None:
    browser, other = world.push_service.browser("a"), world.push_service.browser("b")
    ann = await world.create_user(browser)
    made = await world.send(
        ann,
        title="You are hired",
        priority="urgent",
        category="hire",
        url="/jobs/1",
        icon="🎉",
        collapse_key="hire/1",
        expires_at=NOON + HOUR_MS,
    )
    assert await world.run_worker() == 1
    (got,) = world.push_service.requests
    assert got.target == "/push/a"
    assert (got.headers["ttl"], got.headers["urgency"]) == ("3600", "high")
    assert len(base64url_decode(got.headers["topic"])) == 24
    assert got.headers["content-encoding"] == "aes128gcm"
    assert got.headers["authorization"].startswith("vapid t=")
    assert browser.read(got.body) == {
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
            "data": {"id": made, "type": "t", "category": "hire", "priority": "urgent", "url": "/jobs/1"},
        },
    }
    with pytest.raises(InvalidTag):
        other.read(got.body)
    fate = await world.get_report(ann, made)
    assert (fate.push.state, fate.push.attempts[0].tries) == ("sent", 1)
    assert await world.run_worker(DAY_MS) == 1, "once"


@pytest.mark.parametrize(
    ("priority", "urgency", "ttl"),
    [("low", "low", 6 * HOUR_MS), ("normal", "normal", DAY_MS), ("high", "high", 3 * DAY_MS), ("urgent", "high", 7 * DAY_MS)],
)
async def test_how_urgent_it_is_and_how_long_it_is_kept_follow_from_the_priority(
    world: DeliverySetup, priority: str, urgency: str, ttl: int
) -> None:
    ann = await world.create_user(world.push_service.browser())
    await world.send(ann, priority=priority)
    await world.run_worker()
    (got,) = world.push_service.requests
    assert (got.headers["urgency"], got.headers["ttl"]) == (urgency, str(ttl // SECOND_MS))
    assert "topic" not in got.headers


@pytest.mark.parametrize("pair", ["xx", "ää", "🎉🎉", '""', "x\n", "x\u2028"])
async def test_a_long_body_is_cut_to_what_fits_whatever_it_is_made_of(world: DeliverySetup, pair: str) -> None:
    browser = world.push_service.browser()
    ann = await world.create_user(browser)
    await world.send(ann, title="ä" * 200, body=pair * 1_000, url="/" + "x" * 499, collapse_key="k" * 64)
    await world.run_worker()
    told = browser.read(world.push_service.requests[0].body)["notification"]
    assert told["title"] == "ä" * 200
    assert len(told["body"]) > 300


@pytest.mark.parametrize("status", [404, 410])
async def test_a_browser_that_is_gone_is_forgotten_with_all_that_waits_for_it(world: DeliverySetup, status: int) -> None:
    gone, here = world.push_service.browser("gone"), world.push_service.browser("here")
    ann = await world.create_user(gone, here)
    made = [await world.send(ann) for _ in range(MAX_CONCURRENT_PER_USER + 1)]
    world.push_service.status_by_target = {"/push/gone": status}
    await world.run_worker()
    left = await world.database.read(lambda tx: tx.execute(select(browsers.c.endpoint)).scalars().all())
    assert left == [here.endpoint]
    await world.run_worker(HOUR_MS)
    asked = [got.target for got in world.push_service.requests]
    assert asked.count("/push/here") == len(made)
    assert asked.count("/push/gone") < len(made), "what waited for it was not sent any more"
    for each in made:
        fate = await world.get_report(ann, each)
        assert sorted((attempt.state, attempt.reason) for attempt in fate.push.attempts) == [
            ("failed", "gone"),
            ("sent", None),
        ]
    before = len(asked)
    assert await world.run_worker(DAY_MS) == before


@pytest.mark.parametrize("status", [400, 401, 403, 405, 413, 301, 302, 307, 308])
async def test_any_other_refusal_ends_that_one_and_keeps_the_browser(world: DeliverySetup, status: int) -> None:
    ann = await world.create_user(world.push_service.browser())
    made = await world.send(ann)
    world.push_service.replies = [Reply(status, {"location": f"{world.push_service.origin}/elsewhere"})]
    assert await world.run_worker() == 1
    fate = await world.get_report(ann, made)
    assert (fate.push.state, fate.push.reason) == ("failed", f"status {status}")
    assert await world.run_worker(DAY_MS) == 1, "nor is a redirect followed"
    await world.send(ann)
    assert await world.run_worker() == 2, "the browser is still there"


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_it_is_tried_again_later_and_later_and_given_up_in_the_end(world: DeliverySetup, status: int) -> None:
    ann = await world.create_user(world.push_service.browser())
    made = await world.send(ann, priority="urgent")
    world.push_service.replies = [Reply(status)] * MAX_ATTEMPTS
    waits = []
    for count in range(1, MAX_ATTEMPTS + 1):
        assert await world.run_worker() == count
        (attempt,) = (await world.get_report(ann, made)).push.attempts
        if attempt.next_at is None:
            break
        due = await world.database.read(lambda tx: tx.execute(select(orders.c.due_at)).scalar_one())
        waits.append(due - world.now)
        assert await world.run_worker(waits[-1] - 1) == count, "not before"
        world.now += 1
    assert attempt.state == "failed"
    assert len(waits) == MAX_ATTEMPTS - 1
    assert 4 * SECOND_MS <= waits[0] <= 6 * SECOND_MS
    assert all(after > before for before, after in pairwise(waits[:5]))
    assert max(waits) <= 72 * MINUTE_MS
    assert await world.run_worker(DAY_MS) == MAX_ATTEMPTS


@pytest.mark.parametrize("said", ["600", "Thu, 15 Jan 2026 12:10:00 GMT"])
async def test_a_push_service_that_says_when_is_not_asked_before_by_anything_for_that_browser(
    world: DeliverySetup, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await world.create_user(world.push_service.browser())
    await world.send(ann)
    world.push_service.replies = [Reply(429, {"retry-after": said})]
    await world.run_worker()
    await world.send(ann)
    assert await world.run_worker(10 * MINUTE_MS - SECOND_MS) == 1
    assert await world.run_worker(2 * SECOND_MS) == 3


async def test_of_an_answer_without_end_the_head_is_enough(world: DeliverySetup) -> None:
    ann = await world.create_user(world.push_service.browser())
    made = await world.send(ann)
    world.push_service.replies = [Reply(body=b"x" * (MAX_RESPONSE_BYTES + 1), length=10**12)]
    await world.run_worker()
    assert (await world.get_report(ann, made)).push.state == "sent"


async def test_a_user_has_a_few_browsers_and_the_one_renewed_the_longest_ago_goes(world: DeliverySetup) -> None:
    ann = await world.create_user(*(world.push_service.browser(f"{n}") for n in range(push_subscriptions.MAX_SUBSCRIPTIONS + 2)))
    await world.send(ann)
    for _ in range(push_subscriptions.MAX_SUBSCRIPTIONS):
        await world.run_worker()
    assert sorted(got.target for got in world.push_service.requests) == sorted(
        f"/push/{n}" for n in range(2, push_subscriptions.MAX_SUBSCRIPTIONS + 2)
    )


async def test_a_push_service_that_does_not_answer_is_asked_again(world: DeliverySetup, unused: str) -> None:
    ann = await world.create_user(Browser(f"{unused}/x"))
    made = await world.send(ann)
    await world.use_endpoints(PushEndpoints(unused))
    await world.run_worker()
    (attempt,) = (await world.get_report(ann, made)).push.attempts
    assert (attempt.state, attempt.reason, attempt.tries) == ("waiting", "network", 1)


@pytest.fixture
def unused() -> Iterator[str]:
    """An origin on which nothing listens."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{kept.getsockname()[1]}"


async def test_a_name_that_has_come_to_lead_inside_since_is_not_connected_to(world: DeliverySetup) -> None:
    inside = PushEndpoints(None, lambda host, port: ["127.0.0.1"])
    ann = await world.create_user(Browser("https://push.example/x"))
    made = await world.send(ann)
    await world.use_endpoints(inside)
    await world.run_worker()
    (attempt,) = (await world.get_report(ann, made)).push.attempts
    assert (attempt.state, attempt.reason) == ("waiting", "not public")
    assert world.push_service.connections == 0


async def test_a_push_that_others_names_keep_from_being_sent_costs_no_try_and_is_sent_later(
    world: DeliverySetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns_resolver, "TIMEOUT_SECONDS", 0.1)
    end = threading.Event()

    def resolve(host: str, port: int) -> list[str]:
        assert host == "127.0.0.1" or end.wait(60)
        return ["127.0.0.1"]

    endpoints = PushEndpoints(world.push_service.origin, resolve)
    await world.use_endpoints(endpoints)
    holes = (endpoints.resolve(f"hole{number}.example", 443) for number in range(MAX_CONCURRENT_SENDS))
    await asyncio.gather(*holes, return_exceptions=True)
    # What answers may take its time.
    monkeypatch.setattr(dns_resolver, "TIMEOUT_SECONDS", 60.0)
    ann = await world.create_user(world.push_service.browser())
    made = await world.send(ann)
    assert await world.run_worker() == 0
    (attempt,) = (await world.get_report(ann, made)).push.attempts
    assert (attempt.state, attempt.reason, attempt.tries) == ("waiting", "busy", 0)
    end.set()
    for _ in range(10):
        if await world.run_worker(6 * SECOND_MS):
            break
    assert (await world.get_report(ann, made)).push.state == "sent"


async def test_whoever_is_looking_gets_no_push_once_their_browser_has_it(world: DeliverySetup) -> None:
    ann = await world.create_user(world.push_service.browser())
    world.user_active = True
    made = await world.send(ann)
    assert await world.run_worker() == 0
    position = await world.database.read(lambda tx: tx.execute(select(events.c.position)).scalars().all()[-1])
    world.user_active, world.position = False, position
    assert await world.run_worker(HOUR_MS) == 0
    fate = await world.get_report(ann, made)
    assert (fate.push.state, fate.push.reason) == ("skipped", "looking")


async def test_a_stream_that_died_before_the_event_was_stored_is_made_up_for(world: DeliverySetup) -> None:
    ann = await world.create_user(world.push_service.browser())
    world.user_active = True
    await world.send(ann)
    assert await world.run_worker() == 0
    world.user_active = False
    assert await world.run_worker(10 * SECOND_MS) == 0
    assert await world.run_worker(MINUTE_MS) == 1


async def test_whoever_goes_on_looking_without_a_word_is_left_alone(world: DeliverySetup) -> None:
    ann = await world.create_user(world.push_service.browser())
    world.user_active = True
    made = await world.send(ann)
    for _ in range(6):
        assert await world.run_worker(MINUTE_MS) == 0
    assert (await world.get_report(ann, made)).push.reason == "looking"


async def test_an_open_page_that_nobody_touches_swallows_nothing(world: DeliverySetup) -> None:
    ann = await world.create_user(world.push_service.browser())
    world.position = 10**9
    await world.send(ann)
    assert await world.run_worker() == 1


async def test_what_is_off_in_the_app_is_pushed_even_to_who_is_looking_elsewhere(world: DeliverySetup) -> None:
    ann = await world.create_user(world.push_service.browser())
    chosen = DEFAULTS | {"job": Choice(in_app=False, push=True, email=False)}
    await world.database.write(preferences.save, user_id=ann, categories=chosen, quiet_hours=None, now=1)
    world.user_active = True
    await world.send(ann)
    assert await world.run_worker() == 1


@pytest.mark.parametrize("how", ["read", "seen", "archive"])
async def test_what_was_seen_meanwhile_is_not_sent(world: DeliverySetup, how: Any) -> None:
    ann = await world.create_user(world.push_service.browser())
    made = await world.send(ann)
    await world.database.write(changes.change_ids, user_id=ann, verb=how, ids=[made], now=world.now)
    assert await world.run_worker() == 0
    assert (await world.get_report(ann, made)).push.reason == "seen"


async def test_quiet_hours_that_were_set_meanwhile_hold_it_and_urgent_passes(world: DeliverySetup) -> None:
    ann = await world.create_user(world.push_service.browser())
    now = QuietHours(from_="11:00", to="13:00", time_zone="UTC")
    await world.send(ann)
    await world.send(ann, priority="urgent")
    await world.database.write(preferences.save, user_id=ann, categories=DEFAULTS, quiet_hours=now, now=1)
    assert await world.run_worker() == 1
    assert world.push_service.requests[0].headers["urgency"] == "high"
    assert await world.run_worker(HOUR_MS - 1) == 1
    assert await world.run_worker(1) == 2


async def test_what_nobody_could_be_told_in_time_is_not_told_too_late(world: DeliverySetup) -> None:
    ann = await world.create_user(world.push_service.browser())
    made = [await world.send(ann, expires_at=NOON + HOUR_MS), await world.send(ann)]
    assert await world.run_worker(2 * DAY_MS) == 0
    fates = [(await world.get_report(ann, each)).push for each in made]
    assert [(fate.state, fate.reason) for fate in fates] == [("skipped", "expired"), ("failed", "too late")]


async def test_a_browser_that_somebody_else_signed_in_on_gets_nothing_of_who_was_there_before(world: DeliverySetup) -> None:
    browser = world.push_service.browser()
    ann = await world.create_user(browser)
    made = await world.send(ann)
    bob = await world.create_user(browser)
    assert await world.run_worker() == 0
    assert (await world.get_report(ann, made)).push.reason == "gone"
    await world.send(bob)
    assert await world.run_worker() == 1


async def test_a_browser_goes_with_its_login(world: DeliverySetup) -> None:
    ann = await world.create_user(world.push_service.browser())

    def log_out(tx: Connection) -> None:
        (login,) = sessions.list_for_user(tx, user_id=ann, current=None, after=None, limit=5, now=2).items
        sessions.revoke(tx, session_id=login.id, user_id=ann, now=2)

    made = await world.send(ann)
    await world.database.write(log_out)
    assert await world.run_worker() == 0
    assert (await world.get_report(ann, made)).push.reason == "gone"


async def test_nobody_s_slow_browsers_keep_the_others_waiting(world: DeliverySetup) -> None:
    slow = await world.create_user(*(world.push_service.browser(f"slow{n}") for n in range(8)))
    world.push_service.replies = [Reply(hang=True)] * MAX_CONCURRENT_PER_USER
    for _ in range(10):
        await world.send(slow)
    await world.worker.run_once()
    await world.push_service.wait_for(MAX_CONCURRENT_PER_USER)
    quick = await world.create_user(world.push_service.browser("quick"))
    await world.send(quick)
    await world.worker.run_once()
    got = await world.push_service.wait_for(MAX_CONCURRENT_PER_USER + 1)
    assert got[-1].target == "/push/quick"
    await world.worker.stop()


async def test_what_was_committed_and_not_sent_is_sent_by_the_next_sender_once(world: DeliverySetup) -> None:
    ann = await world.create_user(world.push_service.browser())
    made = await world.send(ann)
    again = world.new_worker()
    await again.run_once()
    await again.finish(30)
    assert len(world.push_service.requests) == 1
    assert await world.run_worker(DAY_MS) == 1
    assert (await world.get_report(ann, made)).push.state == "sent"


async def test_a_test_goes_to_each_browser_whether_one_is_looking_or_not(world: DeliverySetup) -> None:
    a, b = world.push_service.browser("a"), world.push_service.browser("b")
    ann = await world.create_user(a, b)
    world.user_active = True
    tested = await world.database.write(queue.queue_test, user_id=ann, now=world.now)
    assert tested.subscriptions == 2
    assert await world.run_worker() == 2
    read: dict[str, Callable[[bytes], Any]] = {"/push/a": a.read, "/push/b": b.read}
    for got in world.push_service.requests:
        assert read[got.target](got.body)["notification"]["tag"] == "test"


async def test_what_cannot_be_sent_for_a_reason_nobody_thought_of_makes_room_for_the_others(world: DeliverySetup) -> None:
    # More than are under way at once, for an address that this hub took once and would not take now.
    strange = [await world.create_user(Browser(f"http://elsewhere.example/{n}")) for n in range(MAX_CONCURRENT + 1)]
    made = [await world.send(each) for each in strange]
    good = await world.create_user(world.push_service.browser())
    await world.send(good)
    for _ in range(3):
        await world.worker.run_once()
        await world.worker.finish(0.5)
    assert [got.target for got in world.push_service.requests] == ["/push/one"]
    (attempt,) = (await world.get_report(strange[0], made[0])).push.attempts
    assert (attempt.state, attempt.reason, attempt.tries) == ("waiting", "internal", 1)
    for _ in range(MAX_ATTEMPTS):
        await world.run_worker(2 * HOUR_MS)
    (attempt,) = (await world.get_report(strange[0], made[0])).push.attempts
    assert (attempt.state, attempt.tries) == ("failed", MAX_ATTEMPTS)
