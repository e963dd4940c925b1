"""Objects of a hub, and a valid request for each operation."""

import secrets
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from api.config.signing_keys import load_signing_keys
from api.operations.operation import Operation
from services.accounts import email_verification
from services.accounts.tokens import Tokens
from tests.support.callers import Callers
from tests.support.hub import PASSWORD, HubClients
from tests.support.push_service import Browser


@dataclass(frozen=True, slots=True)
class ValidRequest:
    """The parts of a request that succeeds for the caller named by `allowed_kind`."""

    path: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: Any = msgspec.UNSET


class SampleData:
    """Existing jobs, notifications and messages, and a valid request for each operation."""

    def __init__(self, hub: HubClients, data_dir: Path, callers: Callers) -> None:
        self._hub, self._data_dir, self._callers = hub, data_dir, callers
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
        return requests.get(f"{op.method} {op.path}", ValidRequest())

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
        tokens, client = Tokens(load_signing_keys((), self._data_dir)), self._callers.client
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
        with closing(sqlite3.connect(self._data_dir / "hub.db")) as store:
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
