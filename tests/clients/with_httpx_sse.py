"""Prints the events of a stream, received with httpx-sse; reconnects as its manual describes."""

import json
import sys
import time

import httpx
from httpx_sse import connect_sse

url, token = sys.argv[1:]
last_event_id, retry_ms = "", 1_000
while True:
    headers = {"authorization": f"Bearer {token}"} | ({"last-event-id": last_event_id} if last_event_id else {})
    try:
        with (
            httpx.Client(timeout=None, trust_env=False) as client,
            connect_sse(client, "GET", url, headers=headers) as source,
        ):
            for event in source.iter_sse():
                last_event_id, retry_ms = event.id, event.retry or retry_ms
                print(json.dumps({"type": event.event, "id": event.id, "data": event.data}), flush=True)
    except httpx.TransportError as error:
        print(repr(error), file=sys.stderr)
    time.sleep(retry_ms / 1_000)
