"""Overload of the database: a stream request gets a bye frame with a reconnect delay."""

from pathlib import Path

import httpx2
import pytest

from services.database import database
from tests.api.serving import create_sessions, quiet_log, serve_app
from tests.support.timeouts import TIMEOUT_SECONDS

__all__ = ["quiet_log"]

pytestmark = pytest.mark.usefixtures("quiet_log")


async def test_connect_sends_a_bye_frame_when_too_many_reads_wait(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        serve_app(data_dir, "auto") as (app, port),
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=TIMEOUT_SECONDS) as client,
    ):
        (session_id,) = await app.hub.database.write(create_sessions, count=1, now=app.hub.clock())
        client.headers["authorization"] = f"Bearer {app.hub.tokens.sign_session(session_id)}"
        assert (await client.get("/api/auth/me")).status_code == 200
        monkeypatch.setattr(database, "MAX_READS", 0)
        response = await client.get("/api/realtime/connect")
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["connection"] == "close"
        assert "retry: " in response.text
        assert "event: bye\n" in response.text
        assert '{"reason":"overloaded"}' in response.text
        assert app.hub.manager.connections == 0
