"""Metrics for Prometheus: public, or protected by a token."""

import pytest

from tests.system.conftest import StartHub


async def test_metrics_are_public_without_a_configured_token(start_hub: StartHub) -> None:
    hub = await start_hub()
    response = await hub.client().get("/metrics")
    assert (response.status_code, response.headers["content-type"].partition(";")[0]) == (200, "text/plain")


@pytest.mark.parametrize(
    ("authorization", "status"),
    [("Bearer right", 200), ("Bearer wrong", 401), ("", 401)],
    ids=["right_token", "wrong_token", "no_token"],
)
async def test_metrics_require_the_configured_bearer_token(
    start_hub: StartHub, authorization: str, status: int
) -> None:
    hub = await start_hub(HUB_METRICS_TOKEN="right")
    headers = {"authorization": authorization} if authorization else {}
    assert (await hub.client(headers=headers).get("/metrics")).status_code == status
