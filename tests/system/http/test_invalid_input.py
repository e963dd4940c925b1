"""Bad input of every kind to every route: a clear refusal with a code of the contract, and never an error of ours."""

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final, get_args

import httpx2
import msgspec
import pytest

from api.http.problems import STATUS_BY_CODE
from api.operations.operation import Operation
from api.routes.table import OPERATIONS
from tests.support.callers import Callers, allowed_kind
from tests.support.hub import PASSWORD, Hub

# A body that each operation takes, so that one wrong word in it is the only one.
_NOTE: Final = {"userId": "USER", "type": "note", "category": "system", "title": "t", "body": "b", "data": {"a": 1}}
_WHICH: Final = {"ids": ["x"]}
GOOD: Final[dict[str, Any]] = {
    "POST /api/realtime/tickets": {"externalId": "nobody"},
    "POST /api/realtime/notifications/send": _NOTE,
    "POST /api/realtime/notifications/send/batch": [_NOTE],
    "POST /api/realtime/notifications/retract": _WHICH,
    "POST /api/realtime/broadcast": {"type": "sale", "data": {}},
    "POST /api/announcements": {"title": "t", "body": "b"},
    **{
        f"POST /api/realtime/notifications/{verb}": _WHICH
        for verb in ("read", "unread", "seen", "archive", "unarchive")
    },
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
# What cannot be a body of anything, its headers, and the answer.
BROKEN: Final[list[tuple[bytes, Mapping[str, str | bytes], tuple[int, str]]]] = [
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
# JSON that is put where each field of a good body is; some of it is even right somewhere.
WORDS: Final = (
    *("null", "true", "-1", "0", "1.5", "1e308", "-0", "9223372036854775807", "9223372036854775808", "[]", "{}"),
    *('""', '" "', '"\\u0000"', '"a\\r\\nb"', '"\\ud800"', '"\\udc00\\ud800"', '"\\u202e"', '"\\uffff"', '"🎉"'),
    *('"0"', '"NaN"', '"//x"', '"javascript:1"', '"9999-12-31T23:59:59-23:59"', '"0001-01-01T00:00:00+23:59"'),
    *('"2026-01-01"', '"' + "x" * 10_000 + '"', '["x"]', "[[]]", "[null]", '["x", "x"]', '[{"a": []}]', '{"": null}'),
    *('["\\u0000"]', '{"\\u0000": "\\u0000"}', '{"a": 1e308}', "[" * 20 + "]" * 20, "[" + "1," * 1_500 + "1]"),
    *('[{"id": "a/b", "label": "\\u0000"}]', '[{"id": "a", "label": "b", "url": "http://[::1"}]', '"https://[::1"'),
)
# Path segments and query values, as they are sent.
SEGMENTS: Final = (
    *("x", "x" * 10_000, "%00", "a%00b", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%2e", "%2F", "a%2Fb", "%", "%zz", "%25"),
    *("%FF", "%ED%A0%80", "%C0%AF", "%0A", "a%0D%0Ab", "%20", "'%3B--", "%F0%9F%8E%89", "%C2%85", "~", "-1", "{id}"),
    *("null", "0", "99999999999999999999", "*", "a;b=c", "%3F", "00000000-0000-0000-0000-000000000000", "%E2%80%AE"),
)
# `LTE` is -1, `OTk5OTk5OTk5OTk5OTk5OTk5OTk` a number beyond 64 bits, both as the mark of a page would be spelt.
VALUES: Final = (
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


class Attacker:
    """Asks one operation, as somebody who may, and looks at each answer."""

    def __init__(self, hub: Hub, op: Operation, callers: Callers) -> None:
        self.op = op
        self.job_id = "x"
        self._user = json.dumps(callers.freelancer.id).encode()
        self._client = hub.client(callers.credentials(allowed_kind(op.policy)))

    async def ask(
        self,
        content: Any = None,
        *,
        headers: Any = None,
        segment: str | None = None,
        query: str = "",
        method: str | None = None,
    ) -> tuple[int, str | None]:
        """Status and code (None where it went well); fails for what no answer may be."""
        url = httpx2.URL(_filled(self.op.path, segment or self.job_id) + query)
        if isinstance(content, bytes):
            content = content.replace(b'"USER"', self._user)
        request = self._client.build_request(method or self.op.method, url, content=content, headers=headers)
        answer = await self._client.send(request, stream=True)
        try:
            # A stream that was let in goes on for ever.
            if answer.status_code < 400:
                return answer.status_code, None
            await answer.aread()
        finally:
            await answer.aclose()
        said = f"{request.method} {str(url)[:200]} {headers} {str(content)[:200]}: {answer.status_code} {answer.text}"
        assert answer.status_code < 500, said
        assert answer.headers["content-type"] == "application/problem+json", said
        told = answer.json()
        assert STATUS_BY_CODE.get(told["code"]) == told["status"] == answer.status_code, said
        assert len(answer.content) < 64 * 1024, said
        assert answer.headers.get("x-request-id", told["requestId"]) == told["requestId"], said
        return answer.status_code, told["code"]


def _filled(path: str, segment: str) -> str:
    for parameter in ("{id}", "{bidId}", "{actionId}", "{externalId}", "{userId}"):
        path = path.replace(parameter, segment)
    assert "{" not in path.replace(segment, "")
    return path


@pytest.fixture
async def attacker(unlimited_hub: Hub, callers: Callers, op: Operation) -> AsyncIterator[Attacker]:
    attacker = Attacker(unlimited_hub, op, callers)
    job = await unlimited_hub.client(callers.client).post("/api/jobs", json=GOOD["POST /api/jobs"])
    attacker.job_id = job.json()["id"]
    yield attacker
    answer = await unlimited_hub.client().get("/api/ready")
    assert answer.status_code == 200, "it serves as before"


def fields_of(op: Operation) -> Iterator[tuple[Any, str]]:
    """A good body with a hole for each field that the operation knows, deeper ones too, and where the hole is."""
    # A body is a struct, or an annotated list of structs.
    struct = op.body if isinstance(op.body, type) else get_args(get_args(op.body)[0])[0]
    for field in msgspec.structs.fields(struct):
        good = GOOD[name(op)]
        holed = (good[0] if isinstance(good, list) else good) | {field.encode_name: "HOLE"}
        yield ([holed] if isinstance(good, list) else holed), field.encode_name


def test_there_is_a_good_body_for_every_operation_that_takes_one() -> None:
    assert set(GOOD) == {name(op) for op in WITH_BODY}


@pytest.mark.parametrize("op", WITH_BODY, ids=name)
async def test_the_good_body_is_not_what_is_refused(attacker: Attacker) -> None:
    status, code = await attacker.ask(json.dumps(GOOD[name(attacker.op)]).encode(), headers=_JSON)
    # There is no such user, job or undo; and nothing is said about the body's form.
    nobody = ("NOT_FOUND", "BID_NOT_FOUND", "GIG_NOT_FOUND", "CONFLICT", "UNAUTHENTICATED", "INVALID_FIELD")
    # Tests of another body may have used the payment's id up, for another user.
    assert code in (None, "IDEMPOTENCY_KEY_REUSED", *nobody), (status, code)


@pytest.mark.parametrize("op", WITH_BODY, ids=name)
async def test_what_is_no_body_is_refused_with_the_right_code(attacker: Attacker) -> None:
    for content, headers, expected in BROKEN:
        assert await attacker.ask(content, headers=headers) == expected, (content[:80], headers)
    if not attacker.op.body_optional:
        assert await attacker.ask(b"", headers=_JSON) == (400, "INVALID_JSON")
    unknown = GOOD[name(attacker.op)]
    unknown = [unknown[0] | {"nope": 1}] if isinstance(unknown, list) else unknown | {"nope": 1}
    assert await attacker.ask(json.dumps(unknown).encode(), headers=_JSON) == (422, "UNKNOWN_FIELD")


@pytest.mark.parametrize("op", WITH_BODY, ids=name)
async def test_a_body_that_is_too_large_is_refused_whole_and_in_chunks(attacker: Attacker) -> None:
    large = b'{"a": "' + b"x" * attacker.op.max_body_bytes + b'"}'

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(large), 10_000):
            yield large[at : at + 10_000]

    for content in (large, chunks()):
        assert await attacker.ask(content, headers=_JSON) == (413, "BODY_TOO_LARGE")
    fits = b" " * (attacker.op.max_body_bytes - 4) + b"null"
    assert await attacker.ask(fits, headers=_JSON) == (422, "INVALID_FIELD")


@pytest.mark.parametrize("op", WITH_BODY, ids=name)
async def test_any_word_in_any_field_is_taken_or_refused(attacker: Attacker) -> None:
    for body, field in fields_of(attacker.op):
        text = json.dumps(body)
        for word in WORDS:
            status, code = await attacker.ask(text.replace('"HOLE"', word).encode(), headers=_JSON)
            if "\\ud800" in word or word == "9223372036854775808":
                assert (status, code) == (422, "INVALID_FIELD"), (field, word)


@pytest.mark.parametrize("op", WITH_PATH, ids=name)
async def test_any_segment_of_a_path_names_something_or_nothing(attacker: Attacker) -> None:
    op = attacker.op
    good = json.dumps(GOOD[name(op)]).encode() if op.body is not None else None
    for segment in SEGMENTS:
        await attacker.ask(good, headers=_JSON, segment=segment)


@pytest.mark.parametrize("op", OPERATIONS, ids=name)
async def test_any_query_is_understood_or_refused(attacker: Attacker) -> None:
    fields = msgspec.structs.fields(attacker.op.query) if attacker.op.query is not None else ()
    good = json.dumps(GOOD[name(attacker.op)]).encode() if attacker.op.body is not None else None

    async def ask(query: str) -> tuple[int, str | None]:
        return await attacker.ask(good, headers=_JSON, query=query)

    needed = "".join(f"&{field.encode_name}=true" for field in fields if field.required)
    for field in fields:
        for value in VALUES:
            await ask(f"?{field.encode_name}={value}{'' if field.required else needed}")
        assert (await ask(f"?{field.encode_name}=1&{field.encode_name}=1"))[0] in (401, 422)
        if field.encode_name == "limit":
            for wrong in ("-1", "0", "101", "1.5", "", "x", "99999999999999999999"):
                assert await ask(f"?limit={wrong}{needed}") == (422, "INVALID_FIELD"), wrong
        if field.encode_name == "after":
            for wrong in ("x", "%00", "LTE", "%F0%9F%8E%89", "OTk5OTk5OTk5OTk5OTk5OTk5OTk"):
                assert await ask(f"?after={wrong}{needed}") == (422, "INVALID_FIELD"), wrong
    for query in (
        "?nope=1",
        "?%00=1",
        "?%FF=%FF",
        "?" + "x" * 9_000,
        "?=",
        "?" + "&".join(f"a{n}=1" for n in range(5_000)),
    ):
        assert (await ask(query))[0] in (400, 413, 422), query[:80]


@pytest.mark.parametrize("op", OPERATIONS, ids=name)
async def test_no_header_is_more_than_the_hub_can_bear(attacker: Attacker) -> None:
    good = json.dumps(GOOD[name(attacker.op)]).encode() if attacker.op.body is not None else None
    for headers in HEADERS:
        await attacker.ask(good, headers=_JSON | headers)


async def test_every_other_method_is_told_which_ones_there_are(unlimited_hub: Hub) -> None:
    client = unlimited_hub.client()
    for path in sorted({op.path for op in OPERATIONS}):
        known = {op.method for op in OPERATIONS if op.path == path}
        known |= {"HEAD"} if "GET" in known else set()
        # `suggest` is an id as well, to other methods.
        others = {op.method for op in OPERATIONS if re.fullmatch(re.sub(r"{\w+}", "[^/]+", op.path), path)}
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "LINK"} - known - others:
            answer = await client.request(method, _filled(path, "x"))
            assert answer.status_code == 405, (method, path)
            assert set(answer.headers["allow"].split(", ")) == known
            if method != "HEAD":
                assert answer.json()["code"] == "METHOD_NOT_ALLOWED"
