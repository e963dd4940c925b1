"""A rule about tests: what they wait for has the one time limit of tests/support/timeouts.py."""

import ast
from collections.abc import Iterator, Mapping
from typing import Final

# Functions whose last argument is a limit in seconds when they get this number of arguments.
WAITS: Final = {
    "timeout": 1,
    "Timeout": 1,
    "fail_after": 1,
    "move_on_after": 1,
    "settimeout": 1,
    "join": 1,
    "wait": 1,
    "acquire": 2,
    "wait_for": 2,
}
# Functions that call their first argument, for example `Event.wait`, with the other arguments.
RUNNERS: Final = frozenset({"to_thread", "run_sync"})
# Without a limit, these wait for five seconds.
HTTP_CALLS: Final = frozenset({"httpx2.AsyncClient", "httpx2.Client", "httpx2.get", "httpx2.post"})
# The subject of these tests is the limit.
SUBJECTS: Final = frozenset({"test_waiting_process_is_refused_after_its_timeout"})


def own_limits(modules: Mapping[str, str]) -> list[str]:
    """Return the expressions that contain a time limit other than TIMEOUT_SECONDS, as `module: expression`."""
    return [
        f"{module}: {ast.unparse(node)}"
        for module, source in modules.items()
        for tree in [ast.parse(source)]
        for node in _nodes(tree)
        if _has_own_limit(node, _durations(tree))
    ]


def _nodes(parent: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below a syntax tree, except those in the tests of SUBJECTS."""
    for node in ast.iter_child_nodes(parent):
        if not (isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name in SUBJECTS):
            yield node
            yield from _nodes(node)


def _durations(tree: ast.Module) -> frozenset[str]:
    """Return the names of durations to which a module gives a number."""
    names = set[str]()
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant()):
                names.add(name)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant()):
                names.add(name)
            case _:
                pass
    return frozenset(name for name in names if name.endswith(("_SECONDS", "_MS")))


def _has_own_limit(node: ast.AST, durations: frozenset[str]) -> bool:
    match node:
        case ast.Call():
            return _call_has_own_limit(node, durations)
        case ast.Assign(value=ast.BinOp(left=ast.Call(func=function), op=ast.Add(), right=limit)):
            return _last_word(function) in ("monotonic", "time") and _is_number(limit, durations)
        case ast.For(iter=ast.Call(func=ast.Name(id="range"))):
            return _polls(node)
        case _:
            return False


def _call_has_own_limit(call: ast.Call, durations: frozenset[str]) -> bool:
    function, arguments = call.func, call.args
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if ast.unparse(function) in HTTP_CALLS and "timeout" not in keywords:
        return True
    if _last_word(function) in RUNNERS and arguments:
        function, arguments = arguments[0], arguments[1:]
    limits = [keywords["timeout"]] if "timeout" in keywords else []
    if arguments and WAITS.get(_last_word(function)) == len(arguments):
        limits.append(arguments[-1])
    return any(_is_number(limit, durations) for limit in limits)


def _polls(loop: ast.For) -> bool:
    """Whether a loop with a fixed number of rounds ends early and sleeps between the rounds."""
    nodes = list(ast.walk(loop))
    intervals = [
        node.args[0]
        for node in nodes
        if isinstance(node, ast.Call) and node.args and _last_word(node.func) in ("sleep", "wait_for_timeout")
    ]
    has_interval = any(not (isinstance(each, ast.Constant) and each.value == 0) for each in intervals)
    return has_interval and any(isinstance(node, (ast.Return, ast.Break)) for node in nodes)


def _last_word(function: ast.expr) -> str:
    return ast.unparse(function).split(".")[-1]


def _is_number(node: ast.expr, durations: frozenset[str]) -> bool:
    match node:
        case ast.Constant(value=bool()):
            return False
        case ast.Constant(value=int() | float()):
            return True
        case ast.Name(id=name):
            return name in durations
        case _:
            return False
