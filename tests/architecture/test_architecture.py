"""The rules of the house hold: rings, circles, files, lock and names; and each of the rules can fail."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.version import Version

from tests.architecture import rules
from tests.architecture.rules import RINGS, ROOT

OURS = rules.sources(*RINGS)
EVERYTHING = rules.sources(*RINGS, "tests", "bench")
LOCK = (ROOT / "requirements.lock").read_text()

# Below these, a known fault: a published vulnerability or a leak that a hub of streams would feel.
FLOORS = {
    "starlette": "1.6.0",
    "python-multipart": "0.0.31",
    "h11": "0.16.0",
    "sse-starlette": "3.7.0",
    "uvicorn": "0.51.0",
    "aiosqlite": "0.22.1",
    "sqlalchemy": "2.1.0",
}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def test_imports_go_from_api_to_services_to_realtime_only() -> None:
    assert rules.ring_offences(OURS) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("realtime.x", "import services.jobs.hiring"),
        ("realtime.x", "import msgspec"),
        ("realtime.x", "import sqlite3"),
        ("realtime.x", "from http import HTTPStatus"),
        ("realtime.x", "from . import event"),
        ("services.x", "from api import app"),
        ("services.x", "def f():\n    from starlette.requests import Request"),
        ("services.x", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import api.config.settings"),
        ("services.x", "import importlib\nimportlib.import_module('api.app')"),
        ("api.x", "from tests import hub"),
    ],
)
def test_an_import_against_the_rings_is_found_wherever_it_hides(module: str, source: str) -> None:
    assert len(rules.ring_offences({module: source})) == 1


def test_no_modules_import_each_other() -> None:
    assert rules.circle(OURS) == []


def test_a_circle_is_found_wherever_it_hides() -> None:
    planted = {
        "services.a": "from services import b",
        "services.b": "def f():\n    import services.c",
        "services.c": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from services.a import A",
    }
    assert set(rules.circle(planted)) == set(planted)
    assert rules.circle(planted | {"services.c": "import os"}) == []


def test_only_the_stream_imports_sse_starlette() -> None:
    # It patches uvicorn when it is imported and keeps state for the whole process.
    assert rules.importers(OURS, "sse_starlette") == ["api.streams.responses"]
    assert rules.importers({"api.x": "def f():\n    import sse_starlette.sse"}, "sse_starlette") == ["api.x"]


def test_only_the_settings_read_the_environment() -> None:
    assert rules.environment_readers(OURS) == ["api.config.settings"]


@pytest.mark.parametrize("source", ["import os\nos.environ['A']", "from os import getenv", "import os\nos.getenv('A')"])
def test_a_reader_of_the_environment_is_found(source: str) -> None:
    assert rules.environment_readers({"services.x": source}) == ["services.x"]


def test_every_file_begins_with_a_sentence_that_says_what_it_is_for() -> None:
    said = {module: rules.docstring_offence(source) for module, source in EVERYTHING.items()}
    assert {module: offence for module, offence in said.items() if offence} == {}


@pytest.mark.parametrize("source", ["", "import os", '"""no sentence"""', '"""Half a\nsentence."""', "# c\n'''A.'''"])
def test_a_file_without_a_sentence_is_found(source: str) -> None:
    assert rules.docstring_offence(source)


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    assert rules.too_long(EVERYTHING) == {}
    assert rules.too_long({"api.x": "\n" * 311, "api.y": "\n" * 310, "tests.z": "\n" * 311}) == {"api.x": 311}


def test_realtime_services_and_api_are_ours_from_anywhere(tmp_path: Path) -> None:
    # A public package is called `realtime` too, and an editable install stands last in sys.path.
    program = f"import {', '.join(RINGS)}\nfor m in ({', '.join(RINGS)}): print(m.__file__)"
    found = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [Path(line) for line in found.stdout.splitlines()] == [ROOT / ring / "__init__.py" for ring in RINGS]


def test_the_server_carries_nothing_that_it_does_not_need() -> None:
    # Measured: an ORM 6 MB, rich 4, pictures 2, an HTTP client 2, migrations 39.
    names = ("sqlalchemy.orm", "rich", "PIL", "httpx2", "httpcore2", "alembic", "mimesis", "cryptography")
    program = (
        f"import sys, api.cli.serve\napi.cli.serve.load()\nprint([name for name in {names} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_the_lock_pins_by_hash_and_has_no_package_that_would_take_our_names() -> None:
    assert rules.unhashed(LOCK) == []
    assert not {"realtime", "supabase", "services", "api", "tests", "bench"} & set(rules.pins(LOCK))
    assert rules.unhashed("a==1 \\\n    --hash=sha256:0\nb==2\n") == ["b"]


def test_the_benchmark_serves_fastapi_with_what_the_hub_is_served_with() -> None:
    lock = (ROOT / "bench/peers_src/fastapi.lock").read_text()
    theirs = rules.pins(lock)
    assert rules.unhashed(lock) == []
    assert {"fastapi", "uvicorn", "uvloop", "starlette"} <= set(theirs)
    assert unlike(theirs) == {}
    assert unlike({"uvicorn": "0.1.0", "fastapi": "0.1.0"}) == {"uvicorn": "0.1.0"}


def unlike(versions: dict[str, str]) -> dict[str, str]:
    ours = rules.pins(LOCK)
    return {name: got for name, got in versions.items() if ours.get(name, got) != got}


def test_no_pin_is_below_its_floor() -> None:
    pinned = rules.pins(LOCK)
    assert {"starlette", "sse-starlette", "uvicorn", "sqlalchemy"} <= set(pinned)
    assert below(pinned) == {}
    assert below({"h11": "0.14.0"}) == {"h11": "0.14.0"}


def below(versions: dict[str, str]) -> dict[str, str]:
    return {name: got for name, got in versions.items() if Version(got) < Version(FLOORS.get(name, "0"))}


def test_what_is_installed_is_what_is_locked() -> None:
    differs = {}
    for name, pinned in rules.pins(LOCK).items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue  # for another platform or Python
        if installed != pinned:
            differs[name] = installed
    assert differs == {}


def test_no_tracked_file_names_a_package_registry() -> None:
    texts = {path.relative_to(ROOT).as_posix(): path.read_bytes().decode("utf-8", "replace") for path in tracked()}
    assert [offence for name, text in texts.items() for offence in rules.host_offences(name, text)] == []
    assert "://" not in LOCK
    for lock in ("tests/js/package-lock.json", "bench/peers_src/package-lock.json"):
        assert '"resolved"' not in texts[lock]


@pytest.mark.parametrize(
    "text", [f"see https://files.{rules.HOSTS[1]}/x", "--index-url=https://mirror.example/" + "simple/x"]
)
def test_a_registry_is_found(text: str) -> None:
    assert list(rules.host_offences("f", f"fine\n{text}\n")) == ["f:2"]
