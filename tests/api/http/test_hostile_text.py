"""Text that provokes backtracking costs no more time than other text of its length."""

import json
from collections.abc import Callable
from time import process_time

import pytest

from api.http import bodies
from api.http.client_address import _parse_for
from api.routes.auth import LogIn
from services.errors import DomainError, InvalidField


def cpu_seconds(function: Callable[[str], object], text: str) -> float:
    """Return the lowest CPU time of three calls, in seconds."""
    measured = []
    for _ in range(3):
        started_at = process_time()
        function(text)
        measured.append(process_time() - started_at)
    return min(measured)


def decode_log_in(name: str) -> None:
    with pytest.raises(DomainError):
        bodies.decode(json.dumps({name: 1}).encode(), LogIn)


def test_field_name_with_many_path_markers_is_scanned_once() -> None:
    hostile = " - at `" * 9_000 + "\n"
    assert cpu_seconds(decode_log_in, hostile) < 50 * cpu_seconds(decode_log_in, "x" * len(hostile))


@pytest.mark.parametrize(
    "hostile",
    ["for=" + " " * 990 + '"', 'for="' + "\\a" * 490, "for=" * 240 + "\t"],
    ids=["spaces", "escapes", "repeated for"],
)
def test_malformed_forwarded_element_is_scanned_once(hostile: str) -> None:
    assert cpu_seconds(_parse_for, hostile) < 50 * cpu_seconds(_parse_for, "x" * len(hostile))


def test_forwarded_element_above_the_limit_is_not_scanned() -> None:
    assert _parse_for("for=" + " " * 2_000 + "192.0.2.1") == ""


def test_pointer_of_an_invalid_field_is_exact() -> None:
    for body, pointer in (({"email": 1, "password": "x"}, "/email"), ({"email": "x", "password": []}, "/password")):
        with pytest.raises(InvalidField) as rejected:
            bodies.decode(json.dumps(body).encode(), LogIn)
        assert rejected.value.details["pointer"] == pointer
