"""Rules about structure, each a function over source text that returns its offences."""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Final

from tests.architecture.source_files import identifiers, imported_names, words_of

HTTP_SERVERS: Final = frozenset({"starlette", "sse_starlette", "uvicorn", "httptools", "h11", "http"})
SQL: Final = frozenset({"sqlite3", "dbm", "sqlalchemy", "aiosqlite"})

MAX_LINES: Final = 300
MAX_TEST_LINES: Final = 500
MAX_FUNCTION_LINES: Final = 60
MAX_FILES: Final = 24
MAX_SUMMARY: Final = 100

# Folders below `ring/package/`; every other Python file of the rings is at `ring/package/file.py` or above.
DEEPER: Final = frozenset(
    {
        "services/database/sqlite",
        "services/migrations/versions",
        "api/cli/client",
        "api/cli/console",
        "api/cli/live_demo",
    }
)
# The packages of services that may name SQLite, and the one module outside them.
SQLITE_PACKAGES: Final = ("services.database", "services.tables", "services.migrations", "services.store")
SQLITE_MODULES: Final = frozenset({"services.jobs.search_query"})
# The setting HUB_SQLITE_WAL_MB is named after the engine that it is for.
SQLITE_SETTINGS: Final = frozenset({"sqlite_wal_mb"})
# Packages that tests/system and the tests of their neighbors cover.
UNTESTED_BY_FOLDER: Final = frozenset(
    {"services/tables", "services/migrations", "api/routes", "api/control", "api/cli"}
)


def ring_offences(modules: Mapping[str, str]) -> list[str]:
    """Return imports that contradict api → services → realtime → standard library."""
    return [
        f"{module} imports {name}"
        for module, source in modules.items()
        for name in sorted(imported_names(source))
        if not _may_import(module.split(".")[0], name.split(".")[0])
    ]


def _may_import(ring: str, root: str) -> bool:
    if not root:
        return False
    if ring == "realtime":
        return root == "realtime" or (root in sys.stdlib_module_names and root not in HTTP_SERVERS | SQL)
    if ring == "services":
        return root not in HTTP_SERVERS | {"api", "tests", "bench"}
    return root not in {"tests", "bench"}


def import_cycle(modules: Mapping[str, str]) -> list[str]:
    """Return the modules of one import cycle, or an empty list."""
    graph = {
        module: {known for name in imported_names(source) if (known := _module_of(name, modules)) and known != module}
        for module, source in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [str(name) for name in error.args[1]]
    return []


def _module_of(name: str, modules: Mapping[str, str]) -> str | None:
    """Return the module that defines a dotted name; `services.ids.new_id` is in `services.ids`."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name or None


def importers(modules: Mapping[str, str], package: str) -> list[str]:
    """Return the modules that import a package in any form."""
    return [
        module
        for module, source in modules.items()
        if package in {name.split(".")[0] for name in imported_names(source)}
    ]


def environment_readers(modules: Mapping[str, str]) -> list[str]:
    """Return the modules that use os.environ or os.getenv, or import them from os."""
    forbidden = {"environ", "environb", "getenv", "getenvb"}
    return [
        module
        for module, source in modules.items()
        if any(
            (isinstance(node, ast.Attribute) and node.attr in forbidden and ast.unparse(node.value) == "os")
            or (isinstance(node, ast.ImportFrom) and node.module == "os" and forbidden & {a.name for a in node.names})
            for node in ast.walk(ast.parse(source))
        )
    ]


def sqlite_offences(modules: Mapping[str, str]) -> list[str]:
    """Return modules outside the storage packages that import a SQLite dialect or use a name with `sqlite` in it."""
    return [
        module
        for module, source in modules.items()
        if module not in SQLITE_MODULES
        and not module.startswith(tuple(f"{package}." for package in SQLITE_PACKAGES))
        and (
            any(name.startswith("sqlalchemy.dialects") for name in imported_names(source))
            or any("sqlite" in words_of(name) for name in identifiers(source) - SQLITE_SETTINGS)
        )
    ]


def summary_offence(source: str) -> str | None:
    """Return what is wrong with the first line of a module docstring, or None."""
    text = ast.get_docstring(ast.parse(source), clean=False)
    if not text:
        return "has no module docstring"
    if not source.lstrip().startswith(('"""', "#!")):
        return "does not begin with its docstring"
    summary = text.split("\n")[0].strip()
    if not summary.endswith(".") or summary[:1].islower():
        return "does not begin with a sentence that ends with a period"
    return f"has a first line of more than {MAX_SUMMARY} characters" if len(summary) > MAX_SUMMARY else None


def init_offence(source: str) -> str | None:
    """Return what is wrong with an `__init__.py`, which holds one docstring and nothing else, or None."""
    body = ast.parse(source).body
    only_docstring = len(body) == 1 and ast.get_docstring(ast.parse(source)) is not None
    return None if only_docstring else "holds more, or less, than one docstring"


def long_files(modules: Mapping[str, str]) -> dict[str, int]:
    """Return the modules with too many lines, and their number of lines."""
    lengths = {module: source.count("\n") for module, source in modules.items()}
    return {
        module: lines
        for module, lines in lengths.items()
        if lines > (MAX_TEST_LINES if module.startswith("tests.") else MAX_LINES)
    }


def long_functions(modules: Mapping[str, str]) -> dict[str, int]:
    """Return the functions with too many lines, and their number of lines."""
    return {
        f"{module}.{node.name}": lines
        for module, source in modules.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION_LINES
    }


def crowded_folders(files: Iterable[str]) -> dict[str, int]:
    """Return `folder suffix` of the folders with too many Python or JavaScript files, and their number."""
    counts = Counter(
        f"{folder} {suffix}"
        for folder, _, name in (file.rpartition("/") for file in files)
        if (suffix := name.rpartition(".")[2]) in ("py", "js") and name != "__init__.py" and folder != "web/dist"
    )
    return {folder: count for folder, count in counts.items() if count > MAX_FILES}


def deep_files(files: Iterable[str]) -> list[str]:
    """Return the Python files of the rings that are deeper than `ring/package/file.py`."""
    return [
        file
        for file in files
        if re.match(r"(?:realtime|services|api)/.*\.py$", file)
        and file.count("/") > 2
        and file.rpartition("/")[0] not in DEEPER
    ]


def packages_without_tests(files: Iterable[str]) -> list[str]:
    """Return the packages of services and api that have no folder in tests."""
    listed = list(files)
    packages = {match[1] for file in listed if (match := re.match(r"((?:services|api)/\w+)/\w+\.py$", file))}
    tested = {match[1] for file in listed if (match := re.match(r"tests/((?:services|api)/\w+)/test_\w+\.py$", file))}
    return sorted(packages - tested - UNTESTED_BY_FOLDER)
