"""Who comes back gets exactly what it missed, then live events; or a reset that says why."""

import asyncio

import pytest

from realtime.cursor import Cursor
from realtime.resume import ResumeDecision
from realtime.stream import Stream
from tests.realtime.conftest import MakeDriver
from tests.realtime.driver import SHARED, Client, Driver, confirm

OWN = ("user:u", *SHARED)


def reason_of(client: Client) -> str:
    assert client.types[:2] == ["connection_confirmed", "reset"]
    assert client.events[0].last_event_id == ""
    told = client.events[1].data
    assert told["cursor"] == client.events[1].last_event_id
    return str(told["reason"])


async def test_a_fresh_stream_stands_at_the_head_and_replays_nothing(driver: Driver) -> None:
    driver.publish("jobs", "1", "2")
    client = driver.open()
    assert client.types == ["connection_confirmed"]
    assert client.cursor == "e.2"
    await asyncio.sleep(0)
    assert client.event_data == []
    driver.publish("jobs", "3")
    await asyncio.sleep(0)
    assert client.event_data == ["3"]


async def test_coming_back_gives_what_was_missed_and_asks_no_log(driver: Driver) -> None:
    driver.publish("jobs", "1", "2")
    driver.publish("user:u", "3")
    driver.publish("user:v", "secret")
    client = await driver.connect("u", "e.1")
    assert client.events[0].last_event_id == "e.1"
    assert client.event_data == ["2", "3"]
    assert len(client.sink.chunks) == 1
    assert driver.history.reads == 0


async def test_the_seam_in_the_middle_of_a_turn_has_no_gap_and_no_repeat(driver: Driver) -> None:
    driver.publish("jobs", "1")
    await asyncio.sleep(0)
    driver.publish("jobs", "2")
    fresh, back = driver.open("u"), await driver.connect("v", "e.0")
    driver.publish("jobs", "3")
    await asyncio.sleep(0)
    assert fresh.event_data == ["3"]
    assert back.event_data == ["1", "2", "3"]


@pytest.mark.parametrize("verdict", [ResumeDecision.fresh(), ResumeDecision.resume(1), ResumeDecision.reset("trimmed")])
async def test_what_is_published_while_the_stream_opens_arrives_once(driver: Driver, verdict: ResumeDecision) -> None:
    driver.publish("jobs", "1")
    driver.open("other")

    def busy(session: Stream, cursor: Cursor | None) -> bytes:
        driver.publish("jobs", "2")
        driver.publish("user:u", "3")
        return confirm(session, cursor)

    client = driver.open("u", verdict, confirm=busy)
    driver.publish("jobs", "4")
    await asyncio.sleep(0)
    # After a reset everything is fetched anyway; the head it names covers what came before.
    assert client.event_data == (["4"] if verdict.reason else ["2", "3", "4"])
    assert client.cursor == "e.4"


async def test_between_judging_and_opening_nothing_is_lost(make_driver: MakeDriver) -> None:
    driver = await make_driver(backlog_events=3)
    driver.publish("jobs", "1")
    verdict = await driver.manager.decide_resume(Cursor("e", 1), False, OWN, "user:u")
    driver.publish("jobs", "2", "3", "4", "5", "6")
    client = driver.open("u", verdict)
    assert client.types == ["connection_confirmed"]
    driver.publish("jobs", "7")
    await driver.run_until_idle()
    driver.publish("jobs", "8")
    await driver.run_until_idle()
    assert client.event_data == ["2", "3", "4", "5", "6", "7", "8"]


async def test_a_cursor_ahead_of_what_was_published_skips_what_it_has(driver: Driver) -> None:
    driver.publish("jobs", "1")
    waiting = [
        driver.history.commit("jobs", b"2"),
        driver.history.commit("user:u", b"3"),
        driver.history.commit("jobs", b"4"),
    ]
    client = await driver.connect("u", "e.3")
    assert client.cursor == "e.3"
    driver.manager.publish(waiting)
    driver.publish_ephemeral("jobs", "soft")
    await asyncio.sleep(0)
    assert client.event_data == ["4", "soft"]
    driver.publish("jobs", "5")
    await asyncio.sleep(0)
    assert client.event_data == ["4", "soft", "5"]


