"""Measures the memory of a hub that has just started on an empty store and has no streams."""

import time
from pathlib import Path
from typing import Final

from bench import servers

# Periodic tasks run once after the start. Memory is stable after that.
SETTLE_SECONDS: Final = 4.0


def measure(checkout: Path = servers.ROOT) -> servers.Memory:
    """Return the memory of an idle hub that runs with default settings, as `python -m api serve` starts it."""
    with servers.run_hub(checkout=checkout, load_settings={}) as hub:
        time.sleep(SETTLE_SECONDS)
        return hub.read_memory()
