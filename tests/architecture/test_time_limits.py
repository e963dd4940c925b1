"""Tests have one time limit; the rule has planted offences."""

import pytest

from tests.architecture.source_files import modules
from tests.architecture.time_limits import SUBJECTS, own_limits
from tests.support.timeouts import TIMEOUT_SECONDS

TESTS = modules("tests")


def test_tests_have_no_limit_of_their_own() -> None:
    assert own_limits(TESTS) == []
    assert TIMEOUT_SECONDS >= 300


def test_exceptions_of_the_rule_exist() -> None:
    assert [name for name in SUBJECTS if not any(f"def {name}(" in source for source in TESTS.values())] == []


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("async def test() -> None:\n    async with asyncio.timeout(20): ...", id="asyncio-timeout"),
        pytest.param("await asyncio.wait_for(done.wait(), 0.5)", id="wait-for"),
        pytest.param("subprocess.run(command, timeout=59)", id="keyword"),
        pytest.param("assert leave.wait(20)", id="event"),
        pytest.param("thread.join(5)", id="thread"),
        pytest.param("await asyncio.to_thread(entered.wait, 20)", id="event-in-a-thread"),
        pytest.param("await anyio.to_thread.run_sync(partial(process.wait, timeout=5))", id="partial"),
        pytest.param("connection.settimeout(20)", id="socket"),
        pytest.param("client = httpx2.AsyncClient(timeout=httpx2.Timeout(20, read=None))", id="http-client"),
        pytest.param("httpx2.get(url)", id="http-default"),
        pytest.param("await expect(page).to_have_text('Live', timeout=40_000)", id="playwright"),
        pytest.param("STOP_SECONDS: Final = 10.0\nprocess.wait(STOP_SECONDS)", id="constant"),
        pytest.param("with anyio.fail_after(5): ...", id="anyio"),
        pytest.param("deadline = time.monotonic() + 10", id="deadline"),
        pytest.param("for _ in range(100):\n    if done:\n        break\n    time.sleep(0.05)", id="rounds"),
    ],
)
def test_rule_finds_a_planted_limit(source: str) -> None:
    assert len(own_limits({"tests.x": source})) == 1


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("process.wait(TIMEOUT_SECONDS)", id="the-limit"),
        pytest.param("await mail.wait_for(1)", id="a-number-of-messages"),
        pytest.param("httpx.Client(timeout=None)", id="no-limit"),
        pytest.param("while not done:\n    await asyncio.sleep(0.01)", id="interval"),
        pytest.param("for _ in range(100):\n    if done:\n        break\n    await asyncio.sleep(0)", id="loop-rounds"),
        pytest.param(f"def {min(SUBJECTS)}():\n    lock.acquire(timeout=0.1)", id="subject"),
    ],
)
def test_rule_accepts_other_numbers(source: str) -> None:
    assert own_limits({"tests.x": source}) == []
