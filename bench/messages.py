"""`python -m bench.messages`: messages a second on disk, from send to stream, and a page of a long conversation."""

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
from bench.__main__ import MARK, paced
from bench.market import sign_up
from bench.raw_client import Ear, open_streams
from bench.servers import Server, decode
from services import tables
from services.accounts import users
from services.database.database import Database
from services.messages import groups, history
from services.store.migrate import upgrade

SECONDS = 4.0
CALLERS = 32
LONG = 100_000
PAGES = 500
SEND = "/api/realtime/messages/send"


async def rate(server: Server, members: int) -> tuple[float, float]:
    """Messages a second in one conversation, all members writing; the 99th percentile in ms."""
    people = await sign_up(server.url, "client", members)
    connections = await raw_client.callers(server.url, CALLERS)
    place = await conversation(server, connections[0], people)
    asks = []
    for _, token in people:
        said = json.dumps({"conversationId": place, "type": "text", "content": "x" * 120}).encode()
        asks.append(raw_client.request("POST", server.url, SEND, token=token, body=said))
    turn = iter(range(10**9))

    async def one(caller: raw_client.Caller) -> bool:
        decode(await caller.ask(asks[next(turn) % len(asks)]), 201)
        return True

    made, times = await raw_client.flat_out(connections, SECONDS, one)
    return made, raw_client.percentile(times, 0.99)


async def conversation(server: Server, caller: raw_client.Caller, people: list[tuple[str, str]]) -> str:
    """A direct conversation of two, or a group of more."""
    token = people[0][1]
    if len(people) == 2:
        said = json.dumps({"recipientId": people[1][0], "type": "text", "content": "x"}).encode()
        made = decode(await caller.ask(raw_client.request("POST", server.url, SEND, token=token, body=said)), 201)
        return str(made["conversationId"])
    group = json.dumps({"memberIds": [user for user, _ in people[1:]]}).encode()
    ask = raw_client.request("POST", server.url, "/api/conversations", token=token, body=group)
    return str(decode(await caller.ask(ask), 201)["id"])


async def heard(server: Server) -> list[float]:
    """Seconds from the send of a message to the other one's stream."""
    ann, bob = await sign_up(server.url, "client", 2)
    ear, (caller,) = Ear(), await raw_client.callers(server.url, 1)
    connect = raw_client.request("GET", server.url, "/api/realtime/connect?channels=user:" + bob[0], token=bob[1])
    (listener,) = await open_streams(server.url, [connect], MARK, ear)
    place = await conversation(server, caller, [ann, bob])
    # So that he is taken to be looking, and each message is one event.
    said = json.dumps({"conversationId": place, "type": "text", "content": "x"}).encode()
    decode(await caller.ask(raw_client.request("POST", server.url, SEND, token=bob[1], body=said)), 201)
    said = json.dumps({"conversationId": place, "type": "text", "content": MARK.decode()}).encode()
    seconds = await paced(caller, ear, raw_client.request("POST", server.url, SEND, token=ann[1], body=said))
    listener.transport.abort()
    return seconds


def fill(tx: Connection) -> tuple[str, str, list[str]]:
    """A conversation of `LONG` messages: its id, one of its members, the ids of the messages."""
    ann, bob = [
        users.create(tx, email=None, password_hash=None, name=name, role="client", now=0).id for name in ("Ann", "Bob")
    ]
    place = groups.create(tx, creator_id=ann, member_ids=[bob], now=0).id
    ids = [str(uuid_utils.uuid7()) for n in range(LONG)]
    row = {"conversation_id": place, "type": "text", "content": "x" * 120, "created_at": 0}
    rows = [row | {"id": id, "seq": n + 10, "sender_id": (ann, bob)[n % 2]} for n, id in enumerate(ids)]
    tx.execute(insert(tables.messages), rows)
    tx.execute(update(tables.conversations).values(last_seq=LONG + 9))
    return place, ann, ids


async def pages() -> list[float]:
    """Seconds that one page of 20 takes, anywhere in the long conversation, both ways."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "hub.db"
        await asyncio.to_thread(upgrade, file)
        database, random, times = Database(file), Random(7), []
        await database.start()
        place, ann, ids = await database.write(fill)
        for number in range(PAGES):
            where, back = random.choice(ids), number % 2 == 0
            began = time.perf_counter()
            await database.read(
                history.list_messages,
                conversation_id=place,
                user_id=ann,
                before=where if back else None,
                after=None if back else where,
            )
            times.append(time.perf_counter() - began)
        await database.stop()
        return times


async def measure(server: Server) -> None:
    """Everything, one after the other."""
    for members in (2, 50):
        made, p99 = await rate(server, members)
        print(f"messages/s in a conversation of {members}, {CALLERS} callers: {made:,.0f} (p99 {p99:.0f} ms)")
    seconds = await heard(server)
    p50, p99 = raw_client.percentile(seconds, 0.5), raw_client.percentile(seconds, 0.99)
    print(f"send → stream, 100/s: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    times = await pages()
    p50, p99 = raw_client.percentile(times, 0.5), raw_client.percentile(times, 0.99)
    print(f"a page of 20 out of {LONG:,}: p50 {p50:.1f} ms, p99 {p99:.1f} ms")


def main() -> None:
    """Measure and print."""
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, set(range(1, os.cpu_count() or 1)))
    with servers.hub() as server:
        uvloop.run(measure(server))


if __name__ == "__main__":
    main()
