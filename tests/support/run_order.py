"""The order of the tests: the longest first, so that no process runs a long test alone at the end."""

from collections.abc import Sequence
from typing import Final

import pytest

# The longest tests or files of tests, by the start of their node ids; the first is the longest.
LONGEST: Final = (
    "tests/system/commands/test_crash_recovery.py::test_killed_hub",
    "tests/system/streams/test_stream_leaks.py",
    "tests/services/jobs/test_marketplace_model.py",
    "tests/services/messages/test_messages_model.py",
    "tests/system/commands/test_crash_recovery.py::test_killed_store",
    "tests/services/test_crash_points.py",
    "tests/services/jobs/test_hire_model.py",
    "tests/services/jobs/test_concurrent_hires.py",
    "tests/services/notifications/test_inbox_model.py",
    "tests/services/database/test_outbox.py::test_event_log_matches_the_model",
    "tests/realtime/test_end_to_end.py",
    "tests/services/presence/test_broadcaster.py",
)


def longest_first(items: Sequence[pytest.Item], worker_count: int) -> list[pytest.Item]:
    """Return the tests in the order in which `worker_count` processes of pytest-xdist take them.

    `--dist worksteal` divides the list into equal parts, one for each process. Each part begins with its share of the
    longest tests; the other tests keep their order.
    """
    ranks = {item: rank for item in items if (rank := _rank(item.nodeid)) is not None}
    longest = sorted(ranks, key=ranks.__getitem__)
    others = [item for item in items if item not in ranks]
    ordered: list[pytest.Item] = []
    for worker in range(worker_count):
        share = longest[worker::worker_count]
        size = (len(items) - len(ordered)) // (worker_count - worker)
        rest = max(0, size - len(share))
        ordered += [*share, *others[:rest]]
        del others[:rest]
    return ordered


def _rank(node_id: str) -> int | None:
    return next((rank for rank, prefix in enumerate(LONGEST) if node_id.startswith(prefix)), None)
