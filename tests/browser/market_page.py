"""Creates jobs, bids, hires and notifications through the API."""

from typing import Any

from tests.support.hub import PASSWORD, Hub, Person


async def post_job(hub: Hub, owner: Person, title: str, *, skills: tuple[str, ...] = ()) -> dict[str, Any]:
    """Post an open job of $1,200."""
    body = {"title": title, "description": "As agreed.", "budget": 120_000, "skills": list(skills)}
    return await _create(hub, owner, "/api/jobs", body)


async def place_bid(hub: Hub, freelancer: Person, job: dict[str, Any], *, price: int = 100_000) -> dict[str, Any]:
    """Place a bid; `price` in cents."""
    return await _create(hub, freelancer, f"/api/jobs/{job['id']}/bids", {"message": "Gladly.", "price": price})


async def hire(hub: Hub, owner: Person, bid: dict[str, Any]) -> None:
    """Hire this bid."""
    async with hub.client(owner) as client:
        answer = await client.patch(f"/api/bids/{bid['id']}/hire")
    assert answer.status_code == 200, answer.text


async def notify(hub: Hub, key: str, user: Person, title: str, **more: Any) -> str:
    """Send a notification as a service and return its id."""
    body = {"userId": user.id, "type": "note", "category": "system", "title": title, "body": "Words."} | more
    return str((await _create(hub, key, "/api/realtime/notifications/send", body))["id"])


async def admin(hub: Hub) -> Person:
    """Create an admin with the command and sign in."""
    made = await hub.cli(
        "users", "create", "boss@example.org", "--role", "admin", "--password-stdin", stdin=f"{PASSWORD}\n"
    )
    assert made.returncode == 0, made.stderr
    return await hub.login("boss@example.org")


async def _create(hub: Hub, who: Person | str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with hub.client(who) as client:
        answer = await client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made
