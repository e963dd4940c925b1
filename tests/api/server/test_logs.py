"""Logging: JSON lines, uvicorn's records, redaction of secrets."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from api import app
from api.server import logs

ROOT = Path(__file__).parents[3]


def lines(program: str) -> list[dict[str, Any]]:
    """Return the log lines of a program that runs in its own process, because the log is global."""
    source = "import logging, structlog\nfrom api.server import logs\nlogs.configure('info')\n" + program
    completed = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in completed.stderr.splitlines()]


def test_line_is_json_with_time_level_logger_and_request_id() -> None:
    (line,) = lines(
        "structlog.contextvars.bind_contextvars(request_id='r1')\n"
        "logs.get_logger('api.x').info('job_hired', bid='b1')\n"
        "logs.get_logger('api.x').debug('unseen')"
    )
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "job_hired", "level": "info", "logger": "api.x", "request_id": "r1", "bid": "b1"}


def test_uvicorn_logs_through_the_bridge_without_access_lines() -> None:
    logged = lines(
        "logging.getLogger('uvicorn.error').info('Started %s', 'x')\n"
        "logging.getLogger('uvicorn.access').info('GET /?ticket=t')\n"
        "logging.getLogger('sse_starlette').warning('careful')"
    )
    assert [(line["logger"], line["level"], line["event"]) for line in logged] == [
        ("uvicorn.error", "info", "Started x"),
        ("sse_starlette", "warning", "careful"),
    ]


def test_exception_has_a_traceback_and_cannot_forge_a_line() -> None:
    (line,) = lines(
        "try: raise RuntimeError('no\\nforged: ?token=abc')\n"
        "except RuntimeError: logs.get_logger('x').exception('failed\\nagain')"
    )
    assert line["event"] == "failed\nagain"
    assert "RuntimeError" in line["exception"]
    assert "abc" not in line["exception"]


def test_write_errors_of_the_log_are_ignored() -> None:
    source = (
        "import sys; from api.server import logs; logs.configure('info'); "
        "logs.get_logger('x').info('x' * 9000); print('on')"
    )
    with open("/dev/full", "w") as full:
        completed = subprocess.run(
            [sys.executable, "-c", source], cwd=ROOT, stdout=subprocess.PIPE, stderr=full, text=True
        )
    assert completed.stdout == "on\n"


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "access_token",
        "accessToken",
        "password",
        "newPassword",
        "Cookie",
        "set-cookie",
        "Authorization",
        "ticket",
        "secret",
        "secret_keys",
        "api_key",
        "X-Api-Key",
        "apiKey",
        "body",
        "content",
    ],
)
def test_values_of_secret_keys_are_hidden_at_any_depth(name: str) -> None:
    hidden = logs.redact(None, "info", {name: "s3cret", "inner": {"list": [{name: ["s3cret"]}]}})
    assert "s3cret" not in json.dumps(hidden)


@pytest.mark.parametrize(
    "text",
    ["GET /api/realtime/connect?ticket=s3cret HTTP/1.1", "Authorization: Bearer s3cret", "bearer  s3cret, then"],
    ids=["query string", "bearer token", "lower case"],
)
def test_query_strings_and_bearer_tokens_are_removed_from_text(text: str) -> None:
    assert "s3cret" not in logs.redact(None, "info", {"event": text, "path": text})["event"]


def test_long_text_is_cut_in_the_middle_without_leaking_a_secret() -> None:
    text = "begins " + "x" * 20_000 + " ?ticket=" + "s3cret" * 1_000 + " ends"
    cut = logs.redact(None, "info", {"exception": text})["exception"]
    assert (cut[:6], cut[-5:], len(cut)) == ("begins", " ends", 8_193)
    assert "s3cret" not in cut


def test_harmless_values_are_not_changed() -> None:
    values = {"event": "What now?", "tokens_left": 3, "key": "b1", "took_ms": 1.5, "online": True, "none": None}
    assert logs.redact(None, "info", dict(values)) == values


def test_every_value_can_be_logged() -> None:
    class Odd:
        def __str__(self) -> str:
            raise ValueError

    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    event = {"event": "\ud800", "odd": Odd(), "deep": deep, "bytes": b"\xff", "set": {1}, "long": "x" * 100_000}
    line = logs.encode(None, "info", logs.redact(None, "info", event))
    assert json.loads(line)["odd"] == "<Odd>"
    assert len(line) < 20_000


async def test_callback_from_another_thread_runs_on_the_loop() -> None:
    received: asyncio.Queue[tuple[int, Sequence[str]]] = asyncio.Queue()
    callback = app._call_on_loop(lambda faults: received.put_nowait((threading.get_ident(), faults)))
    await asyncio.to_thread(callback, ["one"])
    assert await received.get() == (threading.get_ident(), ["one"])
