"""Who may do what, and when: every route of the marketplace × everybody × every state of a job, none left out."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

import httpx2
import pytest

from api.operations.operation import Operation
from api.routes.table import OPERATIONS
from services.jobs.schemas import JobStatus
from tests.support.hub import PASSWORD, Hub, Person
from tests.support.server import Server
from tests.system.job_factory import PostedJob, create_job, expire_soon, place_bid, post_job

PREFIXES: Final = ("/api/jobs", "/api/bids", "/api/wallet", "/api/stats", "/api/users/{id}")

# `worker` made the bid that is, or would be, hired; `bidder` another one, `freelancer` and `client` none.
WHO: Final = ("nobody", "service", "admin", "client", "freelancer", "owner", "worker", "bidder")
STATES: Final = (
    "open",
    "at once",
    "assigned",
    "in_progress",
    "submitted",
    "completed",
    "cancelled",
    "expired",
    "deleted",
    "missing",
)
OPEN: Final = ("open", "at once")
GONE: Final = ("deleted", "missing")

Answer = int | str


@dataclass(frozen=True)
class Asked:
    """One call, and what must come of it: a status, or an error's code."""

    path: Callable[[PostedJob], str]
    answer: Callable[[str, str], Answer]
    body: Any = None


def users_only(rule: Callable[[str, str], Answer]) -> Callable[[str, str], Answer]:
    def answer(who: str, state: str) -> Answer:
        if who == "nobody":
            return "UNAUTHENTICATED"
        return "FORBIDDEN" if who == "service" else rule(who, state)

    return answer


def only(*allowed: str, rule: Callable[[str, str], Answer]) -> Callable[[str, str], Answer]:
    return users_only(lambda who, state: rule(who, state) if who in allowed else "FORBIDDEN")


def anybody(who: str, state: str) -> Answer:
    return 200


def reading(who: str, state: str) -> Answer:
    return "NOT_FOUND" if state in GONE else 200


def changing(good: int) -> Callable[[str, str], Answer]:
    def rule(who: str, state: str) -> Answer:
        if state in GONE:
            return "NOT_FOUND"
        if who != "owner":
            return "FORBIDDEN"
        return good if state in OPEN else "CONFLICT"

    return users_only(rule)


def bidding(who: str, state: str) -> Answer:
    if state in GONE:
        return "NOT_FOUND"
    return 201 if state in OPEN and who == "freelancer" else "CONFLICT"


def commenting(who: str, state: str) -> Answer:
    return "NOT_FOUND" if state in GONE else 201


def withdrawing(who: str, state: str) -> Answer:
    if state in GONE or who != "worker":
        return "NOT_FOUND"
    return 204 if state in OPEN else "CONFLICT"


def hiring(who: str, state: str) -> Answer:
    if state in GONE:
        return "BID_NOT_FOUND" if state == "missing" else "GIG_NOT_FOUND"
    if who != "owner":
        return "UNAUTHORIZED"
    return 200 if state in OPEN else "GIG_NOT_OPEN"


# By letter from the contract: (from, who) → to. The time to deliver is not over in this test.
MOVES: Final[Mapping[str, set[tuple[str, str]]]] = {
    "open": set(),
    "assigned": set(),
    "in_progress": {("assigned", "worker"), ("submitted", "owner")},
    "submitted": {("in_progress", "worker")},
    "completed": {("submitted", "owner")},
    "cancelled": {
        ("open", "owner"),
        ("at once", "owner"),
        ("assigned", "owner"),
        *((state, "worker") for state in ("assigned", "in_progress", "submitted")),
    },
    "expired": set(),
}
FREELANCERS: Final = ("worker", "bidder", "freelancer")


def moving(target: str) -> Callable[[str, str], Answer]:
    def rule(who: str, state: str) -> Answer:
        if state in GONE:
            return "NOT_FOUND"
        taking = state == "at once" and target == "in_progress" and who in FREELANCERS
        return 200 if taking or (state, who) in MOVES[target] else "CONFLICT"

    return users_only(rule)


