"""Tickets expire by the monotonic clock, whatever the wall clock says."""

from pathlib import Path

import pytest

from api.app import build
from api.config.settings import Settings
from services.accounts.tokens import TICKET_SECONDS
from services.store.migrate import upgrade

HOUR = 3_600_000


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["ahead", "back"])
def test_ticket_stays_valid_when_the_wall_clock_is_changed(data_dir: Path, jump: int) -> None:
    now = 1_800_000_000_000
    data_dir.mkdir()
    settings = Settings.read({"HUB_DATA_DIR": str(data_dir)})
    upgrade(settings.database_file)
    hub = build(settings, clock=lambda: now).hub
    text = hub.tickets.issue(user_id="ann", session_id="l1", service=None, version=0)
    now += jump
    ticket = hub.tickets.peek(text)
    assert hub.tickets.redeem(text) == ticket
    # With the wall clock, setting it back by an hour would extend the ticket by an hour.
    later = hub.tickets.peek(hub.tickets.issue(user_id="ann", session_id="l1", service=None, version=0))
    assert 0 <= later.expires_at - ticket.expires_at <= TICKET_SECONDS * 1_000
