"""Whoever is known and cannot have a stream now is told when to come back, in an answer that EventSource outlives."""

from pathlib import Path

import httpx2
import pytest

from services.database import database
from tests.api.serving import quiet, serving, sign_up

__all__ = ["quiet"]

pytestmark = pytest.mark.usefixtures("quiet")


async def test_when_too_many_reads_wait_a_known_caller_is_told_to_come_back(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        serving(data_dir, "auto") as (app, port),
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        (login,) = await app.hub.database.write(sign_up, count=1, now=app.hub.clock())
        client.headers["authorization"] = f"Bearer {app.hub.tokens.sign_session(login)}"
        assert (await client.get("/api/auth/me")).status_code == 200
        monkeypatch.setattr(database, "WAITING_READS", 0)
        answer = await client.get("/api/realtime/connect")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["connection"] == "close"
        assert "retry: " in answer.text
        assert "event: bye\n" in answer.text
        assert '{"reason":"overloaded"}' in answer.text
        assert app.hub.manager.connections == 0
