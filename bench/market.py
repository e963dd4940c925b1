"""Measures hires and complete job lifecycles over HTTP, including all escrow transfers."""

import json
import time
from dataclasses import dataclass

from bench import raw_client
from bench.servers import Server, decode

MEASUREMENT_SECONDS = 6.0
PAIRS = 32
HIRE_CALLERS = 32
MAX_PHASE_SECONDS = 60.0

Row = tuple[str, str, str, str]


async def sign_up(url: str, role: str, count: int) -> list[tuple[str, str]]:
    """Create `count` users with the given role and return the id and token of each."""
    users = []
    (caller,) = await raw_client.open_callers(url, 1)
    for number in range(count):
        account = {"email": f"{role}{number}-{time.time_ns()}@example.org", "password": "correct horse", "name": role}
        body = json.dumps(account | {"role": role}).encode()
        response = decode(await caller.send(raw_client.build_request("POST", url, "/api/auth/signup", body=body)), 201)
        user = response["user"]
        assert isinstance(user, dict)
        users.append((str(user["id"]), str(response["token"])))
    return users


@dataclass(frozen=True)
class Hires:
    """Hires per second, the duration of each in seconds, and the CPU time of the hub per hire in microseconds."""

    rate: float
    seconds: list[float]
    cpu_us: float


async def measure_hires(server: Server, jobs: int) -> Hires:
    """Create at least `jobs` jobs with two bids each, then measure the hires of all of them by 32 callers.

    The CPU time covers the hires only, not the preparation.
    """
    ((_, owner),) = await sign_up(server.url, "client", 1)
    bidders = await sign_up(server.url, "freelancer", 2)
    connections = await raw_client.open_callers(server.url, HIRE_CALLERS)
    job = json.dumps({"title": "Bench", "description": "x", "budget": 1000}).encode()
    bid = json.dumps({"message": "me", "price": 900}).encode()
    bids: list[str] = []

    async def prepare(caller: raw_client.Caller) -> bool:
        created = decode(
            await caller.send(raw_client.build_request("POST", server.url, "/api/jobs", token=owner, body=job)), 201
        )
        path = f"/api/jobs/{created['id']}/bids"
        for _, token in bidders:
            placed = decode(
                await caller.send(raw_client.build_request("POST", server.url, path, token=token, body=bid)), 201
            )
        bids.append(str(placed["id"]))
        return len(bids) < jobs

    async def hire(caller: raw_client.Caller) -> bool:
        if not bids:
            return False
        request = raw_client.build_request("PATCH", server.url, f"/api/bids/{bids.pop()}/hire", token=owner)
        decode(await caller.send(request), 200)
        return True

    await raw_client.run_callers(connections, MAX_PHASE_SECONDS, prepare)
    before = server.read_cpu_seconds()
    rate, seconds = await raw_client.run_callers(connections, MAX_PHASE_SECONDS, hire)
    cpu_us = (server.read_cpu_seconds() - before) / len(seconds) * 1_000_000
    for connection in connections:
        connection.transport.close()
    return Hires(rate, seconds, cpu_us)


class Pair:
    """A client and a freelancer who complete jobs with each other."""

    def __init__(self, url: str, owner: str, freelancer: str) -> None:
        self._url, self._owner, self._freelancer = url, owner, freelancer

    async def run_lifecycle(self, caller: raw_client.Caller) -> bool:
        """Run one job from posting to payment: six requests."""
        job = {"title": "Bench", "description": "x", "budget": 1_000}
        path = f"/api/jobs/{await self._request(caller, 'POST', '/api/jobs', self._owner, job, 201)}"
        offer = {"message": "me", "price": 900}
        bid = await self._request(caller, "POST", f"{path}/bids", self._freelancer, offer, 201)
        await self._request(caller, "PATCH", f"/api/bids/{bid}/hire", self._owner, None, 200)
        for token, status in (
            (self._freelancer, "in_progress"),
            (self._freelancer, "submitted"),
            (self._owner, "completed"),
        ):
            await self._request(caller, "PATCH", f"{path}/status", token, {"status": status}, 200)
        return True

    async def _request(
        self, caller: raw_client.Caller, method: str, path: str, token: str, body: dict[str, object] | None, status: int
    ) -> object:
        encoded = b"" if body is None else json.dumps(body).encode()
        request = raw_client.build_request(method, self._url, path, token=token, body=encoded)
        return decode(await caller.send(request), status).get("id")


async def measure_lifecycles(server: Server) -> Row:
    """Measure complete job lifecycles per second with 32 concurrent pairs, and the duration of one."""
    owners = await sign_up(server.url, "client", PAIRS)
    freelancers = await sign_up(server.url, "freelancer", PAIRS)
    callers = await raw_client.open_callers(server.url, PAIRS)
    pairs = {
        caller: Pair(server.url, owner, freelancer)
        for caller, (_, owner), (_, freelancer) in zip(callers, owners, freelancers, strict=True)
    }
    rate, times = await raw_client.run_callers(
        callers, MEASUREMENT_SECONDS, lambda caller: pairs[caller].run_lifecycle(caller)
    )
    p50, p99 = raw_client.get_percentile_ms(times, 0.5), raw_client.get_percentile_ms(times, 0.99)
    return f"job lifecycles/s (6 requests), {PAIRS} pairs", f"{rate:,.0f}", "–", f"p50 {p50:.0f} ms, p99 {p99:.0f} ms"
