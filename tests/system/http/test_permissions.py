"""Permissions: every marketplace route for every actor in every job state."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

import anyio
import httpx2
import pytest

from api.operations.operation import Operation
from api.routes.table import OPERATIONS
from services.jobs.schemas import JobStatus
from tests.support.callers import Staff
from tests.support.hub import Hub, HubClients, Person
from tests.support.in_process_hub import InProcessHub
from tests.system.job_factory import PostedJob, create_job, expire_soon, place_bid, post_job

PREFIXES: Final = ("/api/jobs", "/api/bids", "/api/wallet", "/api/stats", "/api/users/{id}")

# `hired` placed the bid that is or will be hired, `bidder` placed another bid, `freelancer` and `client` none.
ACTORS: Final = ("anonymous", "service", "admin", "client", "freelancer", "owner", "hired", "bidder")
STATES: Final = (
    "open",
    "instant",
    "assigned",
    "in_progress",
    "submitted",
    "completed",
    "cancelled",
    "expired",
    "deleted",
    "missing",
)
OPEN: Final = ("open", "instant")
GONE: Final = ("deleted", "missing")

Expected = int | str
# Returns the expected result for an actor and a job state.
Rule = Callable[[str, str], Expected]


@dataclass(frozen=True)
class RouteCase:
    """One request and the expected result for an actor and a job state: a status, or the code of an error."""

    path: Callable[[PostedJob], str]
    expected: Rule
    body: Any = None


def users_only(rule: Rule) -> Rule:
    def user_rule(actor: str, state: str) -> Expected:
        if actor == "anonymous":
            return "UNAUTHENTICATED"
        return "FORBIDDEN" if actor == "service" else rule(actor, state)

    return user_rule


def only(*allowed: str, rule: Rule) -> Rule:
    return users_only(lambda actor, state: rule(actor, state) if actor in allowed else "FORBIDDEN")


def always_ok(actor: str, state: str) -> Expected:
    return 200


def read_rule(actor: str, state: str) -> Expected:
    return "NOT_FOUND" if state in GONE else 200


def change_rule(success: int) -> Rule:
    def rule(actor: str, state: str) -> Expected:
        if state in GONE:
            return "NOT_FOUND"
        if actor != "owner":
            return "FORBIDDEN"
        return success if state in OPEN else "CONFLICT"

    return users_only(rule)


def bid_rule(actor: str, state: str) -> Expected:
    if state in GONE:
        return "NOT_FOUND"
    return 201 if state in OPEN and actor == "freelancer" else "CONFLICT"


def comment_rule(actor: str, state: str) -> Expected:
    return "NOT_FOUND" if state in GONE else 201


def withdraw_rule(actor: str, state: str) -> Expected:
    if state in GONE or actor != "hired":
        return "NOT_FOUND"
    return 204 if state in OPEN else "CONFLICT"


def hire_rule(actor: str, state: str) -> Expected:
    if state in GONE:
        return "BID_NOT_FOUND" if state == "missing" else "GIG_NOT_FOUND"
    if actor != "owner":
        return "UNAUTHORIZED"
    return 200 if state in OPEN else "GIG_NOT_OPEN"


# The transitions of the contract: target → (state, actor). No delivery deadline passes in this test.
TRANSITIONS: Final[Mapping[str, set[tuple[str, str]]]] = {
    "open": set(),
    "assigned": set(),
    "in_progress": {("assigned", "hired"), ("submitted", "owner")},
    "submitted": {("in_progress", "hired")},
    "completed": {("submitted", "owner")},
    "cancelled": {
        ("open", "owner"),
        ("instant", "owner"),
        ("assigned", "owner"),
        *((state, "hired") for state in ("assigned", "in_progress", "submitted")),
    },
    "expired": set(),
}
FREELANCERS: Final = ("hired", "bidder", "freelancer")


def status_rule(target: str) -> Rule:
    def rule(actor: str, state: str) -> Expected:
        if state in GONE:
            return "NOT_FOUND"
        accepts_instantly = state == "instant" and target == "in_progress" and actor in FREELANCERS
        return 200 if accepts_instantly or (state, actor) in TRANSITIONS[target] else "CONFLICT"

    return users_only(rule)


def taken_rule(actor: str, state: str) -> Expected:
    """The rule for a start of a job that the freelancer `hired` has accepted instantly."""
    if actor in ("bidder", "freelancer"):
        return "GIG_NOT_OPEN"
    return users_only(lambda actor, state: "CONFLICT")(actor, state)


NEW_JOB: Final = {"title": "T", "description": "D", "budget": 1}
CASES_BY_ROUTE: Final[Mapping[str, list[RouteCase]]] = {
    "POST /api/jobs": [RouteCase(lambda job: "/api/jobs", only("owner", "client", rule=lambda *_: 201), NEW_JOB)],
    "GET /api/jobs": [RouteCase(lambda job: "/api/jobs", always_ok)],
    "GET /api/jobs/suggest": [RouteCase(lambda job: "/api/jobs/suggest?q=fix", always_ok)],
    "GET /api/jobs/{id}": [RouteCase(lambda job: f"/api/jobs/{job.id}", read_rule)],
    "PATCH /api/jobs/{id}": [RouteCase(lambda job: f"/api/jobs/{job.id}", change_rule(200), {"title": "New"})],
    "DELETE /api/jobs/{id}": [RouteCase(lambda job: f"/api/jobs/{job.id}", change_rule(204))],
    "PATCH /api/jobs/{id}/status": [
        RouteCase(lambda job: f"/api/jobs/{job.id}/status", status_rule(target), {"status": target})
        for target in get_args(JobStatus)
    ],
    "POST /api/jobs/{id}/bids": [
        RouteCase(
            lambda job: f"/api/jobs/{job.id}/bids", only(*FREELANCERS, rule=bid_rule), {"message": "Me", "price": 1}
        )
    ],
    "GET /api/jobs/{id}/bids": [RouteCase(lambda job: f"/api/jobs/{job.id}/bids", users_only(read_rule))],
    "GET /api/bids": [RouteCase(lambda job: "/api/bids?mine=true", only(*FREELANCERS, rule=always_ok))],
    "DELETE /api/bids/{id}": [RouteCase(lambda job: f"/api/bids/{job.bid_id}", only(*FREELANCERS, rule=withdraw_rule))],
    "PATCH /api/bids/{bidId}/hire": [RouteCase(lambda job: f"/api/bids/{job.bid_id}/hire", users_only(hire_rule))],
    "POST /api/jobs/{id}/comments": [
        RouteCase(lambda job: f"/api/jobs/{job.id}/comments", users_only(comment_rule), {"text": "When?"})
    ],
    "GET /api/jobs/{id}/comments": [RouteCase(lambda job: f"/api/jobs/{job.id}/comments", read_rule)],
    "GET /api/stats": [RouteCase(lambda job: "/api/stats", always_ok)],
    "GET /api/users/{id}": [RouteCase(lambda job: f"/api/users/{job.owner.id}", always_ok)],
    "GET /api/wallet": [RouteCase(lambda job: "/api/wallet", users_only(always_ok))],
    "GET /api/wallet/entries": [RouteCase(lambda job: "/api/wallet/entries", users_only(always_ok))],
    # The service does not have the scope `deposit`.
    "POST /api/wallet/deposits": [RouteCase(lambda job: "/api/wallet/deposits", only(rule=always_ok), {"amount": 1})],
    "POST /api/wallet/withdrawals": [
        RouteCase(lambda job: "/api/wallet/withdrawals", users_only(lambda actor, state: 201), {"amount": 1})
    ],
}

ROUTES: Final = [op for op in OPERATIONS if op.path.startswith(PREFIXES)]
CASES: Final = [
    pytest.param(op, case, id=f"{op.method} {op.path} {'' if case is None else (case.body or {}).get('status', '')}")
    for op in ROUTES
    for case in CASES_BY_ROUTE.get(f"{op.method} {op.path}", [None])
]


class Marketplace:
    """A hub with a client for each actor, and a job in each state, created on demand and again after a change."""

    def __init__(self, hub: HubClients, callers: Mapping[str, Person | str | None]) -> None:
        self.hub = hub
        self.callers = callers
        self.clients = {actor: hub.client(person) for actor, person in callers.items()}
        self._jobs: dict[str, PostedJob] = {}

    def person(self, actor: str) -> Person:
        user = self.callers[actor]
        assert isinstance(user, Person)
        return user

    async def get_job(self, state: str) -> PostedJob:
        if state not in self._jobs:
            self._jobs[state] = await self._create_job(state)
        return self._jobs[state]

    def discard_job(self, state: str) -> None:
        """Forget a job that has left this state."""
        self._jobs.pop(state, None)

    async def _create_job(self, state: str) -> PostedJob:
        owner, freelancer = self.person("owner"), self.person("hired")
        if state == "missing":
            return PostedJob("nothing", owner, freelancer, "nothing")
        fields: dict[str, Any] = {"instantAccept": True} if state == "instant" else {}
        if state == "expired":
            job_id = await post_job(self.clients["owner"])
            bid_id = await place_bid(self.clients["hired"], job_id)
            await expire_soon(self.clients["owner"], job_id, seconds=0.1)
            await self._wait_until_expired(job_id)
            return PostedJob(job_id, owner, freelancer, bid_id)
        job = await create_job(
            self.hub, "open" if state in OPEN else state, owner=owner, freelancer=freelancer, **fields
        )
        if state in OPEN:
            await place_bid(self.clients["bidder"], job.id)
        return job

    async def _wait_until_expired(self, job_id: str) -> None:
        while True:
            job = (await self.clients["anonymous"].get(f"/api/jobs/{job_id}")).json()
            if job["status"] == "expired":
                return
            await anyio.sleep(0.02)


async def create_marketplace(hub: HubClients, service_key: str, admin_email: str) -> Marketplace:
    callers: dict[str, Person | str | None] = {"anonymous": None, "service": service_key}
    callers["admin"] = await hub.login(admin_email)
    for actor in ACTORS[3:]:
        callers[actor] = await hub.signup("client" if actor in ("client", "owner") else "freelancer")
    return Marketplace(hub, callers)


@pytest.fixture(scope="module")
async def module_marketplace(in_process_hub: InProcessHub) -> Marketplace:
    staff = await in_process_hub.create_staff()
    return await create_marketplace(in_process_hub, await in_process_hub.api_key("notify", "jobs"), staff.admin_email)


@pytest.fixture
def marketplace(in_process_hub: InProcessHub, module_marketplace: Marketplace) -> Iterator[Marketplace]:
    yield module_marketplace
    in_process_hub.check_log()


def test_every_marketplace_route_has_expected_responses() -> None:
    assert [f"{op.method} {op.path}" for op in ROUTES if f"{op.method} {op.path}" not in CASES_BY_ROUTE] == []
    assert len(ROUTES) >= 11


@pytest.mark.parametrize(("op", "case"), CASES)
async def test_route_returns_the_documented_result_for_every_actor_and_state(
    marketplace: Marketplace, op: Operation, case: RouteCase | None
) -> None:
    await check_every_actor_and_state(marketplace, op, case)


async def test_hire_over_sockets_returns_the_documented_result(unlimited_hub: Hub, staff: Staff) -> None:
    service_key = await unlimited_hub.api_key("notify", "jobs")
    marketplace = await create_marketplace(unlimited_hub, service_key, staff.admin_email)
    (hire,) = (op for op in ROUTES if op.path == "/api/bids/{bidId}/hire")
    await check_every_actor_and_state(marketplace, hire, CASES_BY_ROUTE["PATCH /api/bids/{bidId}/hire"][0])


async def check_every_actor_and_state(marketplace: Marketplace, op: Operation, case: RouteCase | None) -> None:
    assert case is not None, "add the expected responses of this route to CASES_BY_ROUTE"
    differences = []
    for state in STATES:
        for actor in ACTORS:
            job = await marketplace.get_job(state)
            path = case.path(job)
            response = await marketplace.clients[actor].request(op.method, path, json=case.body)
            can_change_job = op.method != "GET" and (job.id in path or job.bid_id in path)
            if can_change_job and response.status_code < 400:
                marketplace.discard_job(state)
            if difference := find_difference(response, case.expected(actor, state), state):
                differences.append((state, actor, difference))
    assert differences == []


@pytest.mark.parametrize("target", get_args(JobStatus))
async def test_instantly_accepted_job_is_not_available_to_other_actors(marketplace: Marketplace, target: str) -> None:
    job = await marketplace.get_job("instant")
    taken = await marketplace.clients["hired"].patch(f"/api/jobs/{job.id}/status", json={"status": "in_progress"})
    assert taken.status_code == 200, taken.text
    marketplace.discard_job("instant")
    for actor in (actor for actor in ACTORS if actor != "hired"):
        response = await marketplace.clients[actor].patch(f"/api/jobs/{job.id}/status", json={"status": target})
        expected = taken_rule(actor, target) if target == "in_progress" else status_rule(target)(actor, "in_progress")
        assert not find_difference(response, expected, "in_progress"), (actor, response.text)


def find_difference(response: httpx2.Response, expected: Expected, state: str) -> str | None:
    """Describe how a response differs from the expected one, or return None.

    Errors that contain `currentStatus` must contain the status of the job.
    """
    if isinstance(expected, int):
        return None if response.status_code == expected else f"{expected} expected, not {response.text}"
    problem = response.json()
    if response.status_code < 400 or problem.get("code") != expected:
        return f"{expected} expected, not {response.text}"
    current_status, is_bid_route = "open" if state in OPEN else state, "/bids" in str(response.request.url)
    if expected in ("CONFLICT", "GIG_NOT_OPEN") and not is_bid_route and problem["currentStatus"] != current_status:
        return f"currentStatus should be {current_status}: {response.text}"
    return None
