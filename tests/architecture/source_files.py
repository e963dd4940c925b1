"""The project's files as text, and what their syntax trees contain."""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
RINGS: Final = ("realtime", "services", "api")
# Methods of a logger; their first argument is the name of a log event.
LEVELS: Final = frozenset({"debug", "info", "warning", "error", "critical"})


def tracked_files() -> dict[str, Path]:
    """Return every file that git tracks, by its path relative to the project."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name: path for name in listed.split("\0") if name and (path := ROOT / name).is_file()}


def modules(*folders: str) -> dict[str, str]:
    """Return the source of every Python file in these folders, by dotted module name."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path.read_text()
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "node_modules" not in path.parts
    }


def imported_names(source: str) -> set[str]:
    """Return every dotted name a module imports: at the top, in functions, under TYPE_CHECKING, by import_module."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # A relative import names no ring; its leading "." makes it an offence of its own.
            module = "." * node.level + (node.module or "")
            names |= {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            names |= {
                arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
            }
    return names


def identifiers(source: str) -> set[str]:
    """Return every name of a Python module: variables, attributes, parameters, functions, classes, log events."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                names.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.alias(name=name, asname=alias):
                names |= {*name.split("."), alias or ""}
            case ast.Call(
                func=ast.Attribute(attr="info" | "warning" | "error" | "critical" | "debug"), args=[event, *_]
            ):
                if isinstance(event, ast.Constant) and isinstance(event.value, str):
                    names.add(event.value.replace(" ", "_"))
            case _:
                pass
    return names


def script_identifiers(source: str) -> set[str]:
    """Return every name of a JavaScript module, without its comments and strings."""
    code = re.sub(r"//[^\n]*|/\*.*?\*/", " ", source, flags=re.DOTALL)
    code = re.sub(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", " ", code)
    # A hyphenated word is CSS or the name of an element in a template literal.
    return set(re.findall(r"(?<![\w$-])[A-Za-z_$][\w$]*(?![\w$-])", code))


def words_of(identifier: str) -> list[str]:
    """Return the words of an identifier in lower case: `_toldBy`, `told_by` and `ToldBy` have `told` and `by`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", identifier)
    return [word.lower() for word in re.split(r"[_$\W]+", spaced) if word]


def prose(name: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield (line number, text) of what a file says to its reader: docstrings and comments, or a whole document."""
    if name.endswith(".py"):
        yield from _docstrings(text)
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
    elif name.endswith((".js", ".mjs", ".css", ".ts", ".c")):
        for comment in re.finditer(r"/\*.*?\*/|(?<![:\"'])//[^\n]*", text, re.DOTALL):
            yield text.count("\n", 0, comment.start()) + 1, comment[0]
    elif name.endswith(".md"):
        yield 1, re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE)


def _docstrings(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node, clean=False)
            if text:
                yield node.body[0].lineno, text
