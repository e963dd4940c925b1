"""Conformance to /openapi.json: schemathesis calls every operation as every kind of caller."""

from typing import TYPE_CHECKING, Final

import anyio.to_thread
import httpx2
import pytest
from hypothesis import HealthCheck, Phase, settings

from api.operations.operation import Operation
from api.routes.table import OPERATIONS
from tests.support.callers import CALLER_KINDS, Callers, Staff, create_callers
from tests.support.hub import Hub, HubClients
from tests.support.in_process_hub import InProcessHub
from tests.system.http.sample_data import SampleData

if TYPE_CHECKING:
    from tests.system.http.conformance import Conformance

# A stream never ends, files and the password reset use forms, and the document does not describe itself.
EXCLUDED: Final = (
    *("/api/realtime/connect", "/api/attachments", "/api/attachments/{id}", "/openapi.json"),
    "/api/mail/reset",
)
OVER_SOCKETS: Final = ("GET /api/jobs", "POST /api/jobs", "DELETE /api/jobs/{id}")
# Derandomized, so that every run generates the same cases.
SETTINGS: Final = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


def name(op: Operation) -> str:
    return f"{op.method} {op.path}"


@pytest.fixture(scope="module")
async def in_process_staff(in_process_hub: InProcessHub) -> Staff:
    return await in_process_hub.create_staff()


@pytest.fixture(scope="module")
async def conformance(in_process_hub: InProcessHub) -> "Conformance":
    # Imported here, because every process collects this file, and few use the fixture.
    from tests.system.http.conformance import Conformance

    return Conformance((await in_process_hub.client().get("/openapi.json")).json())


@pytest.mark.parametrize("op", [op for op in OPERATIONS if op.path not in EXCLUDED], ids=name)
async def test_every_response_conforms_to_the_openapi_document(
    in_process_hub: InProcessHub,
    in_process_staff: Staff,
    unlimited_hub: Hub,
    staff: Staff,
    conformance: "Conformance",
    op: Operation,
    deep: bool,
) -> None:
    hub: HubClients
    hub, hub_staff, data_dir = in_process_hub, in_process_staff, in_process_hub.data_dir
    if name(op) in OVER_SOCKETS:
        hub, hub_staff, data_dir = unlimited_hub, staff, unlimited_hub.data_dir
    callers = await create_callers(hub, hub_staff)
    sample_data = SampleData(hub, data_dir, callers)
    await sample_data.create()
    valid = await sample_data.valid_request(op)
    examples = settings(SETTINGS, max_examples=15 if deep else 6)
    # The calls block, so they run in a thread.
    await anyio.to_thread.run_sync(conformance.check_operation, hub, callers, op, valid, examples)
    in_process_hub.check_log()


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