def too_late(who: str, state: str) -> Answer:
    """A job that could be had at once, and that the worker has."""
    if who in ("bidder", "freelancer"):
        return "GIG_NOT_OPEN"
    return users_only(lambda who, state: "CONFLICT")(who, state)


NEW_JOB: Final = {"title": "T", "description": "D", "budget": 1}
EXPECTED: Final[Mapping[str, list[Asked]]] = {
    "POST /api/jobs": [Asked(lambda g: "/api/jobs", only("owner", "client", rule=lambda *_: 201), NEW_JOB)],
    "GET /api/jobs": [Asked(lambda g: "/api/jobs", anybody)],
    "GET /api/jobs/suggest": [Asked(lambda g: "/api/jobs/suggest?q=fix", anybody)],
    "GET /api/jobs/{id}": [Asked(lambda g: f"/api/jobs/{g.id}", reading)],
    "PATCH /api/jobs/{id}": [Asked(lambda g: f"/api/jobs/{g.id}", changing(200), {"title": "New"})],
    "DELETE /api/jobs/{id}": [Asked(lambda g: f"/api/jobs/{g.id}", changing(204))],
    "PATCH /api/jobs/{id}/status": [
        Asked(lambda g: f"/api/jobs/{g.id}/status", moving(target), {"status": target})
        for target in get_args(JobStatus)
    ],
    "POST /api/jobs/{id}/bids": [
        Asked(lambda g: f"/api/jobs/{g.id}/bids", only(*FREELANCERS, rule=bidding), {"message": "Me", "price": 1})
    ],
    "GET /api/jobs/{id}/bids": [Asked(lambda g: f"/api/jobs/{g.id}/bids", users_only(reading))],
    "GET /api/bids": [Asked(lambda g: "/api/bids?mine=true", only(*FREELANCERS, rule=anybody))],
    "DELETE /api/bids/{id}": [Asked(lambda g: f"/api/bids/{g.bid_id}", only(*FREELANCERS, rule=withdrawing))],
    "PATCH /api/bids/{bidId}/hire": [Asked(lambda g: f"/api/bids/{g.bid_id}/hire", users_only(hiring))],
    "POST /api/jobs/{id}/comments": [
        Asked(lambda g: f"/api/jobs/{g.id}/comments", users_only(commenting), {"text": "When?"})
    ],
    "GET /api/jobs/{id}/comments": [Asked(lambda g: f"/api/jobs/{g.id}/comments", reading)],
    "GET /api/stats": [Asked(lambda g: "/api/stats", anybody)],
    "GET /api/users/{id}": [Asked(lambda g: f"/api/users/{g.owner.id}", anybody)],
    "GET /api/wallet": [Asked(lambda g: "/api/wallet", users_only(anybody))],
    "GET /api/wallet/entries": [Asked(lambda g: "/api/wallet/entries", users_only(anybody))],
    # The service here has another scope than `deposit`.
    "POST /api/wallet/deposits": [Asked(lambda g: "/api/wallet/deposits", only(rule=anybody), {"amount": 1})],
    "POST /api/wallet/withdrawals": [
        Asked(lambda g: "/api/wallet/withdrawals", users_only(lambda who, state: 201), {"amount": 1})
    ],
}

ROUTES: Final = [op for op in OPERATIONS if op.path.startswith(PREFIXES)]
CASES: Final = [
    pytest.param(op, asked, id=f"{op.method} {op.path} {'' if asked is None else (asked.body or {}).get('status', '')}")
    for op in ROUTES
    for asked in EXPECTED.get(f"{op.method} {op.path}", [None])
]


