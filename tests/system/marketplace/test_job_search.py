"""Lists, searches and suggestions of jobs over HTTP: the parameters of the contract, and what is refused."""

from typing import Any

import pytest

from tests.support.hub import Hub, Person


async def post(hub: Hub, owner: Person, **about: Any) -> str:
    said = {"title": "Fix it", "description": "All", "budget": 5_000} | about
    answer = await hub.client(owner).post("/api/jobs", json=said)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def listed(hub: Hub, who: Person | None = None, **asked: str) -> list[str]:
    answer = await hub.client(who).get("/api/jobs", params=asked)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def test_every_parameter_narrows_the_list_for_anybody(hub: Hub) -> None:
    ann, ben = await hub.signup("client"), await hub.signup("client")
    logo = await post(hub, ann, title="Logo", category="Design", skills=["Figma", "C++"], budget=5_000)
    shop = await post(hub, ben, title="A shop", category="Web & Design", skills=["C#"], budget=9_000)
    assert await listed(hub) == [shop, logo]
    assert await listed(hub, status="open", limit="1") == [shop]
    assert await listed(hub, category="Web & Design") == [shop]
    assert await listed(hub, skills="figma, c#") == [shop, logo]
    assert await listed(hub, skills="C++") == await listed(hub, maxBudget="5000") == [logo]
    assert await listed(hub, minBudget="5001", maxBudget="9000") == await listed(hub, q="sho") == [shop]
    assert await listed(hub, ann, mine="true", q="logo", skills="c++", minBudget="0") == [logo]
    assert await listed(hub, ann, mine="true", q="shop") == []
    first = (await hub.client().get("/api/jobs", params={"limit": 1})).json()
    assert await listed(hub, after=first["next"]) == [logo]
    # Public fields only.
    text = (await hub.client().get("/api/jobs")).text
    assert "@" not in text
    assert set((await hub.client().get("/api/jobs")).json()["items"][0]["owner"]) == {"id", "name"}
    suggested = await hub.client().get("/api/jobs/suggest", params={"q": "c"})
    assert suggested.json() == {"titles": [], "skills": ["C#", "C++"]}
    suggested = await hub.client().get("/api/jobs/suggest", params={"q": "log"})
    assert suggested.json() == {"titles": ["Logo"], "skills": []}


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"status": "deleted"}, "status"),
        ({"minBudget": "-1"}, "minBudget"),
        ({"maxBudget": "0.5"}, "maxBudget"),
        ({"maxBudget": str(10**12 + 1)}, "maxBudget"),
        ({"maxBudget": str(2**63)}, "maxBudget"),
        ({"skills": ","}, "skills"),
        ({"skills": "x" * 41}, "skills"),
        ({"skills": ",".join("abcdefghijklmnopqrstu")}, "skills"),
        ({"q": ""}, "q"),
        ({"q": "x" * 201}, "q"),
        ({"q": "a\0b"}, "q"),
        ({"after": "x"}, "after"),
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
    ],
)
async def test_what_cannot_be_meant_is_refused_by_name(shared_hub: Hub, asked: dict[str, str], pointer: str) -> None:
    answer = await shared_hub.client().get("/api/jobs", params=asked)
    assert (answer.status_code, answer.json()["code"], answer.json()["pointer"]) == (422, "INVALID_FIELD", pointer)


async def test_ones_own_jobs_are_only_for_somebody(shared_hub: Hub) -> None:
    answer = await shared_hub.client().get("/api/jobs", params={"mine": "true"})
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED")
    service = shared_hub.client(await shared_hub.api_key("notify"))
    answer = await service.get("/api/jobs", params={"mine": "true"})
    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")


async def test_strange_words_are_answered_with_a_list(shared_hub: Hub) -> None:
    for typed in ('"', "*", "a AND", "NEAR(", "title:x", "-", "😀" * 200, "' OR 1", "x" * 200, "%", "_"):
        for path in ("/api/jobs", "/api/jobs/suggest"):
            answer = await shared_hub.client().get(path, params={"q": typed})
            assert answer.status_code == 200, answer.text
