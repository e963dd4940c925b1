"""Job lists, search and suggestions over HTTP: published parameters and errors."""

from typing import Any

import pytest

from tests.support.hub import Hub, Person


async def post(hub: Hub, owner: Person, **fields: Any) -> str:
    body = {"title": "Fix it", "description": "All", "budget": 5_000} | fields
    response = await hub.client(owner).post("/api/jobs", json=body)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


async def listed(hub: Hub, user: Person | None = None, **parameters: str) -> list[str]:
    response = await hub.client(user).get("/api/jobs", params=parameters)
    assert response.status_code == 200, response.text
    return [item["id"] for item in response.json()["items"]]


async def test_every_parameter_filters_the_public_list(hub: Hub) -> None:
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
    # The list contains public fields only.
    text = (await hub.client().get("/api/jobs")).text
    assert "@" not in text
    assert set((await hub.client().get("/api/jobs")).json()["items"][0]["owner"]) == {"id", "name"}
    suggested = await hub.client().get("/api/jobs/suggest", params={"q": "c"})
    assert suggested.json() == {"titles": [], "skills": ["C#", "C++"]}
    suggested = await hub.client().get("/api/jobs/suggest", params={"q": "log"})
    assert suggested.json() == {"titles": ["Logo"], "skills": []}


@pytest.mark.parametrize(
    ("parameters", "pointer"),
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
async def test_invalid_parameters_are_rejected_with_their_name(
    shared_hub: Hub, parameters: dict[str, str], pointer: str
) -> None:
    response = await shared_hub.client().get("/api/jobs", params=parameters)
    assert (response.status_code, response.json()["code"], response.json()["pointer"]) == (
        422,
        "INVALID_FIELD",
        pointer,
    )


async def test_own_jobs_require_a_signed_in_user(shared_hub: Hub) -> None:
    response = await shared_hub.client().get("/api/jobs", params={"mine": "true"})
    assert (response.status_code, response.json()["code"]) == (401, "UNAUTHENTICATED")
    service = shared_hub.client(await shared_hub.api_key("notify"))
    response = await service.get("/api/jobs", params={"mine": "true"})
    assert (response.status_code, response.json()["code"]) == (403, "FORBIDDEN")


async def test_search_accepts_special_characters(shared_hub: Hub) -> None:
    for typed in ('"', "*", "a AND", "NEAR(", "title:x", "-", "😀" * 200, "' OR 1", "x" * 200, "%", "_"):
        for path in ("/api/jobs", "/api/jobs/suggest"):
            response = await shared_hub.client().get(path, params={"q": typed})
            assert response.status_code == 200, response.text
