"""Measures messages per second, delivery to streams, and pages of a long conversation.

`python -m bench.messages` prints the figures.
"""

import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from random import Random

import uuid_utils
import uvloop
from sqlalchemy import Connection, insert, update

from bench import raw_client, servers
from bench.__main__ import MARK, measure_paced
from bench.market import sign_up
from bench.raw_client import MarkCounter, open_streams
from bench.servers import Server, decode
from services import tables
from services.accounts import users
from services.database.database import Database
from services.messages import groups, history
from services.store.migrate import upgrade

MEASUREMENT_SECONDS = 4.0
CALLERS = 32
MESSAGE_COUNT = 100_000
PAGES = 500
SEND = "/api/realtime/messages/send"


async def measure_rate(server: Server, members: int) -> tuple[float, float]:
    """Send messages of all members in one conversation; return messages per second and the 99th percentile in ms."""
    people = await sign_up(server.url, "client", members)
    connections = await raw_client.open_callers(server.url, CALLERS)
    conversation_id = await create_conversation(server, connections[0], people)
    requests = []
    for _, token in people:
        body = json.dumps({"conversationId": conversation_id, "type": "text", "content": "x" * 120}).encode()
        requests.append(raw_client.build_request("POST", server.url, SEND, token=token, body=body))
    numbers = iter(range(10**9))

    async def send(caller: raw_client.Caller) -> bool:
        decode(await caller.send(requests[next(numbers) % len(requests)]), 201)
        return True

    per_second, times = await raw_client.run_callers(connections, MEASUREMENT_SECONDS, send)
    return per_second, raw_client.get_percentile_ms(times, 0.99)


async def create_conversation(server: Server, caller: raw_client.Caller, people: list[tuple[str, str]]) -> str:
    """Create a direct conversation of two members or a group of more; return its id."""
    token = people[0][1]
    if len(people) == 2:
        body = json.dumps({"recipientId": people[1][0], "type": "text", "content": "x"}).encode()
        response = decode(
            await caller.send(raw_client.build_request("POST", server.url, SEND, token=token, body=body)), 201
        )
        return str(response["conversationId"])
    group = json.dumps({"memberIds": [user for user, _ in people[1:]]}).encode()
    request = raw_client.build_request("POST", server.url, "/api/conversations", token=token, body=group)
    return str(decode(await caller.send(request), 201)["id"])


async def measure_delivery(server: Server) -> list[float]:
    """Return the seconds from sending each message until the stream of the other member has it."""
    ann, bob = await sign_up(server.url, "client", 2)
    counter, (caller,) = MarkCounter(), await raw_client.open_callers(server.url, 1)
    connect = raw_client.build_request("GET", server.url, "/api/realtime/connect?channels=user:" + bob[0], token=bob[1])
    (listener,) = await open_streams(server.url, [connect], MARK, counter)
    conversation_id = await create_conversation(server, caller, [ann, bob])
    # A message of Bob marks him active, so that each later message is one event and not also a notification.
    body = json.dumps({"conversationId": conversation_id, "type": "text", "content": "x"}).encode()
    decode(await caller.send(raw_client.build_request("POST", server.url, SEND, token=bob[1], body=body)), 201)
    body = json.dumps({"conversationId": conversation_id, "type": "text", "content": MARK.decode()}).encode()
    seconds = await measure_paced(
        caller, counter, raw_client.build_request("POST", server.url, SEND, token=ann[1], body=body)
    )
    listener.transport.abort()
    return seconds


def create_long_conversation(tx: Connection) -> tuple[str, str, list[str]]:
    """Create a conversation of MESSAGE_COUNT messages; return its id, a member and the message ids."""
    ann, bob = [
        users.create(tx, email=None, password_hash=None, name=name, role="client", now=0).id for name in ("Ann", "Bob")
    ]
    conversation_id = groups.create(tx, creator_id=ann, member_ids=[bob], now=0).id
    ids = [str(uuid_utils.uuid7()) for _ in range(MESSAGE_COUNT)]
    row = {"conversation_id": conversation_id, "type": "text", "content": "x" * 120, "created_at": 0}
    rows = [row | {"id": id, "seq": number + 10, "sender_id": (ann, bob)[number % 2]} for number, id in enumerate(ids)]
    tx.execute(insert(tables.messages), rows)
    tx.execute(update(tables.conversations).values(last_seq=MESSAGE_COUNT + 9))
    return conversation_id, ann, ids


async def measure_pages() -> list[float]:
    """Return the seconds for pages of 20 at random positions of the long conversation, in both directions."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "hub.db"
        await asyncio.to_thread(upgrade, file)
        database, random, times = Database(file), Random(7), []
        await database.start()
        conversation_id, ann, ids = await database.write(create_long_conversation)
        for number in range(PAGES):
            message_id, backwards = random.choice(ids), number % 2 == 0
            began = time.perf_counter()
            await database.read(
                history.list_messages,
                conversation_id=conversation_id,
                user_id=ann,
                before=message_id if backwards else None,
                after=None if backwards else message_id,
            )
            times.append(time.perf_counter() - began)
        await database.stop()
        return times


async def measure(server: Server) -> None:
    """Run all measurements, one after the other."""
    for members in (2, 50):
        per_second, p99 = await measure_rate(server, members)
        print(f"messages/s in a conversation of {members}, {CALLERS} callers: {per_second:,.0f} (p99 {p99:.0f} ms)")
    seconds = await measure_delivery(server)
    p50, p99 = raw_client.get_percentile_ms(seconds, 0.5), raw_client.get_percentile_ms(seconds, 0.99)
    print(f"send → stream, 100/s: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    times = await measure_pages()
    p50, p99 = raw_client.get_percentile_ms(times, 0.5), raw_client.get_percentile_ms(times, 0.99)
    print(f"page of 20 out of {MESSAGE_COUNT:,}: p50 {p50:.1f} ms, p99 {p99:.1f} ms")


def main() -> None:
    """Run the benchmark and print the figures."""
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, set(range(1, os.cpu_count() or 1)))
    with servers.run_hub() as server:
        uvloop.run(measure(server))


if __name__ == "__main__":
    main()
