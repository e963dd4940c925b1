"""Users who have had no stream for a while leave memory: the parts that know something of them are told."""

import time
from pathlib import Path

import pytest

from api.app import build
from api.config.settings import Settings
from api.hub import Hub
from realtime.cursor import Cursor
from realtime.resume import ResumeDecision
from services.store.migrate import upgrade
from tests.realtime.fake_ports import FakeSink


@pytest.fixture
def hub(data_dir: Path) -> Hub:
    data_dir.mkdir()
    settings = Settings.read({"HUB_DATA_DIR": str(data_dir), "HUB_IDLE_SECONDS": "600"})
    upgrade(settings.database_file)
    return build(settings).hub


async def test_what_a_users_browsers_stored_is_at_hand_until_they_have_been_gone_for_the_idle_seconds(hub: Hub) -> None:
    await hub.manager.start()
    session = hub.manager.open_stream(
        FakeSink(),
        user_id="ann",
        channels=("user:ann",),
        own_channel="user:ann",
        decision=ResumeDecision.fresh(),
        session_id="phone",
        address="a",
        confirm=lambda session, cursor: b"",
    )
    for user_id in ("ann", "bob"):
        hub.acknowledgements.acknowledge(user_id, Cursor(hub.manager.options.epoch, 7), head=9)
    hub.manager.stream_closed(session)
    hub.manager.tick(time.monotonic() + 500)
    assert hub.acknowledgements.acknowledged_position("ann") == 7
    hub.manager.tick(time.monotonic() + 600)
    assert (hub.acknowledgements.acknowledged_position("ann"), hub.acknowledgements.acknowledged_position("bob")) == (
        0,
        7,
    )
    await hub.manager.stop()
