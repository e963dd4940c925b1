"""Resuming: a client receives exactly its missed events, then live events; or a reset with a reason."""

import asyncio

import pytest

from realtime.cursor import Cursor
from realtime.resume import ResumeDecision
from realtime.stream import Stream
from tests.realtime.conftest import MakeDriver
from tests.realtime.driver import SHARED, Client, Driver, confirm

OWN = ("user:u", *SHARED)


def reset_reason(client: Client) -> str:
    assert client.types[:2] == ["connection_confirmed", "reset"]
    assert client.events[0].last_event_id == ""
    data = client.events[1].data
    assert data["cursor"] == client.events[1].last_event_id
    return str(data["reason"])


async def test_fresh_stream_starts_at_the_head_and_replays_nothing(driver: Driver) -> None:
    driver.publish("jobs", "1", "2")
    client = driver.open()
    assert client.types == ["connection_confirmed"]
    assert client.cursor == "e.2"
    await asyncio.sleep(0)
    assert client.event_data == []
    driver.publish("jobs", "3")
    await asyncio.sleep(0)
    assert client.event_data == ["3"]


async def test_resume_replays_missed_events_without_reading_the_log(driver: Driver) -> None:
    driver.publish("jobs", "1", "2")
    driver.publish("user:u", "3")
    driver.publish("user:v", "private")
    client = await driver.connect("u", "e.1")
    assert client.events[0].last_event_id == "e.1"
    assert client.event_data == ["2", "3"]
    assert len(client.sink.chunks) == 1
    assert driver.history.reads == 0


async def test_resume_within_an_iteration_loses_and_repeats_nothing(driver: Driver) -> None:
    driver.publish("jobs", "1")
    await asyncio.sleep(0)
    driver.publish("jobs", "2")
    fresh, reconnected = driver.open("u"), await driver.connect("v", "e.0")
    driver.publish("jobs", "3")
    await asyncio.sleep(0)
    assert fresh.event_data == ["3"]
    assert reconnected.event_data == ["1", "2", "3"]


@pytest.mark.parametrize(
    "decision",
    [ResumeDecision.fresh(), ResumeDecision.resume(1), ResumeDecision.reset("trimmed")],
    ids=["fresh", "resume", "reset"],
)
async def test_event_published_while_a_stream_opens_arrives_once(driver: Driver, decision: ResumeDecision) -> None:
    driver.publish("jobs", "1")
    driver.open("other")

    def publish_and_confirm(stream: Stream, cursor: Cursor | None) -> bytes:
        driver.publish("jobs", "2")
        driver.publish("user:u", "3")
        return confirm(stream, cursor)

    client = driver.open("u", decision, confirm=publish_and_confirm)
    driver.publish("jobs", "4")
    await asyncio.sleep(0)
    # After a reset the client fetches everything up to the cursor of the reset.
    assert client.event_data == (["4"] if decision.reason else ["2", "3", "4"])
    assert client.cursor == "e.4"


async def test_event_published_between_decision_and_opening_is_not_lost(make_driver: MakeDriver) -> None:
    driver = await make_driver(backlog_events=3)
    driver.publish("jobs", "1")
    decision = await driver.manager.decide_resume(Cursor("e", 1), False, OWN, "user:u")
    driver.publish("jobs", "2", "3", "4", "5", "6")
    client = driver.open("u", decision)
    assert client.types == ["connection_confirmed"]
    driver.publish("jobs", "7")
    await driver.run_until_idle()
    driver.publish("jobs", "8")
    await driver.run_until_idle()
    assert client.event_data == ["2", "3", "4", "5", "6", "7", "8"]


async def test_resume_ahead_of_publisher_skips_events_already_received(driver: Driver) -> None:
    driver.publish("jobs", "1")
    unpublished = [
        driver.history.commit("jobs", b"2"),
        driver.history.commit("user:u", b"3"),
        driver.history.commit("jobs", b"4"),
    ]
    client = await driver.connect("u", "e.3")
    assert client.cursor == "e.3"
    driver.manager.publish(unpublished)
    driver.publish_ephemeral("jobs", "ephemeral")
    await asyncio.sleep(0)
    assert client.event_data == ["4", "ephemeral"]
    driver.publish("jobs", "5")
    await asyncio.sleep(0)
    assert client.event_data == ["4", "ephemeral", "5"]