class Stage:
    """A hub with everybody on it, and jobs in every state, made when needed and thrown away when moved."""

    def __init__(self, hub: Hub, people: Mapping[str, Person | str | None]) -> None:
        self.hub = hub
        self.people = people
        self.clients = {who: hub.client(person) for who, person in people.items()}
        self._ready: dict[str, PostedJob] = {}

    def person(self, who: str) -> Person:
        found = self.people[who]
        assert isinstance(found, Person)
        return found

    async def job(self, state: str) -> PostedJob:
        if state not in self._ready:
            self._ready[state] = await self._make(state)
        return self._ready[state]

    def used(self, state: str) -> None:
        """The job is not in that state any more."""
        self._ready.pop(state, None)

    async def _make(self, state: str) -> PostedJob:
        owner, worker = self.person("owner"), self.person("worker")
        if state == "missing":
            return PostedJob("nothing", owner, worker, "nothing")
        more: dict[str, Any] = {"instantAccept": True} if state == "at once" else {}
        if state == "expired":
            async with self.hub.stream(owner) as stream:
                job = await post_job(self.clients["owner"])
                made = PostedJob(job, owner, worker, await place_bid(self.clients["worker"], job))
                await expire_soon(self.clients["owner"], job)
                await stream.read_until(lambda event: event.type == "job_refunded" and event.data["id"] == job)
                return made
        made = await create_job(self.hub, "open" if state in OPEN else state, owner=owner, freelancer=worker, **more)
        if state in OPEN:
            await place_bid(self.clients["bidder"], made.id)
        return made


@pytest.fixture(scope="module")
def service_key(server: Server) -> str:
    return server.api_key(f"matrix-{secrets.token_hex(4)}", ("notify", "jobs"))


@pytest.fixture(scope="module")
def admin_email(server: Server) -> str:
    email = f"matrix-{secrets.token_hex(4)}@example.org"
    create = ("users", "create", email, "--role", "admin", "--password-stdin")
    done = server.cli(*create, stdin=f"{PASSWORD}\n")
    assert done.returncode == 0, done.stderr
    return email


@pytest.fixture
async def stage(shared_hub: Hub, service_key: str, admin_email: str) -> Stage:
    people: dict[str, Person | str | None] = {"nobody": None, "service": service_key}
    people["admin"] = await shared_hub.login(admin_email)
    for who in WHO[3:]:
        people[who] = await shared_hub.signup("client" if who in ("client", "owner") else "freelancer")
    return Stage(shared_hub, people)


def test_every_route_of_the_marketplace_is_expected_to_do_something() -> None:
    assert [f"{op.method} {op.path}" for op in ROUTES if f"{op.method} {op.path}" not in EXPECTED] == []
    assert len(ROUTES) >= 11


@pytest.mark.parametrize(("op", "asked"), CASES)
async def test_everybody_gets_what_the_contract_says_in_every_state(
    stage: Stage, op: Operation, asked: Asked | None
) -> None:
    assert asked is not None, "nobody says what this route should answer: add it to EXPECTED"
    wrong = []
    for state in STATES:
        for who in WHO:
            made = await stage.job(state)
            answer = await stage.clients[who].request(op.method, asked.path(made), json=asked.body)
            if op.method != "GET" and answer.status_code < 400:
                stage.used(state)
            if offence := differs(answer, asked.answer(who, state), state):
                wrong.append((state, who, offence))
    assert wrong == []


@pytest.mark.parametrize("target", get_args(JobStatus))
async def test_a_job_that_somebody_took_at_once_is_told_to_be_gone(stage: Stage, target: str) -> None:
    made = await stage.job("at once")
    taken = await stage.clients["worker"].patch(f"/api/jobs/{made.id}/status", json={"status": "in_progress"})
    assert taken.status_code == 200, taken.text
    for who in (who for who in WHO if who != "worker"):
        answer = await stage.clients[who].patch(f"/api/jobs/{made.id}/status", json={"status": target})
        expected = too_late(who, target) if target == "in_progress" else moving(target)(who, "in_progress")
        assert not differs(answer, expected, "in_progress"), (who, answer.text)


def differs(answer: httpx2.Response, expected: Answer, state: str) -> str | None:
    """What is wrong with an answer; the errors that name a state must name the job's."""
    if isinstance(expected, int):
        return None if answer.status_code == expected else f"{expected} expected, not {answer.text}"
    problem = answer.json()
    if answer.status_code < 400 or problem.get("code") != expected:
        return f"{expected} expected, not {answer.text}"
    stands, is_about_a_bid = "open" if state in OPEN else state, "/bids" in str(answer.request.url)
    if expected in ("CONFLICT", "GIG_NOT_OPEN") and not is_about_a_bid and problem["currentStatus"] != stands:
        return f"currentStatus should be {stands}: {answer.text}"
    return None
