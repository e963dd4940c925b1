"""The hub keeps what /openapi.json says: schemathesis asks every operation, as every kind of caller, good and bad."""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

import anyio.to_thread
import httpx2
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core import NOT_SET
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.config.signing_keys import load_signing_keys
from api.http.problems import STATUS_BY_CODE
from api.operations.operation import Operation
from api.routes.table import OPERATIONS
from services.accounts import email_verification
from services.accounts.tokens import Tokens
from tests.support.callers import CALLER_KINDS, Callers, allowed_kind
from tests.support.hub import PASSWORD, Hub, Person
from tests.support.push_service import Browser

# A stream has no end, a file and a new password come as a form, and the document is not described in itself.
LEFT_OUT: Final = (
    *("/api/realtime/connect", "/api/attachments", "/api/attachments/{id}", "/openapi.json"),
    "/api/mail/reset",
)
# The same ones each time: what one run finds, every run finds.
SAME: Final = settings(
    max_examples=15,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


@dataclass(frozen=True, slots=True)
class Asked:
    """What an operation answers with something good, for whoever `allowed` names."""

    path: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: Any = NOT_SET


class World:
    """A few things that there are, and how each operation is asked for something that is there."""

    def __init__(self, hub: Hub, callers: Callers) -> None:
        self._hub, self._callers = hub, callers
        self._job = self._bid = self._note = self._undo = self._login = self._group = self._message = ""

    async def make(self) -> None:
        """A job with a bid, a notification with a button, something to undo, a session to end."""
        client = self._hub.client(self._callers.client)
        self._job = await self._new_job()
        bid = await self._hub.client(self._callers.freelancer).post(
            f"/api/jobs/{self._job}/bids", json={"message": "m", "price": 1}
        )
        self._bid = bid.json()["id"]
        service = self._hub.client(self._callers.service)
        sent = await service.post("/api/realtime/notifications/send", json=self._letter())
        self._note = sent.json()["id"]
        archived = await client.post("/api/realtime/notifications/archive", json={"ids": [self._note]})
        self._undo = archived.json()["undo"]
        await self._hub.login(self._callers.client.email)
        sessions = (await client.get("/api/auth/sessions")).json()["items"]
        subscribed = Browser("http://127.0.0.1:9/mine").subscription
        await client.post("/api/push/subscriptions", json=subscribed)
        self._login = next(session["id"] for session in sessions if not session["current"])

        members = {"title": "g", "memberIds": [self._callers.freelancer.id]}
        self._group = (await client.post("/api/conversations", json=members)).json()["id"]
        said = {"conversationId": self._group, "type": "text", "content": "c"}
        self._message = (await client.post("/api/realtime/messages/send", json=said)).json()["id"]

    async def good(self, op: Operation) -> Asked:
        """How to ask it."""
        which = Asked(body={"ids": [self._note]})
        known = {
            "POST /api/realtime/tickets": Asked(body={"userId": self._callers.client.id}),
            "POST /api/realtime/notifications/send": Asked(body=self._letter()),
            "POST /api/realtime/notifications/send/batch": Asked(body=[self._letter(), self._letter()]),
            "POST /api/realtime/notifications/retract": which,
            "POST /api/realtime/broadcast": Asked(body={"type": "sale", "data": {"off": 10}}),
            "POST /api/announcements": Asked(body={"title": "t", "body": "b", "expiresAt": "2999-01-01T00:00:00Z"}),
            "POST /api/notifications/{id}/actions/{actionId}": Asked({"id": self._note, "actionId": "yes"}),
            "POST /api/realtime/notifications/undo": Asked(body={"undo": self._undo}),
            "POST /api/auth/signup": Asked(body=self._somebody()),
            "POST /api/auth/login": Asked(body={"email": self._callers.client.email, "password": PASSWORD}),
            "PATCH /api/auth/me": Asked(body={"skills": ["sql"]}),
            "POST /api/auth/password": Asked(body={"currentPassword": PASSWORD, "newPassword": PASSWORD}),
            "DELETE /api/auth/sessions/{id}": Asked({"id": self._login}),
            "PUT /api/users/by-external-id/{externalId}": Asked({"externalId": "acme/42"}, body={"name": "n"}),
            "POST /api/jobs": Asked(body={"title": "t", "description": "d", "budget": 1}),
            "GET /api/jobs/{id}": Asked({"id": self._job}),
            "POST /api/jobs/{id}/bids": Asked({"id": await self._new_job()}, body={"message": "m", "price": 1}),
            "GET /api/jobs/{id}/bids": Asked({"id": self._job}),
            "GET /api/jobs/suggest": Asked(query={"q": "t"}),
            "PATCH /api/jobs/{id}": Asked({"id": self._job}, body={"title": "u"}),
            "DELETE /api/jobs/{id}": Asked({"id": self._job}),
            "PATCH /api/jobs/{id}/status": Asked({"id": self._job}, body={"status": "cancelled"}),
            "POST /api/jobs/{id}/comments": Asked({"id": self._job}, body={"text": "t"}),
            "GET /api/jobs/{id}/comments": Asked({"id": self._job}),
            "GET /api/users/{id}": Asked({"id": self._callers.freelancer.id}),
            "POST /api/wallet/deposits": Asked(
                body={"userId": self._callers.client.id, "amount": 1, "paymentId": secrets.token_hex(6)}
            ),
            "POST /api/wallet/withdrawals": Asked(body={"amount": 1}),
            "GET /api/bids": Asked(query={"mine": "true"}),
            "DELETE /api/bids/{id}": Asked({"id": self._bid}),
            "PATCH /api/bids/{bidId}/hire": Asked({"bidId": self._bid}),
        }
        known |= self._talk() | self._ways()
        changes = ("read", "unread", "seen", "archive", "unarchive")
        known |= {f"POST /api/realtime/notifications/{verb}": which for verb in changes}
        return known.get(name(op), Asked())

    def _talk(self) -> dict[str, Asked]:
        group, message, other = {"id": self._group}, {"id": self._message}, {"userId": self._callers.freelancer.id}
        of_group = {"conversationId": self._group}
        return {
            "POST /api/realtime/messages/send": Asked(body=of_group | {"type": "text", "content": "c"}),
            "POST /api/realtime/messages/read": Asked(body=of_group | {"upTo": self._message}),
            "POST /api/realtime/messages/typing": Asked(body=of_group | {"typing": True}),
            "POST /api/conversations": Asked(body={"title": "g", "memberIds": [self._callers.freelancer.id]}),
            "GET /api/conversations/{id}": Asked(group),
            "PATCH /api/conversations/{id}": Asked(group, body={"muted": True}),
            "GET /api/conversations/{id}/messages": Asked(group),
            "POST /api/conversations/{id}/members": Asked(
                group, body={"userIds": [self._callers.admin.id], "history": True}
            ),
            "DELETE /api/conversations/{id}/members/{userId}": Asked(group | other),
            "PATCH /api/messages/{id}": Asked(message, body={"content": "d"}),
            "DELETE /api/messages/{id}": Asked(message),
            "PUT /api/blocks/{userId}": Asked(other),
            "DELETE /api/blocks/{userId}": Asked(other),
            "POST /api/presence": Asked(body={"active": True}),
            "PUT /api/presence/visibility": Asked(body={"invisible": False}),
            "GET /api/presence": Asked(query={"userIds": self._callers.freelancer.id}),
        }

    def _ways(self) -> dict[str, Asked]:
        tokens, client = Tokens(load_signing_keys((), self._hub.data_dir)), self._callers.client
        confirm = {"token": tokens.sign_link("confirm", [client.id, client.email])}
        unsubscribe = {"token": tokens.sign_link("unsubscribe", [client.id])}
        quiet = {"from": "22:00", "to": "07:00", "timeZone": "UTC", "days": ["mon"]}
        browser = Browser("http://127.0.0.1:9/x").subscription
        return {
            "PUT /api/notifications/preferences": Asked(
                body={"categories": {"job": {"push": False}}, "quietHours": quiet}
            ),
            "GET /api/notifications/{id}/delivery": Asked({"id": self._note}),
            "POST /api/push/subscriptions": Asked(body=browser),
            "DELETE /api/push/subscriptions": Asked(body={"endpoint": browser["endpoint"]}),
            "POST /api/auth/password/forgot": Asked(body={"email": client.email}),
            "POST /api/auth/password/reset": Asked(body={"token": self._reset(tokens), "newPassword": PASSWORD}),
            "GET /api/mail/confirm": Asked(query=confirm),
            "POST /api/mail/confirm": Asked(query=confirm),
            "GET /api/mail/unsubscribe": Asked(query=unsubscribe),
            "POST /api/mail/unsubscribe": Asked(query=unsubscribe),
        }

    def _reset(self, tokens: Tokens) -> str:
        client = self._callers.client
        with closing(sqlite3.connect(self._hub.data_dir / "hub.db")) as store:
            ((kept,),) = store.execute("SELECT password_hash FROM users WHERE id = ?", [client.id])
        return tokens.sign_link("reset", [client.id, email_verification.reset_fingerprint(kept, client.email)])

    async def _new_job(self) -> str:
        job = {"title": "t", "description": "d", "budget": 1}
        return str((await self._hub.client(self._callers.client).post("/api/jobs", json=job)).json()["id"])

    def _letter(self) -> dict[str, Any]:
        letter = {"userId": self._callers.client.id, "type": "note", "category": "system", "title": "t", "body": "b"}
        return letter | {"actions": [{"id": "yes", "label": "Yes"}]}

    def _somebody(self) -> dict[str, str]:
        email = f"{secrets.token_hex(6)}@example.org"
        return {"email": email, "password": PASSWORD, "name": "n", "role": "client"}


def name(op: Operation) -> str:
    return f"{op.method} {op.path}"


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """Connections that are kept; nothing of the machine's own settings."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
async def world(unlimited_hub: Hub, callers: Callers) -> World:
    world = World(unlimited_hub, callers)
    await world.make()
    return world


@pytest.mark.parametrize("op", [op for op in OPERATIONS if op.path not in LEFT_OUT], ids=name)
async def test_every_answer_is_what_the_document_says(
    unlimited_hub: Hub, callers: Callers, world: World, session: requests.Session, op: Operation
) -> None:
    served = (await unlimited_hub.client().get("/openapi.json")).json()
    operation = schemathesis.openapi.from_dict(served)[op.path][op.method]
    good = await world.good(op)

    def ask(case: Case[Any], kind: str) -> int:
        who = callers.credentials(kind)
        token = who.token if isinstance(who, Person) else who
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        response = case.call(base_url=unlimited_hub.url, session=session, headers=headers)
        try:
            # Too large is refused as well as anything, which the check for refusals does not know.
            too_large = response.status_code == STATUS_BY_CODE["BODY_TOO_LARGE"]
            known = [check for check in CHECKS if not (too_large and check is negative_data_rejection)]
            case.validate_response(response, checks=known)
        except FailureGroup as found:
            # It is no Exception, and would end the loop that all tests run on.
            raise AssertionError("\n".join(str(each) for each in found.exceptions)) from None
        if response.status_code >= 400:
            assert STATUS_BY_CODE[response.json()["code"]] == response.status_code
        return response.status_code

    @SAME
    @given(data=st.data())
    def ask_anything(data: st.DataObject) -> None:
        # Half of the time it is somebody who may, and a path that leads somewhere.
        kind = data.draw(st.one_of(st.just(allowed_kind(op.policy)), st.sampled_from(CALLER_KINDS)))
        path = data.draw(st.sampled_from([good.path or None, None]))
        ask(data.draw(operation.as_strategy(data.draw(st.sampled_from(GenerationMode)), path_parameters=path)), kind)

    def ask_all() -> None:
        case = operation.Case(
            path_parameters=dict(good.path), query=dict(good.query), body=good.body, media_type="application/json"
        )
        assert ask(case, allowed_kind(op.policy)) in (200, 201, 202, 204)
        ask_anything()

    # In a thread, for it waits for each answer.
    await anyio.to_thread.run_sync(ask_all)


async def test_the_head_of_a_stream_is_as_documented(unlimited_hub: Hub, callers: Callers) -> None:
    described = (await unlimited_hub.client().get("/openapi.json")).json()["paths"]["/api/realtime/connect"]["get"]
    for kind in CALLER_KINDS:
        answer = await unlimited_hub.client(callers.credentials(kind)).head("/api/realtime/connect")
        expected = {"anonymous": 401, "service": 403}.get(kind, 200)
        assert (answer.status_code, _media_type(answer)) == (
            expected,
            *described["responses"]["200" if expected == 200 else "default"]["content"],
        )


def _media_type(answer: httpx2.Response) -> str:
    return str(answer.headers["content-type"].partition(";")[0])
