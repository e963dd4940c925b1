"""A FastAPI server with one queue per stream; runs in its own virtual environment."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from fastapi import FastAPI, Request  # type: ignore[import-not-found]  # not a dependency of the project
from fastapi.sse import EventSourceResponse, ServerSentEvent  # type: ignore[import-not-found]

app = FastAPI(openapi_url=None)
queues: set[asyncio.Queue[Any]] = set()


async def stream() -> AsyncIterator[Any]:
    """Yield each broadcast from now on."""
    queue: asyncio.Queue[Any] = asyncio.Queue()
    queues.add(queue)
    try:
        while True:
            yield await queue.get()
    finally:
        queues.discard(queue)


async def broadcast(request: Request) -> dict[str, str]:
    """Send the body to every stream as one shared event."""
    event = ServerSentEvent(raw_data=(await request.body()).decode(), event="message")
    for queue in queues:
        queue.put_nowait(event)
    return {}


app.add_api_route("/stream", stream, response_class=EventSourceResponse)
app.add_api_route("/broadcast", broadcast, methods=["POST"], status_code=202)

if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), access_log=False, log_level="warning", timeout_keep_alive=300)
