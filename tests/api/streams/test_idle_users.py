"""Release of idle users: services drop what they hold in memory about them."""

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


async def test_acknowledged_position_is_released_after_the_idle_time(hub: Hub) -> None:
    await hub.manager.start()
    stream = hub.manager.open_stream(
        FakeSink(),
        user_id="ann",
        channels=("user:ann",),
        own_channel="user:ann",
        decision=ResumeDecision.fresh(),
        session_id="phone",
        address="a",
        confirm=lambda stream, cursor: b"",
    )
    for user_id in ("ann", "bob"):
        hub.acknowledgements.acknowledge(user_id, Cursor(hub.manager.options.epoch, 7), head=9)
    hub.manager.stream_closed(stream)
    hub.manager.tick(time.monotonic() + 500)
    assert hub.acknowledgements.acknowledged_position("ann") == 7
    hub.manager.tick(time.monotonic() + 600)
    assert (hub.acknowledgements.acknowledged_position("ann"), hub.acknowledgements.acknowledged_position("bob")) == (
        0,
        7,
    )
    await hub.manager.stop()
