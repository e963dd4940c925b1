"""What the demo's users do on a living market, each act a few requests to the public interface."""

import random
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from api.cli.client.hub_client import error_message, retry_after
from services.demo.crowd import TextGenerator
from services.demo.phrases import COMMENTS, CHANGE_NOTES, TRADES

# What a wallet is filled up with when it cannot pay for a job, in minor units.
_DEPOSIT: Final = 2_000_000
# Open jobs of one client; more would crowd the page.
_OPEN_AT_MOST: Final = 8
# Somebody was faster, or it cannot be done now: that is how markets are.
_USUAL: Final = frozenset({"CONFLICT", "GIG_NOT_OPEN", "BID_NOT_PENDING", "INSUFFICIENT_FUNDS", "NOT_FOUND"})


@dataclass(frozen=True, slots=True)
class Actor:
    """A demo user who has signed in."""

    name: str
    role: str
    id: str
    headers: dict[str, str]


class Refused(Exception):
    """The hub will not have this now; `wait` seconds before anything else."""

    def __init__(self, why: str, wait: float) -> None:
        super().__init__(why)
        self.wait = wait


class Market:
    """Does one thing at a time, whatever can be done; it keeps nothing in mind that the hub could tell it.

    `deposits` gives the headers that a payment into a wallet is authorized with.
    """

    def __init__(
        self,
        client: httpx2.AsyncClient,
        actors: Sequence[Actor],
        deposits: Callable[[], Awaitable[dict[str, str]]],
        dice: random.Random,
    ) -> None:
        self.dice = dice
        self._client = client
        self._deposits = deposits
        self._words = TextGenerator(dice)
        self._clients = [actor for actor in actors if actor.role == "client"]
        self._freelancers = [actor for actor in actors if actor.role == "freelancer"]
        # How often each is tried first.
        self._acts: dict[Callable[[], Awaitable[str | None]], int] = {
            self._post: 2, self._bid: 5, self._hire: 3, self._work: 4, self._review: 3, self._comment: 2,
        }  # fmt: skip

    async def act(self) -> str:
        """Do something, and say in one sentence what. Raises Refused and httpx2.TransportError."""
        acts = list(self._acts)
        while acts:
            act = self.dice.choices(acts, [self._acts[one] for one in acts])[0]
            acts.remove(act)
            if said := await act():
                return said
        return "Nobody has anything to do."

    async def _post(self) -> str | None:
        owner = self.dice.choice(self._clients)
        mine = await self._get(owner, "/api/jobs?mine=true&status=open&limit=20")
        if len(mine["items"]) >= _OPEN_AT_MOST:
            return None
        job = self._words.job(self.dice.choice(TRADES))
        if (await self._get(owner, "/api/wallet"))["available"] < job["budget"]:
            return await self._deposit(owner)
        return f"{owner.name} posted “{job['title']}”." if await self._do(owner, "POST", "/api/jobs", job) else None

    async def _deposit(self, owner: Actor) -> str | None:
        body = {"userId": owner.id, "amount": _DEPOSIT, "paymentId": f"demo-{secrets.token_hex(8)}"}
        headers = await self._deposits()
        answer = self._checked(await self._client.post("/api/wallet/deposits", json=body, headers=headers))
        return f"{owner.name} put money into their wallet." if answer else None

    async def _bid(self) -> str | None:
        who = self.dice.choice(self._freelancers)
        job = self._one_of(await self._get(who, "/api/jobs?status=open&limit=30"))
        if job is None:
            return None
        made = await self._do(who, "POST", f"/api/jobs/{job['id']}/bids", self._words.bid(job["budget"]))
        return f"{who.name} bid on “{job['title']}”." if made else None

    async def _hire(self) -> str | None:
        owner = self.dice.choice(self._clients)
        mine = await self._get(owner, "/api/jobs?mine=true&status=open&limit=20")
        job = self._one_of(mine, lambda job: job["bidCount"] > 0)
        if job is None:
            return None
        bids = await self._get(owner, f"/api/jobs/{job['id']}/bids")
        bid = self._one_of(bids, lambda bid: bid["status"] == "pending")
        if bid is None or not await self._do(owner, "PATCH", f"/api/bids/{bid['id']}/hire"):
            return None
        return f"{owner.name} hired {bid['freelancer']['name']} for “{job['title']}”."

    async def _work(self) -> str | None:
        who = self.dice.choice(self._freelancers)
        bids = await self._get(who, "/api/bids?mine=true&limit=50")
        bid = self._one_of(bids, lambda bid: bid["status"] == "hired")
        if bid is None:
            return None
        job = await self._get(who, f"/api/jobs/{bid['gigId']}")
        target, did = {"assigned": ("in_progress", "began"), "in_progress": ("submitted", "handed in")}.get(
            job["status"], ("", "")
        )
        done = target and await self._do(who, "PATCH", f"/api/jobs/{job['id']}/status", {"status": target})
        return f"{who.name} {did} “{job['title']}”." if done else None

    async def _review(self) -> str | None:
        owner = self.dice.choice(self._clients)
        job = self._one_of(await self._get(owner, "/api/jobs?mine=true&status=submitted&limit=20"))
        if job is None:
            return None
        body, did = {"status": "completed"}, "paid for"
        if self.dice.random() < 0.15:
            body = {"status": "in_progress", "note": self._words.fill(self.dice.choice(CHANGE_NOTES))}
            did = "asked for changes to"
        done = await self._do(owner, "PATCH", f"/api/jobs/{job['id']}/status", body)
        return f"{owner.name} {did} “{job['title']}”." if done else None

    async def _comment(self) -> str | None:
        who = self.dice.choice((*self._clients, *self._freelancers))
        job = self._one_of(await self._get(who, "/api/jobs?status=open&limit=10"))
        if job is None:
            return None
        text = self._words.fill(self.dice.choice(COMMENTS))
        made = await self._do(who, "POST", f"/api/jobs/{job['id']}/comments", {"text": text})
        return f"{who.name} asked about “{job['title']}”." if made else None

    def _one_of(self, page: Any, fits: Callable[[Any], bool] = bool) -> Any:
        found = [item for item in page.get("items", ()) if fits(item)]
        return self.dice.choice(found) if found else None

    async def _get(self, who: Actor, path: str) -> Any:
        return self._checked(await self._client.get(path, headers=who.headers)) or {"items": []}

    async def _do(self, who: Actor, method: str, path: str, body: Any = None) -> Any:
        return self._checked(await self._client.request(method, path, json=body, headers=who.headers))

    def _checked(self, answer: httpx2.Response) -> Any:
        """The answer; None where it was refused as happens on a market. Raises Refused."""
        if answer.is_success:
            return answer.json()
        with suppress(ValueError):
            if answer.json().get("code") in _USUAL:
                return None
        raise Refused(error_message(answer), retry_after(answer) or 1.0)
