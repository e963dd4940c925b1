"""A minimal notification server: one commit per request, one queue and one SSE response per stream.

It has no users, log, replay or limits; each missing feature makes it faster.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from sqlalchemy import Column, Integer, MetaData, String, Table, Text, event, insert
from sqlalchemy.ext.asyncio import create_async_engine
from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

metadata = MetaData()
notifications = Table(
    "notifications",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user_id", String(36), index=True),
    Column("body", Text),
)


def build_app(path: str) -> Starlette:
    """Build the application on a SQLite file with WAL and synchronous=FULL, as the hub uses."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    queues: set[asyncio.Queue[str]] = set()

    @event.listens_for(engine.sync_engine, "connect")
    def set_pragmas(connection: object, _: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]  # a DBAPI connection
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    async def notify(request: Request) -> Response:
        body = await request.json()
        async with engine.begin() as connection:
            await connection.execute(insert(notifications).values(user_id=body["userId"], body=json.dumps(body)))
        return JSONResponse({"id": "1"}, 201)

    async def broadcast(request: Request) -> Response:
        text = json.dumps(await request.json())
        for queue in queues:
            queue.put_nowait(text)
        return JSONResponse({}, 202)

    async def stream(request: Request) -> Response:
        async def events() -> AsyncIterator[dict[str, str]]:
            queue: asyncio.Queue[str] = asyncio.Queue()
            queues.add(queue)
            try:
                while True:
                    yield {"event": "message", "data": await queue.get()}
            finally:
                queues.discard(queue)

        return EventSourceResponse(events())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        yield
        await engine.dispose()

    return Starlette(
        routes=[
            Route("/notify", notify, methods=["POST"]),
            Route("/broadcast", broadcast, methods=["POST"]),
            Route("/stream", stream),
        ],
        lifespan=lifespan,
    )


if __name__ == "__main__":
    uvicorn.run(
        build_app(os.environ["NAIVE_FILE"]),
        port=int(os.environ["NAIVE_PORT"]),
        access_log=False,
        log_level="warning",
        # Longer than the longest pause of the load client between two publishes.
        timeout_keep_alive=300,
    )
