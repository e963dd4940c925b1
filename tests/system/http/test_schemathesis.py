"""Conformance to /openapi.json: schemathesis calls every operation as every kind of caller."""

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

# A stream never ends, files and the password reset use forms, and the document does not describe itself.
EXCLUDED: Final = (
    *("/api/realtime/connect", "/api/attachments", "/api/attachments/{id}", "/openapi.json"),
    "/api/mail/reset",
)
# Derandomized, so that every run generates the same cases.
SETTINGS: Final = settings(
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
class ValidRequest:
    """The parts of a request that succeeds for the caller named by `allowed_kind`."""

    path: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: Any = NOT_SET


class SampleData:
    """Existing jobs, notifications and messages, and a valid request for each operation."""

    def __init__(self, hub: Hub, callers: Callers) -> None:
        self._hub, self._callers = hub, callers
        self._job_id = self._bid_id = self._notification_id = self._undo_id = self._session_id = ""
        self._conversation_id = self._message_id = ""

    async def create(self) -> None:
        """Create a job with a bid, a notification with an action, an undo, a second session, and a group message."""
        client = self._hub.client(self._callers.client)
        self._job_id = await self._new_job()
        bid = await self._hub.client(self._callers.freelancer).post(
            f"/api/jobs/{self._job_id}/bids", json={"message": "m", "price": 1}
        )
        self._bid_id = bid.json()["id"]
        service = self._hub.client(self._callers.service)
        sent = await service.post("/api/realtime/notifications/send", json=self._notification())
        self._notification_id = sent.json()["id"]
        archived = await client.post("/api/realtime/notifications/archive", json={"ids": [self._notification_id]})
        self._undo_id = archived.json()["undo"]
        await self._hub.login(self._callers.client.email)
        sessions = (await client.get("/api/auth/sessions")).json()["items"]
        subscription = Browser("http://127.0.0.1:9/mine").subscription
        await client.post("/api/push/subscriptions", json=subscription)
        self._session_id = next(session["id"] for session in sessions if not session["current"])
        members = {"title": "g", "memberIds": [self._callers.freelancer.id]}
        self._conversation_id = (await client.post("/api/conversations", json=members)).json()["id"]
        message = {"conversationId": self._conversation_id, "type": "text", "content": "c"}
        self._message_id = (await client.post("/api/realtime/messages/send", json=message)).json()["id"]

    async def valid_request(self, op: Operation) -> ValidRequest:
        """Return a request of this operation that succeeds."""
        by_ids = ValidRequest(body={"ids": [self._notification_id]})
        requests = {
            "POST /api/realtime/tickets": ValidRequest(body={"userId": self._callers.client.id}),
            "POST /api/realtime/notifications/send": ValidRequest(body=self._notification()),
            "POST /api/realtime/notifications/send/batch": ValidRequest(
                body=[self._notification(), self._notification()]
            ),
            "POST /api/realtime/notifications/retract": by_ids,
            "POST /api/realtime/broadcast": ValidRequest(body={"type": "sale", "data": {"off": 10}}),
            "POST /api/announcements": ValidRequest(
                body={"title": "t", "body": "b", "expiresAt": "2999-01-01T00:00:00Z"}
            ),
            "POST /api/notifications/{id}/actions/{actionId}": ValidRequest(
                {"id": self._notification_id, "actionId": "yes"}
            ),
            "POST /api/realtime/notifications/undo": ValidRequest(body={"undo": self._undo_id}),
            "POST /api/auth/signup": ValidRequest(body=self._new_user()),
            "POST /api/auth/login": ValidRequest(body={"email": self._callers.client.email, "password": PASSWORD}),
            "PATCH /api/auth/me": ValidRequest(body={"skills": ["sql"]}),
            "POST /api/auth/password": ValidRequest(body={"currentPassword": PASSWORD, "newPassword": PASSWORD}),
            "DELETE /api/auth/sessions/{id}": ValidRequest({"id": self._session_id}),
            "PUT /api/users/by-external-id/{externalId}": ValidRequest({"externalId": "acme/42"}, body={"name": "n"}),
            "POST /api/jobs": ValidRequest(body={"title": "t", "description": "d", "budget": 1}),
            "GET /api/jobs/{id}": ValidRequest({"id": self._job_id}),
            "POST /api/jobs/{id}/bids": ValidRequest({"id": await self._new_job()}, body={"message": "m", "price": 1}),
            "GET /api/jobs/{id}/bids": ValidRequest({"id": self._job_id}),
            "GET /api/jobs/suggest": ValidRequest(query={"q": "t"}),
            "PATCH /api/jobs/{id}": ValidRequest({"id": self._job_id}, body={"title": "u"}),
            "DELETE /api/jobs/{id}": ValidRequest({"id": self._job_id}),
            "PATCH /api/jobs/{id}/status": ValidRequest({"id": self._job_id}, body={"status": "cancelled"}),
            "POST /api/jobs/{id}/comments": ValidRequest({"id": self._job_id}, body={"text": "t"}),
            "GET /api/jobs/{id}/comments": ValidRequest({"id": self._job_id}),
            "GET /api/users/{id}": ValidRequest({"id": self._callers.freelancer.id}),
            "POST /api/wallet/deposits": ValidRequest(
                body={"userId": self._callers.client.id, "amount": 1, "paymentId": secrets.token_hex(6)}
            ),
            "POST /api/wallet/withdrawals": ValidRequest(body={"amount": 1}),
            "GET /api/bids": ValidRequest(query={"mine": "true"}),
            "DELETE /api/bids/{id}": ValidRequest({"id": self._bid_id}),
            "PATCH /api/bids/{bidId}/hire": ValidRequest({"bidId": self._bid_id}),
        }
        requests |= self._message_requests() | self._delivery_requests()
        verbs = ("read", "unread", "seen", "archive", "unarchive")
        requests |= {f"POST /api/realtime/notifications/{verb}": by_ids for verb in verbs}
        return requests.get(name(op), ValidRequest())

    def _message_requests(self) -> dict[str, ValidRequest]:
        group, message = {"id": self._conversation_id}, {"id": self._message_id}
        other = {"userId": self._callers.freelancer.id}
        in_group = {"conversationId": self._conversation_id}
        return {
            "POST /api/realtime/messages/send": ValidRequest(body=in_group | {"type": "text", "content": "c"}),
            "POST /api/realtime/messages/read": ValidRequest(body=in_group | {"upTo": self._message_id}),
            "POST /api/realtime/messages/typing": ValidRequest(body=in_group | {"typing": True}),
            "POST /api/conversations": ValidRequest(body={"title": "g", "memberIds": [self._callers.freelancer.id]}),
            "GET /api/conversations/{id}": ValidRequest(group),
            "PATCH /api/conversations/{id}": ValidRequest(group, body={"muted": True}),
            "GET /api/conversations/{id}/messages": ValidRequest(group),
            "POST /api/conversations/{id}/members": ValidRequest(
                group, body={"userIds": [self._callers.admin.id], "history": True}
            ),
            "DELETE /api/conversations/{id}/members/{userId}": ValidRequest(group | other),
            "PATCH /api/messages/{id}": ValidRequest(message, body={"content": "d"}),
            "DELETE /api/messages/{id}": ValidRequest(message),
            "PUT /api/blocks/{userId}": ValidRequest(other),
            "DELETE /api/blocks/{userId}": ValidRequest(other),
            "POST /api/presence": ValidRequest(body={"active": True}),
            "PUT /api/presence/visibility": ValidRequest(body={"invisible": False}),
            "GET /api/presence": ValidRequest(query={"userIds": self._callers.freelancer.id}),
        }

    def _delivery_requests(self) -> dict[str, ValidRequest]:
        tokens, client = Tokens(load_signing_keys((), self._hub.data_dir)), self._callers.client
        confirm = {"token": tokens.sign_link("confirm", [client.id, client.email])}
        unsubscribe = {"token": tokens.sign_link("unsubscribe", [client.id])}
        quiet = {"from": "22:00", "to": "07:00", "timeZone": "UTC", "days": ["mon"]}
        browser = Browser("http://127.0.0.1:9/x").subscription
        return {
            "PUT /api/notifications/preferences": ValidRequest(
                body={"categories": {"job": {"push": False}}, "quietHours": quiet}
            ),
            "GET /api/notifications/{id}/delivery": ValidRequest({"id": self._notification_id}),
            "POST /api/push/subscriptions": ValidRequest(body=browser),
            "DELETE /api/push/subscriptions": ValidRequest(body={"endpoint": browser["endpoint"]}),
            "POST /api/auth/password/forgot": ValidRequest(body={"email": client.email}),
            "POST /api/auth/password/reset": ValidRequest(
                body={"token": self._reset_token(tokens), "newPassword": PASSWORD}
            ),
            "GET /api/mail/confirm": ValidRequest(query=confirm),
            "POST /api/mail/confirm": ValidRequest(query=confirm),
            "GET /api/mail/unsubscribe": ValidRequest(query=unsubscribe),
            "POST /api/mail/unsubscribe": ValidRequest(query=unsubscribe),
        }

    def _reset_token(self, tokens: Tokens) -> str:
        client = self._callers.client
        with closing(sqlite3.connect(self._hub.data_dir / "hub.db")) as store:
            ((password_hash,),) = store.execute("SELECT password_hash FROM users WHERE id = ?", [client.id])
        return tokens.sign_link("reset", [client.id, email_verification.reset_fingerprint(password_hash, client.email)])

    async def _new_job(self) -> str:
        job = {"title": "t", "description": "d", "budget": 1}
        return str((await self._hub.client(self._callers.client).post("/api/jobs", json=job)).json()["id"])

    def _notification(self) -> dict[str, Any]:
        notification = {
            "userId": self._callers.client.id,
            "type": "note",
            "category": "system",
            "title": "t",
            "body": "b",
        }
        return notification | {"actions": [{"id": "yes", "label": "Yes"}]}

    def _new_user(self) -> dict[str, str]:
        email = f"{secrets.token_hex(6)}@example.org"
        return {"email": email, "password": PASSWORD, "name": "n", "role": "client"}


def name(op: Operation) -> str:
    return f"{op.method} {op.path}"


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A session that keeps connections open and ignores the proxy settings of the machine."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
async def sample_data(unlimited_hub: Hub, callers: Callers) -> SampleData:
    sample_data = SampleData(unlimited_hub, callers)
    await sample_data.create()
    return sample_data


@pytest.mark.parametrize("op", [op for op in OPERATIONS if op.path not in EXCLUDED], ids=name)
async def test_every_response_conforms_to_the_openapi_document(
    unlimited_hub: Hub, callers: Callers, sample_data: SampleData, session: requests.Session, op: Operation
) -> None:
    document = (await unlimited_hub.client().get("/openapi.json")).json()
    operation = schemathesis.openapi.from_dict(document)[op.path][op.method]
    valid = await sample_data.valid_request(op)

    def send(case: Case[Any], kind: str) -> int:
        caller = callers.credentials(kind)
        token = caller.token if isinstance(caller, Person) else caller
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        response = case.call(base_url=unlimited_hub.url, session=session, headers=headers)
        try:
            # The check for rejections does not know that a body can be rejected because of its size.
            too_large = response.status_code == STATUS_BY_CODE["BODY_TOO_LARGE"]
            checks = [check for check in CHECKS if not (too_large and check is negative_data_rejection)]
            case.validate_response(response, checks=checks)
        except FailureGroup as group:
            # A FailureGroup is a BaseException and would stop the event loop that all tests share.
            raise AssertionError("\n".join(str(failure) for failure in group.exceptions)) from None
        if response.status_code >= 400:
            assert STATUS_BY_CODE[response.json()["code"]] == response.status_code
        return response.status_code

    @SETTINGS
    @given(data=st.data())
    def send_generated(data: st.DataObject) -> None:
        # Half of the cases use an allowed caller, and half of them the path of an existing object.
        kind = data.draw(st.one_of(st.just(allowed_kind(op.policy)), st.sampled_from(CALLER_KINDS)))
        path = data.draw(st.sampled_from([valid.path or None, None]))
        send(data.draw(operation.as_strategy(data.draw(st.sampled_from(GenerationMode)), path_parameters=path)), kind)

    def send_all() -> None:
        case = operation.Case(
            path_parameters=dict(valid.path), query=dict(valid.query), body=valid.body, media_type="application/json"
        )
        assert send(case, allowed_kind(op.policy)) in (200, 201, 202, 204)
        send_generated()

    # The calls block, so they run in a thread.
    await anyio.to_thread.run_sync(send_all)


async def test_head_of_a_stream_conforms_to_the_openapi_document(unlimited_hub: Hub, callers: Callers) -> None:
    operation = (await unlimited_hub.client().get("/openapi.json")).json()["paths"]["/api/realtime/connect"]["get"]
    for kind in CALLER_KINDS:
        response = await unlimited_hub.client(callers.credentials(kind)).head("/api/realtime/connect")
        expected = {"anonymous": 401, "service": 403}.get(kind, 200)
        assert (response.status_code, _media_type(response)) == (
            expected,
            *operation["responses"]["200" if expected == 200 else "default"]["content"],
        )


def _media_type(response: httpx2.Response) -> str:
    return str(response.headers["content-type"].partition(";")[0])