async def test_one_who_is_ahead_skips_shared_events_one_by_one_too(driver: Driver) -> None:
    waiting = [driver.history.commit("jobs", str(n).encode()) for n in range(1, 6)]
    client = await driver.connect("u", "e.3")
    for event in waiting:
        driver.manager.publish([event])
        await asyncio.sleep(0)
    assert client.event_data == ["4", "5"]


async def test_a_cursor_ahead_of_the_log_is_reset(driver: Driver) -> None:
    driver.publish("jobs", "1")
    client = await driver.connect("u", "e.2")
    assert reason_of(client) == "ahead"
    assert client.cursor == "e.1"
    driver.publish("jobs", "2")
    await asyncio.sleep(0)
    assert client.event_data == ["2"]


async def test_another_epoch_or_a_malformed_cursor_is_reset(driver: Driver) -> None:
    driver.publish("jobs", "1")
    assert reason_of(await driver.connect("u", "f.1")) == "epoch_changed"
    verdict = driver.manager.decide_resume_from_memory(None, True, OWN, "user:u")
    assert verdict is not None
    assert reason_of(driver.open("u", verdict)) == "malformed"


@pytest.mark.parametrize("covered", [True, False])
async def test_more_than_the_backlog_is_reset(make_driver: MakeDriver, covered: bool) -> None:
    driver = await make_driver(max_replay=3, max_shared_replay=5, backlog_events=100 if covered else 2)
    driver.publish("user:u", "1", "2", "3")
    driver.publish("jobs", "a", "b")
    driver.publish("news", "c", "d", "e")
    back = await driver.connect("u", "e.0")
    await driver.run_until_idle()
    assert back.event_data == ["1", "2", "3", "a", "b", "c", "d", "e"]
    driver.publish("jobs", "f")
    assert reason_of(await driver.connect("u", "e.0")) == "trimmed"
    assert (await driver.connect("u", "e.4")).types[:2] != ["connection_confirmed", "reset"]
    driver.publish("user:v", "1", "2", "3", "4")
    assert reason_of(await driver.connect("v", "e.9")) == "trimmed"


async def test_a_backlog_of_zero_is_no_limit(make_driver: MakeDriver) -> None:
    driver = await make_driver(max_replay=0, max_shared_replay=0)
    driver.publish("jobs", *(str(n) for n in range(1_500)))
    back = await driver.connect("u", "e.0")
    await driver.run_until_idle()
    assert back.event_data == [str(n) for n in range(1_500)]


async def test_what_the_log_no_longer_holds_is_reset(make_driver: MakeDriver) -> None:
    driver = await make_driver(backlog_events=2)
    driver.publish("jobs", "1", "2", "3", "4")
    driver.history.trim(1)
    assert reason_of(await driver.connect("u", "e.0")) == "trimmed"
    back = await driver.connect("u", "e.1")
    await driver.run_until_idle()
    assert back.event_data == ["2", "3", "4"]


async def test_a_restart_seeded_from_the_log_asks_it_nothing(driver: Driver) -> None:
    driver.publish("jobs", "1", "2", "3")
    unpublished = driver.history.commit("user:u", b"4")
    await driver.manager.stop()
    driver.manager = driver.make_manager()
    driver.manager.seed(*driver.history.load_recent(100))
    await driver.manager.start()
    back = await driver.connect("u", "e.2")
    assert back.event_data == ["3", "4"]
    assert driver.manager.head == unpublished.position
    assert driver.history.reads == 0


async def test_events_taken_back_do_not_make_a_reset(make_driver: MakeDriver) -> None:
    driver = await make_driver(backlog_events=2)
    driver.publish("jobs", "1", "2", "3", "4", "5")
    driver.history.forget(2)
    driver.manager.forget([2])
    back = await driver.connect("u", "e.1")
    await driver.run_until_idle()
    assert back.event_data == ["3", "4", "5"]


async def test_a_page_on_its_way_loses_what_is_taken_back_meanwhile(make_driver: MakeDriver) -> None:
    driver = await make_driver(backlog_events=2)
    driver.publish("jobs", "1", "2", "3", "4", "5")
    back = await driver.connect("u", "e.0")
    # The page is read, the question for trimming is not answered yet.
    await driver.wait_for_reads(3)
    driver.history.forget(2)
    driver.manager.forget([2])
    await driver.run_until_idle()
    assert back.event_data == ["1", "3", "4", "5"]
