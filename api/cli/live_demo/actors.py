"""What demo users do, over the public API."""

import random
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from api.cli.client.hub_client import error_message, retry_after_seconds
from services.demo.crowd import TextGenerator
from services.demo.phrases import CHANGE_NOTES, COMMENTS, TRADES

# Deposited when a wallet cannot pay for a job, in minor units.
DEPOSIT_AMOUNT: Final = 2_000_000
# Of each client; more would fill the whole page.
MAX_OPEN_JOBS: Final = 8
# A change request instead of a payment, for this share of the reviews.
CHANGE_REQUEST_SHARE: Final = 0.15
# Expected refusals: another user was faster, or the state has changed.
_EXPECTED_CODES: Final = frozenset({"CONFLICT", "GIG_NOT_OPEN", "BID_NOT_PENDING", "INSUFFICIENT_FUNDS", "NOT_FOUND"})


@dataclass(frozen=True, slots=True)
class Actor:
    """A demo user who is signed in; `headers` authorize their requests."""

    name: str
    role: str
    id: str
    headers: dict[str, str]


class RequestRejected(Exception):
    """The hub rejected a request unexpectedly; wait `wait_seconds` before the next one."""

    def __init__(self, reason: str, wait_seconds: float) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


class Market:
    """Runs one random action at a time; reads all state from the hub.

    `get_deposit_headers` returns the headers that authorize a deposit.
    """

    def __init__(
        self,
        client: httpx2.AsyncClient,
        actors: Sequence[Actor],
        get_deposit_headers: Callable[[], Awaitable[dict[str, str]]],
        dice: random.Random,
    ) -> None:
        self.dice = dice
        self._client = client
        self._get_deposit_headers = get_deposit_headers
        self._texts = TextGenerator(dice)
        self._clients = [actor for actor in actors if actor.role == "client"]
        self._freelancers = [actor for actor in actors if actor.role == "freelancer"]
        # The weight of each action in the random choice.
        self._actions: dict[Callable[[], Awaitable[str | None]], int] = {
            self._post_job: 2, self._bid: 5, self._hire: 3, self._work: 4, self._review: 3, self._comment: 2,
        }  # fmt: skip

    async def act(self) -> str:
        """Run a random action that is possible and return a sentence about it.

        Raises RequestRejected and httpx2.TransportError.
        """
        actions = list(self._actions)
        while actions:
            action = self.dice.choices(actions, [self._actions[candidate] for candidate in actions])[0]
            actions.remove(action)
            if sentence := await action():
                return sentence
        return "No action is possible."

    async def _post_job(self) -> str | None:
        owner = self.dice.choice(self._clients)
        open_jobs = await self._get(owner, "/api/jobs?mine=true&status=open&limit=20")
        if len(open_jobs["items"]) >= MAX_OPEN_JOBS:
            return None
        job = self._texts.job(self.dice.choice(TRADES))
        if (await self._get(owner, "/api/wallet"))["available"] < job["budget"]:
            return await self._deposit(owner)
        created = await self._send(owner, "POST", "/api/jobs", job)
        return f"{owner.name} posted “{job['title']}”." if created else None

    async def _deposit(self, owner: Actor) -> str | None:
        body = {"userId": owner.id, "amount": DEPOSIT_AMOUNT, "paymentId": f"demo-{secrets.token_hex(8)}"}
        headers = await self._get_deposit_headers()
        deposit = _decode(await self._client.post("/api/wallet/deposits", json=body, headers=headers))
        return f"{owner.name} deposited money." if deposit else None

    async def _bid(self) -> str | None:
        freelancer = self.dice.choice(self._freelancers)
        job = self._choose(await self._get(freelancer, "/api/jobs?status=open&limit=30"))
        if job is None:
            return None
        created = await self._send(freelancer, "POST", f"/api/jobs/{job['id']}/bids", self._texts.bid(job["budget"]))
        return f"{freelancer.name} bid on “{job['title']}”." if created else None

    async def _hire(self) -> str | None:
        owner = self.dice.choice(self._clients)
        open_jobs = await self._get(owner, "/api/jobs?mine=true&status=open&limit=20")
        job = self._choose(open_jobs, lambda job: job["bidCount"] > 0)
        if job is None:
            return None
        bids = await self._get(owner, f"/api/jobs/{job['id']}/bids")
        bid = self._choose(bids, lambda bid: bid["status"] == "pending")
        if bid is None or not await self._send(owner, "PATCH", f"/api/bids/{bid['id']}/hire"):
            return None
        return f"{owner.name} hired {bid['freelancer']['name']} for “{job['title']}”."

    async def _work(self) -> str | None:
        freelancer = self.dice.choice(self._freelancers)
        bids = await self._get(freelancer, "/api/bids?mine=true&limit=50")
        bid = self._choose(bids, lambda bid: bid["status"] == "hired")
        if bid is None:
            return None
        job = await self._get(freelancer, f"/api/jobs/{bid['gigId']}")
        target, verb = {"assigned": ("in_progress", "started"), "in_progress": ("submitted", "submitted")}.get(
            job["status"], ("", "")
        )
        changed = target and await self._send(freelancer, "PATCH", f"/api/jobs/{job['id']}/status", {"status": target})
        return f"{freelancer.name} {verb} “{job['title']}”." if changed else None

    async def _review(self) -> str | None:
        owner = self.dice.choice(self._clients)
        job = self._choose(await self._get(owner, "/api/jobs?mine=true&status=submitted&limit=20"))
        if job is None:
            return None
        body, verb = {"status": "completed"}, "paid for"
        if self.dice.random() < CHANGE_REQUEST_SHARE:
            body = {"status": "in_progress", "note": self._texts.fill(self.dice.choice(CHANGE_NOTES))}
            verb = "requested changes to"
        changed = await self._send(owner, "PATCH", f"/api/jobs/{job['id']}/status", body)
        return f"{owner.name} {verb} “{job['title']}”." if changed else None

    async def _comment(self) -> str | None:
        author = self.dice.choice((*self._clients, *self._freelancers))
        job = self._choose(await self._get(author, "/api/jobs?status=open&limit=10"))
        if job is None:
            return None
        text = self._texts.fill(self.dice.choice(COMMENTS))
        created = await self._send(author, "POST", f"/api/jobs/{job['id']}/comments", {"text": text})
        return f"{author.name} commented on “{job['title']}”." if created else None

    def _choose(self, page: Any, condition: Callable[[Any], bool] = bool) -> Any:
        """Return a random item of the page that fulfills the condition; None if there is none."""
        items = [item for item in page.get("items", ()) if condition(item)]
        return self.dice.choice(items) if items else None

    async def _get(self, actor: Actor, path: str) -> Any:
        return _decode(await self._client.get(path, headers=actor.headers)) or {"items": []}

    async def _send(self, actor: Actor, method: str, path: str, body: Any = None) -> Any:
        return _decode(await self._client.request(method, path, json=body, headers=actor.headers))


def _decode(response: httpx2.Response) -> Any:
    """Return the body of a success; None for an expected refusal. Raises RequestRejected."""
    if response.is_success:
        return response.json()
    with suppress(ValueError):
        if response.json().get("code") in _EXPECTED_CODES:
            return None
    raise RequestRejected(error_message(response), retry_after_seconds(response) or 1.0)
