"""Invalid input to every route: rejected with a documented code, never with an internal error.

The operations in OVER_SOCKETS are called over sockets, all others in this process, where a request takes less time.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, get_args

import httpx2
import msgspec
import pytest

from api.http.problems import STATUS_BY_CODE
from api.operations.operation import Operation
from api.routes.table import OPERATIONS
from tests.support.callers import Callers, Staff, allowed_kind, create_callers
from tests.support.hub import PASSWORD, Hub, HubClients
from tests.support.in_process_hub import InProcessHub
from tests.support.server import Server

# At least one operation for each test below. A stream must be here, because it never ends.
OVER_SOCKETS: Final = (
    "GET /api/realtime/connect",
    "GET /api/notifications",
    "PUT /api/users/by-external-id/{externalId}",
    "POST /api/attachments",
    "PATCH /api/jobs/{id}",
)
# Its caller is signed out, so it has a user of its own.
SIGNS_OUT: Final = "POST /api/auth/logout"
# A valid body for each operation, so that a test can replace one field with an invalid value.
_NOTIFICATION: Final = {
    "userId": "USER",
    "type": "note",
    "category": "system",
    "title": "t",
    "body": "b",
    "data": {"a": 1},
}
_IDS: Final = {"ids": ["x"]}
VALID_BODIES: Final[dict[str, Any]] = {
    "POST /api/realtime/tickets": {"externalId": "nobody"},
    "POST /api/realtime/notifications/send": _NOTIFICATION,
    "POST /api/realtime/notifications/send/batch": [_NOTIFICATION],
    "POST /api/realtime/notifications/retract": _IDS,
    "POST /api/realtime/broadcast": {"type": "sale", "data": {}},
    "POST /api/announcements": {"title": "t", "body": "b"},
    **{f"POST /api/realtime/notifications/{verb}": _IDS for verb in ("read", "unread", "seen", "archive", "unarchive")},
    "POST /api/realtime/notifications/undo": {"undo": "x"},
    "POST /api/push/subscriptions": {"endpoint": "https://push.example/x", "keys": {"p256dh": "x", "auth": "x"}},
    "DELETE /api/push/subscriptions": {"endpoint": "https://push.example/x"},
    "POST /api/auth/password/forgot": {"email": "nobody@example.org"},
    "POST /api/auth/password/reset": {"token": "x", "newPassword": PASSWORD},
    "PUT /api/notifications/preferences": {"categories": {}, "quietHours": None},
    "POST /api/auth/signup": {"email": "x", "password": PASSWORD, "name": "n", "role": "client"},
    "POST /api/auth/login": {"email": "nobody@example.org", "password": PASSWORD},
    "PATCH /api/auth/me": {"name": "n"},
    "POST /api/auth/password": {"currentPassword": "wrong", "newPassword": PASSWORD},
    "PUT /api/users/by-external-id/{externalId}": {"name": "n"},
    "POST /api/jobs": {"title": "t", "description": "d", "budget": 1},
    "PATCH /api/jobs/{id}": {"title": "t"},
    "PATCH /api/jobs/{id}/status": {"status": "submitted"},
    "POST /api/jobs/{id}/bids": {"message": "m", "price": 1},
    "POST /api/realtime/messages/send": {"recipientId": "USER", "type": "text", "content": "c"},
    "POST /api/realtime/messages/read": {"conversationId": "x", "upTo": "x"},
    "POST /api/realtime/messages/typing": {"conversationId": "x", "typing": True},
    "POST /api/conversations": {"memberIds": ["USER"]},
    "PATCH /api/conversations/{id}": {"muted": True},
    "POST /api/conversations/{id}/members": {"userIds": ["USER"], "history": True},
    "PATCH /api/messages/{id}": {"content": "c"},
    "POST /api/presence": {"active": True},
    "PUT /api/presence/visibility": {"invisible": False},
    "POST /api/jobs/{id}/comments": {"text": "t"},
    "PATCH /api/bids/{bidId}/hire": {},
    "POST /api/wallet/deposits": {"userId": "USER", "amount": 1, "paymentId": "p"},
    "POST /api/wallet/withdrawals": {"amount": 1},
}

_JSON: Final = {"content-type": "application/json"}
_INVALID: Final = (400, "INVALID_JSON")
_TYPE: Final = (415, "UNSUPPORTED_MEDIA_TYPE")
# Bodies that no operation accepts: content, headers, and the expected status and code.
MALFORMED_BODIES: Final[list[tuple[bytes, Mapping[str, str | bytes], tuple[int, str]]]] = [
    (b"{}", {}, _TYPE),
    (b"{}", {"content-type": "text/plain"}, _TYPE),
    (b"{}", {"content-type": "application/json; charset=latin-1"}, _TYPE),
    (b"{}", {"content-type": "application/problem+json"}, _TYPE),
    (b"a=1", {"content-type": "application/x-www-form-urlencoded"}, _TYPE),
    (b"{}", {"content-type": b"\xff"}, _TYPE),
    (b" ", _JSON, _INVALID),
    (b"{", _JSON, _INVALID),
    (b"{}x", _JSON, _INVALID),
    (b"{'a': 1}", _JSON, _INVALID),
    (b'{"a": 1,}', _JSON, _INVALID),
    (b"\xff\xfe{\x00}\x00", _JSON, _INVALID),
    (b"\xef\xbb\xbf{}", _JSON, _INVALID),
    (b'{"a": "\xed\xa0\x80"}', _JSON, _INVALID),
    (b'{"a": "\x00"}', _JSON, _INVALID),
    (b'{"a": 1, "a": 1}', _JSON, _INVALID),
    (b'{"a": {"b": 1, "\\u0062": 1}}', _JSON, _INVALID),
    (b'{"a": NaN}', _JSON, _INVALID),
    (b'{"a": -Infinity}', _JSON, _INVALID),
    (b'{"a": 1e999}', _JSON, _INVALID),
    (b'{"a": ' + b"9" * 5_000 + b"}", _JSON, _INVALID),
    (b"[" * 33 + b"]" * 33, _JSON, _INVALID),
    (b"[" * 30_000 + b"]" * 30_000, _JSON, _INVALID),
    (b'{"a":' * 9_000 + b"1" + b"}" * 9_000, _JSON, _INVALID),
    (b"[" * 60_000, _JSON, _INVALID),
    (b'{"a": 9223372036854775808}', _JSON, (422, "INVALID_FIELD")),
    (b'{"a": "\\ud800"}', _JSON, (422, "INVALID_FIELD")),
    (b'{"\\udfff": 1}', _JSON, (422, "INVALID_FIELD")),
    (b"null", _JSON, (422, "INVALID_FIELD")),
    (b'"{}"', _JSON, (422, "INVALID_FIELD")),
    (b"0", _JSON, (422, "INVALID_FIELD")),
]
# JSON values that replace each field of a valid body. Some of them are valid for some fields.
FIELD_VALUES: Final = (
    *("null", "true", "-1", "0", "1.5", "1e308", "-0", "9223372036854775807", "9223372036854775808", "[]", "{}"),
    *('""', '" "', '"\\u0000"', '"a\\r\\nb"', '"\\ud800"', '"\\udc00\\ud800"', '"\\u202e"', '"\\uffff"', '"🎉"'),
    *('"0"', '"NaN"', '"//x"', '"javascript:1"', '"9999-12-31T23:59:59-23:59"', '"0001-01-01T00:00:00+23:59"'),
    *('"2026-01-01"', '"' + "x" * 10_000 + '"', '["x"]', "[[]]", "[null]", '["x", "x"]', '[{"a": []}]', '{"": null}'),
    *('["\\u0000"]', '{"\\u0000": "\\u0000"}', '{"a": 1e308}', "[" * 20 + "]" * 20, "[" + "1," * 1_500 + "1]"),
    *('[{"id": "a/b", "label": "\\u0000"}]', '[{"id": "a", "label": "b", "url": "http://[::1"}]', '"https://[::1"'),
)
# Path segments and query values in their encoded form.
SEGMENTS: Final = (
    *("x", "x" * 10_000, "%00", "a%00b", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%2e", "%2F", "a%2Fb", "%", "%zz", "%25"),
    *("%FF", "%ED%A0%80", "%C0%AF", "%0A", "a%0D%0Ab", "%20", "'%3B--", "%F0%9F%8E%89", "%C2%85", "~", "-1", "{id}"),
    *("null", "0", "99999999999999999999", "*", "a;b=c", "%3F", "00000000-0000-0000-0000-000000000000", "%E2%80%AE"),
)
# As page tokens, `LTE` is -1 and `OTk5OTk5OTk5OTk5OTk5OTk5OTk` is a number of more than 64 bits.
QUERY_VALUES: Final = (
    *SEGMENTS,
    *("", "LTE", "OTk5OTk5OTk5OTk5OTk5OTk5OTk", "MQ", "MQ==", "-_-_", "a,b,,", ",", "true", "1e3", "1.0", "+1", "%2B1"),
    *("e1.1", "e1.9223372036854775808", "NaN", "[]", "user:x", "jobs,jobs", "role:admin", "jobs%00", "٣", "%D9%A3"),
)
HEADERS: Final[list[dict[str, str | bytes]]] = [
    {"authorization": "Bearer"},
    {"authorization": "Bearer " + "x" * 30_000},
    {"authorization": b"Bearer \xff\xfe"},
    {"authorization": "Bearer gw_"},
    {"authorization": "Basic Og=="},
    {"cookie": "gigwire=" + "x" * 30_000},
    {"cookie": b"gigwire=\xff; gigwire=2; ;=;;\"'"},
    {"cookie": "a=" + "b; c=" * 5_000},
    {"user-agent": "x" * 60_000},
    {"user-agent": b"\xff\x85\xc2"},
    {"user-agent": ""},
    {"idempotency-key": ""},
    {"idempotency-key": "x" * 256},
    {"idempotency-key": b"\xe9"},
    {"idempotency-key": "a\tb"},
    {"last-event-id": "x" * 30_000},
    {"last-event-id": b"\xf0\x9f"},
    {"last-event-id": "e1.99999999999999999999"},
    {"origin": "null"},
    {"origin": "http://[::1"},
    {"origin": b"\xff", "sec-fetch-site": "cross-site", "cookie": "gigwire=x"},
    {"host": "[::1"},
    {"host": b"\xff/\\"},
    {"x-forwarded-for": "x," * 10_000},
    {"forwarded": 'for="' * 5_000},
    {"accept": "text/html;q=x", "accept-encoding": "zstd;q=-1", "if-none-match": "\x22", "range": "bytes=-1"},
    {"content-type": "application/json;" + "charset=utf-8;" * 2_000},
]


def name(op: Operation) -> str:
    return f"{op.method} {op.path}"


WITH_BODY: Final = [op for op in OPERATIONS if op.body is not None]
WITH_PATH: Final = [op for op in OPERATIONS if "{" in op.path]


class Prober:
    """Sends requests to one operation as an allowed caller and checks each response."""

    def __init__(self, hub: HubClients, op: Operation, callers: Callers) -> None:
        self.op = op
        self.job_id = "x"
        self._user = json.dumps(callers.freelancer.id).encode()
        self._client = hub.client(callers.credentials(allowed_kind(op.policy)))

    async def send(
        self,
        content: Any = None,
        *,
        headers: Any = None,
        segment: str | None = None,
        query: str = "",
        method: str | None = None,
    ) -> tuple[int, str | None]:
        """Return the status and the code, None for a success. Fail if the response breaks the contract for errors."""
        url = httpx2.URL(_fill_path(self.op.path, segment or self.job_id) + query)
        if isinstance(content, bytes):
            content = content.replace(b'"USER"', self._user)
        request = self._client.build_request(method or self.op.method, url, content=content, headers=headers)
        response = await self._client.send(request, stream=True)
        try:
            # An accepted stream never ends.
            if response.status_code < 400:
                return response.status_code, None
            await response.aread()
        finally:
            await response.aclose()
        details = (
            f"{request.method} {str(url)[:200]} {headers} {str(content)[:200]}: {response.status_code} {response.text}"
        )
        assert response.status_code < 500, details
        assert response.headers["content-type"] == "application/problem+json", details
        problem = response.json()
        assert STATUS_BY_CODE.get(problem["code"]) == problem["status"] == response.status_code, details
        assert len(response.content) < 64 * 1024, details
        assert response.headers.get("x-request-id", problem["requestId"]) == problem["requestId"], details
        return response.status_code, problem["code"]


def _fill_path(path: str, segment: str) -> str:
    for parameter in ("{id}", "{bidId}", "{actionId}", "{externalId}", "{userId}"):
        path = path.replace(parameter, segment)
    assert "{" not in path.replace(segment, "")
    return path


@pytest.fixture(scope="module")
async def server_callers(unlimited_server: Server, staff: Staff) -> Callers:
    """One caller of each kind for `unlimited_hub`, for all tests of this module."""
    hub = Hub(unlimited_server)
    callers = await create_callers(hub, staff)
    await hub.close()
    return callers


@pytest.fixture
async def prober(
    in_process_hub: InProcessHub,
    in_process_callers: Callers,
    unlimited_hub: Hub,
    server_callers: Callers,
    op: Operation,
) -> AsyncIterator[Prober]:
    hub: HubClients
    hub, callers = in_process_hub, in_process_callers
    if name(op) in OVER_SOCKETS:
        hub, callers = unlimited_hub, server_callers
    if name(op) == SIGNS_OUT:
        callers = replace(callers, client=await hub.signup("client"))
    prober = Prober(hub, op, callers)
    if op in WITH_PATH:
        job = await hub.client(callers.client).post("/api/jobs", json=VALID_BODIES["POST /api/jobs"])
        prober.job_id = job.json()["id"]
    yield prober
    response = await hub.client().get("/api/ready")
    assert response.status_code == 200, "the hub does not serve requests any more"
    in_process_hub.check_log()


def bodies_with_placeholder(op: Operation) -> Iterator[tuple[Any, str]]:
    """Yield a valid body with a placeholder for one field, and the name of the field, for each field of the body."""
    # A body is a struct or an annotated list of structs.
    struct = op.body if isinstance(op.body, type) else get_args(get_args(op.body)[0])[0]
    for field in msgspec.structs.fields(struct):
        valid = VALID_BODIES[name(op)]
        body = (valid[0] if isinstance(valid, list) else valid) | {field.encode_name: "PLACEHOLDER"}
        yield ([body] if isinstance(valid, list) else body), field.encode_name


def test_every_operation_with_a_body_has_a_valid_body_here() -> None:
    assert set(VALID_BODIES) == {name(op) for op in WITH_BODY}


def test_each_kind_of_operation_is_called_over_sockets() -> None:
    over_sockets = [op for op in OPERATIONS if name(op) in OVER_SOCKETS]
    assert len(over_sockets) == len(OVER_SOCKETS)
    for kind in (WITH_BODY, WITH_PATH, [op for op in OPERATIONS if op.query is not None]):
        assert any(op in over_sockets for op in kind)


@pytest.mark.parametrize("op", WITH_BODY, ids=name)
async def test_valid_body_passes_validation(prober: Prober) -> None:
    status, code = await prober.send(json.dumps(VALID_BODIES[name(prober.op)]).encode(), headers=_JSON)
    # The user, job or undo does not exist. No code says that the form of the body is invalid.
    expected = ("NOT_FOUND", "BID_NOT_FOUND", "GIG_NOT_FOUND", "CONFLICT", "UNAUTHENTICATED", "INVALID_FIELD")
    # Another test may have used the payment id for another user.
    assert code in (None, "IDEMPOTENCY_KEY_REUSED", *expected), (status, code)


@pytest.mark.parametrize("op", WITH_BODY, ids=name)
async def test_malformed_bodies_are_rejected_with_the_documented_code(prober: Prober) -> None:
    for content, headers, expected in MALFORMED_BODIES:
        assert await prober.send(content, headers=headers) == expected, (content[:80], headers)
    if not prober.op.body_optional:
        assert await prober.send(b"", headers=_JSON) == (400, "INVALID_JSON")
    valid = VALID_BODIES[name(prober.op)]
    unknown = [valid[0] | {"nope": 1}] if isinstance(valid, list) else valid | {"nope": 1}
    assert await prober.send(json.dumps(unknown).encode(), headers=_JSON) == (422, "UNKNOWN_FIELD")


@pytest.mark.parametrize("op", WITH_BODY, ids=name)
async def test_too_large_body_is_rejected_with_length_and_chunked(prober: Prober) -> None:
    large = b'{"a": "' + b"x" * prober.op.max_body_bytes + b'"}'

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(large), 10_000):
            yield large[at : at + 10_000]

    for content in (large, chunks()):
        assert await prober.send(content, headers=_JSON) == (413, "BODY_TOO_LARGE")
    allowed = b" " * (prober.op.max_body_bytes - 4) + b"null"
    assert await prober.send(allowed, headers=_JSON) == (422, "INVALID_FIELD")


@pytest.mark.parametrize("op", WITH_BODY, ids=name)
async def test_any_value_in_any_field_is_accepted_or_rejected(prober: Prober) -> None:
    for body, field in bodies_with_placeholder(prober.op):
        text = json.dumps(body)
        for value in FIELD_VALUES:
            status, code = await prober.send(text.replace('"PLACEHOLDER"', value).encode(), headers=_JSON)
            if "\\ud800" in value or value == "9223372036854775808":
                assert (status, code) == (422, "INVALID_FIELD"), (field, value)


@pytest.mark.parametrize("op", WITH_PATH, ids=name)
async def test_any_path_segment_is_handled_without_internal_error(prober: Prober) -> None:
    op = prober.op
    valid = json.dumps(VALID_BODIES[name(op)]).encode() if op.body is not None else None
    for segment in SEGMENTS:
        await prober.send(valid, headers=_JSON, segment=segment)


@pytest.mark.parametrize("op", OPERATIONS, ids=name)
async def test_any_query_is_accepted_or_rejected(prober: Prober) -> None:
    fields = msgspec.structs.fields(prober.op.query) if prober.op.query is not None else ()
    valid = json.dumps(VALID_BODIES[name(prober.op)]).encode() if prober.op.body is not None else None

    async def send(query: str) -> tuple[int, str | None]:
        return await prober.send(valid, headers=_JSON, query=query)

    required = "".join(f"&{field.encode_name}=true" for field in fields if field.required)
    for field in fields:
        for value in QUERY_VALUES:
            await send(f"?{field.encode_name}={value}{'' if field.required else required}")
        assert (await send(f"?{field.encode_name}=1&{field.encode_name}=1"))[0] in (401, 422)
        if field.encode_name == "limit":
            for invalid in ("-1", "0", "101", "1.5", "", "x", "99999999999999999999"):
                assert await send(f"?limit={invalid}{required}") == (422, "INVALID_FIELD"), invalid
        if field.encode_name == "after":
            for invalid in ("x", "%00", "LTE", "%F0%9F%8E%89", "OTk5OTk5OTk5OTk5OTk5OTk5OTk"):
                assert await send(f"?after={invalid}{required}") == (422, "INVALID_FIELD"), invalid
    for query in (
        "?nope=1",
        "?%00=1",
        "?%FF=%FF",
        "?" + "x" * 9_000,
        "?=",
        "?" + "&".join(f"a{n}=1" for n in range(5_000)),
    ):
        assert (await send(query))[0] in (400, 413, 422), query[:80]


@pytest.mark.parametrize("op", OPERATIONS, ids=name)
async def test_any_header_is_handled_without_internal_error(prober: Prober) -> None:
    valid = json.dumps(VALID_BODIES[name(prober.op)]).encode() if prober.op.body is not None else None
    for headers in HEADERS:
        await prober.send(valid, headers=_JSON | headers)


async def test_unsupported_methods_are_rejected_with_the_allow_header(
    in_process_hub: InProcessHub, unlimited_hub: Hub
) -> None:
    paths_over_sockets = {op.path for op in OPERATIONS if name(op) in OVER_SOCKETS}
    in_process_client, server_client = in_process_hub.client(), unlimited_hub.client()
    for path in sorted({op.path for op in OPERATIONS}):
        client = server_client if path in paths_over_sockets else in_process_client
        allowed = {op.method for op in OPERATIONS if op.path == path}
        allowed |= {"HEAD"} if "GET" in allowed else set()
        # For other methods, the path of `suggest` matches a path with an id, too.
        others = {op.method for op in OPERATIONS if re.fullmatch(re.sub(r"{\w+}", "[^/]+", op.path), path)}
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "LINK"} - allowed - others:
            response = await client.request(method, _fill_path(path, "x"))
            assert response.status_code == 405, (method, path)
            assert set(response.headers["allow"].split(", ")) == allowed
            if method != "HEAD":
                assert response.json()["code"] == "METHOD_NOT_ALLOWED"
