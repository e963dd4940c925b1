"""The clock of tickets: seconds that have passed, whatever somebody sets the machine's clock to meanwhile."""

from pathlib import Path

import pytest

from api.app import build
from api.config.settings import Settings
from services.accounts.tokens import TICKET_SECONDS
from services.store.migrate import upgrade

HOUR = 3_600_000


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["ahead", "back"])
def test_a_ticket_lives_on_when_the_clock_on_the_wall_is_set(data_dir: Path, jump: int) -> None:
    now = 1_800_000_000_000
    data_dir.mkdir()
    settings = Settings.read({"HUB_DATA_DIR": str(data_dir)})
    upgrade(settings.database_file)
    hub = build(settings, clock=lambda: now).hub
    text = hub.tickets.issue(user_id="ann", session_id="l1", service=None, version=0)
    now += jump
    ticket = hub.tickets.peek(text)
    assert hub.tickets.redeem(text) == ticket
    # In the same seconds: were it made by the wall's clock, one set back would let it live for an hour.
    later = hub.tickets.peek(hub.tickets.issue(user_id="ann", session_id="l1", service=None, version=0))
    assert 0 <= later.expires_at - ticket.expires_at <= TICKET_SECONDS * 1_000
