"""The numbers for Prometheus: for anybody, or for who has their token."""

import pytest

from tests.system.conftest import StartHub


async def test_without_a_token_of_their_own_the_metrics_are_for_anybody(start_hub: StartHub) -> None:
    hub = await start_hub()
    answer = await hub.client().get("/metrics")
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/plain")


@pytest.mark.parametrize(("given", "status"), [("Bearer right", 200), ("Bearer wrong", 401), ("", 401)])
async def test_with_one_they_are_for_who_brings_it_as_prometheus_does(
    start_hub: StartHub, given: str, status: int
) -> None:
    hub = await start_hub(HUB_METRICS_TOKEN="right")
    headers = {"authorization": given} if given else {}
    assert (await hub.client(headers=headers).get("/metrics")).status_code == status
