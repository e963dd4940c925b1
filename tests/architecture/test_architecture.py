"""Structure of the code: rings, cycles, layout, sizes and docstrings; each rule has a planted offence."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import rules
from tests.architecture.source_files import RINGS, ROOT, modules, tracked_files

PRODUCT = modules(*RINGS)
EVERYTHING = modules(*RINGS, "tests", "bench")
FILES = tracked_files()


def test_imports_go_from_api_to_services_to_realtime_only() -> None:
    assert rules.ring_offences(PRODUCT) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        pytest.param("realtime.x", "import services.jobs.hiring", id="realtime-services"),
        pytest.param("realtime.x", "import msgspec", id="realtime-third-party"),
        pytest.param("realtime.x", "import sqlite3", id="realtime-sql"),
        pytest.param("realtime.x", "from http import HTTPStatus", id="realtime-http"),
        pytest.param("realtime.x", "from . import event", id="relative"),
        pytest.param("services.x", "from api import app", id="services-api"),
        pytest.param("services.x", "def f():\n    from starlette.requests import Request", id="in-a-function"),
        pytest.param(
            "services.x", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import api.app", id="type-checking"
        ),
        pytest.param("services.x", "import importlib\nimportlib.import_module('api.app')", id="import-module"),
        pytest.param("api.x", "from tests import support", id="api-tests"),
    ],
)
def test_ring_rule_finds_a_planted_import(module: str, source: str) -> None:
    assert len(rules.ring_offences({module: source})) == 1


def test_modules_have_no_import_cycle() -> None:
    assert rules.import_cycle(PRODUCT) == []


def test_cycle_rule_finds_a_planted_cycle() -> None:
    planted = {
        "services.a": "from services import b",
        "services.b": "def f():\n    import services.c",
        "services.c": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from services.a import A",
    }
    assert set(rules.import_cycle(planted)) == set(planted)
    assert rules.import_cycle(planted | {"services.c": "import os"}) == []


def test_only_stream_responses_import_sse_starlette() -> None:
    # The package patches uvicorn on import and keeps state for the whole process.
    assert rules.importers(PRODUCT, "sse_starlette") == ["api.streams.responses"]
    assert rules.importers({"api.x": "def f():\n    import sse_starlette.sse"}, "sse_starlette") == ["api.x"]


def test_only_settings_read_the_environment() -> None:
    assert rules.environment_readers(PRODUCT) == ["api.config.settings"]


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("import os\nos.environ['A']", id="environ"),
        pytest.param("from os import getenv", id="from-os"),
        pytest.param("import os\nos.getenv('A')", id="getenv"),
    ],
)
def test_environment_rule_finds_a_planted_reader(source: str) -> None:
    assert rules.environment_readers({"services.x": source}) == ["services.x"]


def test_only_storage_packages_name_sqlite() -> None:
    assert rules.sqlite_offences(PRODUCT) == []


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("from sqlalchemy.dialects.sqlite import insert", id="dialect"),
        pytest.param("def f(sqlite_file): ...", id="name"),
        pytest.param("import importlib\nimportlib.import_module('sqlalchemy.dialects.sqlite')", id="import-module"),
    ],
)
def test_sqlite_rule_finds_a_planted_name(source: str) -> None:
    assert rules.sqlite_offences({"services.jobs.x": source, "services.store.x": source}) == ["services.jobs.x"]


def test_every_module_begins_with_one_sentence() -> None:
    offences = {module: rules.summary_offence(source) for module, source in EVERYTHING.items()}
    assert {module: offence for module, offence in offences.items() if offence} == {}


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("", id="empty"),
        pytest.param("import os", id="no-docstring"),
        pytest.param('"""no sentence"""', id="lower-case"),
        pytest.param('"""Half a\nsentence."""', id="two-lines"),
        pytest.param("# c\n'''A.'''", id="comment-first"),
        pytest.param(f'"""A{"a" * 100}."""', id="too-long"),
    ],
)
def test_summary_rule_finds_a_planted_docstring(source: str) -> None:
    assert rules.summary_offence(source)


def test_package_files_hold_one_docstring_only() -> None:
    inits = {name: path.read_text() for name, path in FILES.items() if name.endswith("/__init__.py")}
    # The tables are exported by name: statements join tables of many files.
    del inits["services/tables/__init__.py"]
    assert {name: offence for name, source in inits.items() if (offence := rules.init_offence(source))} == {}
    assert rules.init_offence('"""A package."""\nfrom a import b')
    assert rules.init_offence("")


def test_no_module_is_too_long() -> None:
    assert rules.long_files(EVERYTHING) == {}
    planted = {"api.x": "\n" * 301, "api.y": "\n" * 300, "tests.z": "\n" * 301, "tests.long": "\n" * 501}
    assert rules.long_files(planted) == {"api.x": 301, "tests.long": 501}


def test_no_function_is_too_long() -> None:
    assert rules.long_functions(PRODUCT) == {}
    planted = "def short():\n" + "    x = 1\n" * 59 + "async def long():\n" + "    x = 1\n" * 60
    assert rules.long_functions({"api.x": planted}) == {"api.x.long": 61}


def test_no_folder_holds_too_many_files() -> None:
    assert rules.crowded_folders(FILES) == {}
    planted = [f"api/x/{number}.py" for number in range(25)] + [f"web/dist/{number}.js" for number in range(30)]
    assert rules.crowded_folders([*planted, "api/x/__init__.py"]) == {"api/x py": 25}


def test_no_script_is_too_long() -> None:
    scripts = {
        name: path.read_text().count("\n")
        for name, path in FILES.items()
        if name.startswith("web/") and not name.startswith("web/dist/") and name.endswith((".js", ".mjs"))
    }
    assert len(scripts) > 40
    assert {name: lines for name, lines in scripts.items() if lines > rules.MAX_LINES} == {}


def test_every_module_is_at_ring_package_file() -> None:
    assert rules.deep_files(FILES) == []
    assert rules.deep_files(["api/a/b/c.py", "api/a/b.py", "api/cli/client/c.py", "tests/a/b/c/d.py"]) == [
        "api/a/b/c.py"
    ]


def test_every_package_has_a_folder_of_tests() -> None:
    assert rules.packages_without_tests(FILES) == []
    assert rules.packages_without_tests(["services/a/x.py", "api/b/x.py", "tests/api/b/test_x.py"]) == ["services/a"]


def test_ring_packages_win_over_installed_ones(tmp_path: Path) -> None:
    # A public package is called `realtime` too, and an editable install is last in sys.path.
    program = f"import {', '.join(RINGS)}\nfor m in ({', '.join(RINGS)}): print(m.__file__)"
    found = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [Path(line) for line in found.stdout.splitlines()] == [ROOT / ring / "__init__.py" for ring in RINGS]


def test_server_imports_no_package_that_it_does_not_need() -> None:
    names = ("sqlalchemy.orm", "PIL", "httpx2", "httpcore2", "alembic", "mimesis", "cryptography")
    program = f"import sys, api.cli.serve\nprint([name for name in {names} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
