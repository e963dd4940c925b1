"""The order of the tests, and the list of the longest ones."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.run_order import LONGEST, longest_first

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class FakeItem:
    """A test with a node id."""

    nodeid: str


def order(ids: list[str], worker_count: int) -> list[str]:
    items: list[Any] = [FakeItem(id) for id in ids]
    return [item.nodeid for item in longest_first(items, worker_count)]


def test_part_of_each_process_begins_with_its_share_of_the_longest_tests() -> None:
    first, second, third = LONGEST[:3]
    others = [f"tests/other.py::test_{number}" for number in range(7)]
    ids = [*others[:4], f"{third}[x]", first, *others[4:], f"{second}[y]"]
    assert order(ids, 1) == [first, f"{second}[y]", f"{third}[x]", *others]
    # pytest-xdist divides ten tests into parts of five and five, or of three, three and four.
    assert order(ids, 2) == [first, f"{third}[x]", *others[:3], f"{second}[y]", *others[3:]]
    assert order(ids, 3) == [first, *others[:2], f"{second}[y]", *others[2:4], f"{third}[x]", *others[4:]]


@pytest.mark.parametrize("worker_count", range(1, 9))
def test_every_test_runs_once(worker_count: int) -> None:
    ids = [f"{prefix}[{number}]" for prefix in LONGEST[:3] for number in range(2)] + ["tests/other.py::test_x"]
    assert sorted(order(ids, worker_count)) == sorted(ids)


@pytest.mark.parametrize("prefix", LONGEST)
def test_longest_tests_exist(prefix: str) -> None:
    path, _, name = prefix.partition("::")
    assert f"def {name}" in (ROOT / path).read_text()
