"""Text that is made to be read again and again costs no more than other text of its length."""

import json
from collections.abc import Callable
from time import process_time

import pytest

from api.http import bodies
from api.http.client_address import _parse_for
from api.routes.auth import LogIn
from services.errors import DomainError, InvalidField


def seconds(act: Callable[[str], object], text: str) -> float:
    """The least of three, in this process's own time."""
    took = []
    for _ in range(3):
        began = process_time()
        act(text)
        took.append(process_time() - began)
    return min(took)


def log_in(name: str) -> None:
    with pytest.raises(DomainError):
        bodies.decode(json.dumps({name: 1}).encode(), LogIn)


def test_a_name_that_looks_like_many_places_is_looked_at_once() -> None:
    hostile = " - at `" * 9_000 + "\n"
    assert seconds(log_in, hostile) < 50 * seconds(log_in, "x" * len(hostile))


@pytest.mark.parametrize("hostile", ["for=" + " " * 990 + '"', 'for="' + "\\a" * 490, "for=" * 240 + "\t"])
def test_a_hop_that_is_nearly_one_is_looked_at_once(hostile: str) -> None:
    assert seconds(_parse_for, hostile) < 50 * seconds(_parse_for, "x" * len(hostile))


def test_a_hop_longer_than_any_is_not_looked_at() -> None:
    assert _parse_for("for=" + " " * 2_000 + "192.0.2.1") == ""


def test_where_a_field_is_wrong_is_said_as_before() -> None:
    for body, pointer in (({"email": 1, "password": "x"}, "/email"), ({"email": "x", "password": []}, "/password")):
        with pytest.raises(InvalidField) as refused:
            bodies.decode(json.dumps(body).encode(), LogIn)
        assert refused.value.details["pointer"] == pointer
