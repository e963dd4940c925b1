"""Full lives of jobs a second, over HTTP: post, bid, hire, accept, submit, complete, with all that is held and paid."""

import json
from collections.abc import Awaitable, Callable

from bench import raw_client
from bench.servers import Server, decode

SECONDS = 6.0
PAIRS = 32

SignUp = Callable[[str, str, int], Awaitable[list[tuple[str, str]]]]
Row = tuple[str, str, str, str]


class Pair:
    """A client and a freelancer who do business with each other."""

    def __init__(self, url: str, owner: str, worker: str) -> None:
        self._url, self._owner, self._worker = url, owner, worker

    async def life(self, caller: raw_client.Caller) -> bool:
        """One job, from its post to its payment: six requests."""
        job = {"title": "Bench", "description": "x", "budget": 1_000}
        path = f"/api/jobs/{await self._do(caller, 'POST', '/api/jobs', self._owner, job, 201)}"
        offer = {"message": "me", "price": 900}
        bid = await self._do(caller, "POST", f"{path}/bids", self._worker, offer, 201)
        await self._do(caller, "PATCH", f"/api/bids/{bid}/hire", self._owner, None, 200)
        for who, status in ((self._worker, "in_progress"), (self._worker, "submitted"), (self._owner, "completed")):
            await self._do(caller, "PATCH", f"{path}/status", who, {"status": status}, 200)
        return True

    async def _do(
        self, caller: raw_client.Caller, method: str, path: str, token: str, body: dict[str, object] | None, status: int
    ) -> object:
        encoded = b"" if body is None else json.dumps(body).encode()
        asked = raw_client.request(method, self._url, path, token=token, body=encoded)
        return decode(await caller.ask(asked), status).get("id")


async def lives(server: Server, sign_up: SignUp) -> Row:
    """Whole lives a second by 32 pairs at once, and how long one takes."""
    owners = await sign_up(server.url, "client", PAIRS)
    workers = await sign_up(server.url, "freelancer", PAIRS)
    callers = await raw_client.callers(server.url, PAIRS)
    pairs = {
        caller: Pair(server.url, owner, worker)
        for caller, (_, owner), (_, worker) in zip(callers, owners, workers, strict=True)
    }
    rate, times = await raw_client.flat_out(callers, SECONDS, lambda caller: pairs[caller].life(caller))
    p50, p99 = raw_client.percentile(times, 0.5), raw_client.percentile(times, 0.99)
    return f"lives of jobs/s (6 requests), {PAIRS} pairs", f"{rate:,.0f}", "–", f"p50 {p50:.0f} ms, p99 {p99:.0f} ms"
