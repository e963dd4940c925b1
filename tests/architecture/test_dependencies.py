"""Dependencies: pinned by hash, installed as locked, above known faults, and from no named registry."""

from importlib.metadata import PackageNotFoundError, version

import pytest
from packaging.version import Version

from tests.architecture import lock_files
from tests.architecture.source_files import ROOT, tracked_files

LOCK = (ROOT / "requirements.lock").read_text()

# Versions below these have a published vulnerability, or a leak that affects a hub of long-lived streams.
FLOORS = {
    "starlette": "1.6.0",
    "python-multipart": "0.0.31",
    "h11": "0.16.0",
    "sse-starlette": "3.7.0",
    "uvicorn": "0.51.0",
    "aiosqlite": "0.22.1",
    "sqlalchemy": "2.1.0",
}


def test_lock_pins_by_hash_and_takes_no_ring_name() -> None:
    assert lock_files.unhashed(LOCK) == []
    assert not {"realtime", "supabase", "services", "api", "tests", "bench"} & set(lock_files.pins(LOCK))
    assert lock_files.unhashed("a==1 \\\n    --hash=sha256:0\nb==2\n") == ["b"]


def test_benchmark_peer_uses_the_versions_of_the_hub() -> None:
    lock = (ROOT / "bench/peers_src/fastapi.lock").read_text()
    peer = lock_files.pins(lock)
    assert lock_files.unhashed(lock) == []
    assert {"fastapi", "uvicorn", "uvloop", "starlette"} <= set(peer)
    assert different(peer) == {}
    assert different({"uvicorn": "0.1.0", "fastapi": "0.1.0"}) == {"uvicorn": "0.1.0"}


def different(versions: dict[str, str]) -> dict[str, str]:
    """Return the packages that the hub locks to another version."""
    ours = lock_files.pins(LOCK)
    return {name: pinned for name, pinned in versions.items() if ours.get(name, pinned) != pinned}


def test_no_pin_is_below_its_floor() -> None:
    pinned = lock_files.pins(LOCK)
    assert {"starlette", "sse-starlette", "uvicorn", "sqlalchemy"} <= set(pinned)
    assert below_floor(pinned) == {}
    assert below_floor({"h11": "0.14.0"}) == {"h11": "0.14.0"}


def below_floor(versions: dict[str, str]) -> dict[str, str]:
    """Return the packages with a version below FLOORS."""
    return {name: pinned for name, pinned in versions.items() if Version(pinned) < Version(FLOORS.get(name, "0"))}


def test_installed_versions_are_the_locked_ones() -> None:
    differs = {}
    for name, pinned in lock_files.pins(LOCK).items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue  # The pin is for another platform or another Python.
        if installed != pinned:
            differs[name] = installed
    assert differs == {}


def test_no_tracked_file_names_a_package_registry() -> None:
    texts = {name: path.read_bytes().decode("utf-8", "replace") for name, path in tracked_files().items()}
    assert [line for name, text in texts.items() for line in lock_files.registry_lines(name, text)] == []
    assert "://" not in LOCK
    locks = [name for name in texts if name.endswith("package-lock.json")]
    assert len(locks) >= 2
    assert [name for name in locks if '"resolved"' in texts[name]] == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"see https://files.{lock_files.HOSTS[1]}/x", id="host"),
        pytest.param("--index-url=https://mirror.example/" + "simple/x", id="index"),
    ],
)
def test_registry_rule_finds_a_planted_address(text: str) -> None:
    assert list(lock_files.registry_lines("f", f"fine\n{text}\n")) == ["f:2"]
