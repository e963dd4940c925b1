"""The time limit of everything that a test waits for."""

from typing import Final

# A passing test never reaches it, not even on a busy machine: only a failing test waits so long.
TIMEOUT_SECONDS: Final = 300