async def test_resume_ahead_of_publisher_skips_single_shared_events(driver: Driver) -> None:
    unpublished = [driver.history.commit("jobs", str(n).encode()) for n in range(1, 6)]
    client = await driver.connect("u", "e.3")
    for event in unpublished:
        driver.manager.publish([event])
        await asyncio.sleep(0)
    assert client.event_data == ["4", "5"]


async def test_cursor_ahead_of_the_log_is_reset(driver: Driver) -> None:
    driver.publish("jobs", "1")
    client = await driver.connect("u", "e.2")
    assert reset_reason(client) == "ahead"
    assert client.cursor == "e.1"
    driver.publish("jobs", "2")
    await asyncio.sleep(0)
    assert client.event_data == ["2"]


async def test_cursor_of_another_epoch_or_malformed_is_reset(driver: Driver) -> None:
    driver.publish("jobs", "1")
    assert reset_reason(await driver.connect("u", "f.1")) == "epoch_changed"
    decision = driver.manager.decide_resume_from_memory(None, True, OWN, "user:u")
    assert decision is not None
    assert reset_reason(driver.open("u", decision)) == "malformed"


@pytest.mark.parametrize("covered", [True, False], ids=["from memory", "from the log"])
async def test_more_missed_events_than_the_replay_limit_is_reset(make_driver: MakeDriver, covered: bool) -> None:
    driver = await make_driver(max_replay=3, max_shared_replay=5, backlog_events=100 if covered else 2)
    driver.publish("user:u", "1", "2", "3")
    driver.publish("jobs", "a", "b")
    driver.publish("news", "c", "d", "e")
    reconnected = await driver.connect("u", "e.0")
    await driver.run_until_idle()
    assert reconnected.event_data == ["1", "2", "3", "a", "b", "c", "d", "e"]
    driver.publish("jobs", "f")
    assert reset_reason(await driver.connect("u", "e.0")) == "trimmed"
    assert (await driver.connect("u", "e.4")).types[:2] != ["connection_confirmed", "reset"]
    driver.publish("user:v", "1", "2", "3", "4")
    assert reset_reason(await driver.connect("v", "e.9")) == "trimmed"


async def test_replay_is_unlimited_when_the_limit_is_zero(make_driver: MakeDriver) -> None:
    driver = await make_driver(max_replay=0, max_shared_replay=0)
    driver.publish("jobs", *(str(n) for n in range(1_500)))
    reconnected = await driver.connect("u", "e.0")
    await driver.run_until_idle()
    assert reconnected.event_data == [str(n) for n in range(1_500)]


async def test_cursor_before_trimmed_events_is_reset(make_driver: MakeDriver) -> None:
    driver = await make_driver(backlog_events=2)
    driver.publish("jobs", "1", "2", "3", "4")
    driver.history.trim(1)
    assert reset_reason(await driver.connect("u", "e.0")) == "trimmed"
    reconnected = await driver.connect("u", "e.1")
    await driver.run_until_idle()
    assert reconnected.event_data == ["2", "3", "4"]


async def test_resume_after_a_seeded_restart_does_not_read_the_log(driver: Driver) -> None:
    driver.publish("jobs", "1", "2", "3")
    unpublished = driver.history.commit("user:u", b"4")
    await driver.manager.stop()
    driver.manager = driver.make_manager()
    driver.manager.seed(*driver.history.load_recent(100))
    await driver.manager.start()
    reconnected = await driver.connect("u", "e.2")
    assert reconnected.event_data == ["3", "4"]
    assert driver.manager.head == unpublished.position
    assert driver.history.reads == 0


async def test_forgotten_events_cause_no_reset(make_driver: MakeDriver) -> None:
    driver = await make_driver(backlog_events=2)
    driver.publish("jobs", "1", "2", "3", "4", "5")
    driver.history.forget(2)
    driver.manager.forget([2])
    reconnected = await driver.connect("u", "e.1")
    await driver.run_until_idle()
    assert reconnected.event_data == ["3", "4", "5"]


async def test_page_being_read_omits_events_forgotten_meanwhile(make_driver: MakeDriver) -> None:
    driver = await make_driver(backlog_events=2)
    driver.publish("jobs", "1", "2", "3", "4", "5")
    reconnected = await driver.connect("u", "e.0")
    # The page is read, and the check for trimmed events is still running.
    await driver.wait_for_reads(3)
    driver.history.forget(2)
    driver.manager.forget([2])
    await driver.run_until_idle()
    assert reconnected.event_data == ["1", "3", "4", "5"]
