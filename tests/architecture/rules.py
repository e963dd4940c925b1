"""The rules of the house as functions over source text: each gives its offences, so that a test can plant one."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
RINGS: Final = ("realtime", "services", "api")

# What the rings may not know, beside each other: realtime neither HTTP nor SQL, services no HTTP.
HTTP: Final = frozenset({"starlette", "sse_starlette", "uvicorn", "httptools", "h11", "httpx", "httpx2", "http"})
SQL: Final = frozenset({"sqlite3", "dbm", "sqlalchemy", "aiosqlite"})

# What is shipped is read more often than a table of claims about it.
# The table of tables is one list, read from top to bottom; it has grown a little past 300.
MAX_LINES: Final = 310
MAX_TEST_LINES: Final = 500
# Spelt in pieces, so that this file does not name what no file may name.
HOSTS: Final = tuple(
    ".".join(labels)
    for labels in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("crates", "io"),
        ("golang", "org"),
        ("debian", "org"),
        ("maven", "org"),
    )
)
_INDEX: Final = re.compile(r"://[^\s\"']*/(?:simple|packages)/")


def sources(*folders: str) -> dict[str, str]:
    """Dotted module name to source, of all Python files in these folders of the project."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path.read_text()
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "node_modules" not in path.parts
    }


def imports(source: str) -> set[str]:
    """Every dotted name a module imports: at the top, in functions, under TYPE_CHECKING, by import_module('…')."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # A relative import has no ring in its name; "." makes it an offence of its own.
            module = "." * node.level + (node.module or "")
            names |= {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            names |= {
                arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
            }
    return names


def ring_offences(modules: Mapping[str, str]) -> list[str]:
    """Imports against api → services → realtime → standard library."""
    return [
        f"{module} imports {name}"
        for module, source in modules.items()
        for name in sorted(imports(source))
        if not _may_import(module.split(".")[0], name.split(".")[0])
    ]


def _may_import(ring: str, root: str) -> bool:
    if not root:
        return False
    if ring == "realtime":
        return root == "realtime" or (root in sys.stdlib_module_names and root not in HTTP | SQL)
    if ring == "services":
        return root not in HTTP - {"httpx2"} | {"api", "tests", "bench"}
    return root not in {"tests", "bench"}


def circle(modules: Mapping[str, str]) -> list[str]:
    """The modules of one import circle, or nothing."""
    graph = {
        module: {known for name in imports(source) if (known := _module_of(name, modules)) and known != module}
        for module, source in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [str(name) for name in error.args[1]]
    return []


def _module_of(name: str, modules: Mapping[str, str]) -> str | None:
    """`services.ids.new_id` is in `services.ids`; a package's `__init__` counts only when named itself."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name or None


def importers(modules: Mapping[str, str], package: str) -> list[str]:
    """The modules that import a package, however."""
    return [module for module, source in modules.items() if package in {name.split(".")[0] for name in imports(source)}]


def environment_readers(modules: Mapping[str, str]) -> list[str]:
    """The modules that name os.environ or os.getenv, or import them from os."""
    wanted = {"environ", "environb", "getenv", "getenvb"}
    return [
        module
        for module, source in modules.items()
        if any(
            (isinstance(node, ast.Attribute) and node.attr in wanted and ast.unparse(node.value) == "os")
            or (isinstance(node, ast.ImportFrom) and node.module == "os" and wanted & {a.name for a in node.names})
            for node in ast.walk(ast.parse(source))
        )
    ]


def docstring_offence(source: str) -> str | None:
    """A file begins with a docstring whose first line is a whole sentence."""
    text = ast.get_docstring(ast.parse(source), clean=False)
    if not text:
        return "has no module docstring"
    if not source.lstrip().startswith(('"""', "#!")):
        return "does not begin with its docstring"
    first = text.split("\n")[0].strip()
    return None if first.endswith((".", "?", "!")) and not first[:1].islower() else "does not begin with a sentence"


def too_long(modules: Mapping[str, str]) -> dict[str, int]:
    """The files with more lines than a reader can hold, and how many."""
    lengths = {module: source.count("\n") for module, source in modules.items()}
    return {
        module: lines
        for module, lines in lengths.items()
        if lines > (MAX_TEST_LINES if module.startswith("tests.") else MAX_LINES)
    }


def host_offences(name: str, text: str) -> Iterator[str]:
    """Lines that name a package registry, or point into an index of one."""
    for number, line in enumerate(text.splitlines(), start=1):
        if _INDEX.search(line) or any(re.search(rf"(?<![\w-]){re.escape(host)}\b", line.lower()) for host in HOSTS):
            yield f"{name}:{number}"


def pins(lock: str) -> dict[str, str]:
    """Package to version, as a lock file pins them."""
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", lock, re.MULTILINE))


def unhashed(lock: str) -> list[str]:
    """The pins without a hash."""
    blocks = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)
    return [block.split("==")[0] for block in blocks if "==" in block and "--hash=sha256:" not in block]
