"""From a path to its operation in one step, however many there are; what is none of theirs goes on to the pages."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.problems import Internal, MethodNotAllowed, problem_response
from api.hub import Hub
from api.operations.operation import Operation
from services.errors import DomainError

# A parameter in a path, `{jobId}`.
_PARAMETER: Final = re.compile(r"\{(\w+)\}")


class PathOperations:
    """The operations of one path, by method; HEAD is answered as GET is."""

    __slots__ = ("_allow", "_by_name", "path")

    def __init__(self, path: str, operations: Sequence[Operation]) -> None:
        self.path = path
        self._by_name = {operation.method: operation for operation in operations}
        if "GET" in self._by_name:
            self._by_name["HEAD"] = self._by_name["GET"]
        self._allow = ", ".join(sorted(self._by_name))

    def for_method(self, method: str) -> Operation:
        """The operation. Raises MethodNotAllowed, which names all that there are."""
        operation = self._by_name.get(method)
        if operation is None:
            raise MethodNotAllowed(self._allow)
        return operation


class PathTable:
    """Every path that has an operation.

    One without parameters is looked up; those with are the branches of one pattern, each closed by an empty group,
    whose number is the last that matched.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        by_path: dict[str, list[Operation]] = {}
        for operation in operations:
            by_path.setdefault(operation.path, []).append(operation)
        self._exact: dict[str, PathOperations] = {}
        self._with_names: dict[int, tuple[PathOperations, list[str]]] = {}
        branches, groups = [], 0
        for path, those in by_path.items():
            names = _PARAMETER.findall(path)
            if not names:
                self._exact[path] = PathOperations(path, those)
                continue
            branches.append(_branch(path, slashes=any(operation.path_suffix for operation in those)))
            groups += len(names) + 1
            self._with_names[groups] = PathOperations(path, those), names
        self._pattern = re.compile("|".join(branches) or r"(?!)", re.DOTALL)

    def find(self, path: str) -> tuple[PathOperations | None, Mapping[str, str]]:
        """The operations of a path from its first character to its last, line ends included, and its parameters."""
        exact = self._exact.get(path)
        if exact is not None:
            return exact, {}
        found = self._pattern.fullmatch(path)
        if found is None or found.lastindex is None:
            return None, {}
        methods, names = self._with_names[found.lastindex]
        last = found.lastindex - 1
        return methods, dict(zip(names, found.groups()[last - len(names) : last], strict=True))


class Dispatcher:
    """ASGI: answers for the operations; `pages` has everything else, the lifespan and what nobody knows too."""

    def __init__(self, hub: Hub, operations: Sequence[Operation], pages: ASGIApp) -> None:
        self._hub = hub
        self._paths = PathTable(operations)
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; an error of the domain is answered as a problem, any other goes on to the edge's log."""
        methods, parameters = self._paths.find(scope["path"]) if scope["type"] == "http" else (None, {})
        if methods is None:
            await self._pages(scope, receive, send)
            return
        scope["hub.route"], scope["path_params"] = methods.path, parameters
        answer: ASGIApp
        try:
            operation = methods.for_method(scope["method"])
            answer = await operation.handle(self._hub, Request(scope, receive, send))
        except DomainError as error:
            answer = problem_response(error, scope["hub.request_id"])
        except Exception:
            # Answered in here, where pages of other origins may still read it.
            await problem_response(Internal(), scope["hub.request_id"])(scope, receive, send)
            raise
        await answer(scope, receive, send)


def _branch(path: str, *, slashes: bool) -> str:
    """A path as a pattern, a group for each parameter and an empty one at the end; see `Operation.slashes`."""
    literals = [re.escape(part) for part in _PARAMETER.split(path)[::2]]
    pattern = "([^/]+)".join(literals)
    if slashes:
        # The server has decoded the path by now: a slash that was sent as %2F is one like any other.
        pattern = pattern.removesuffix("([^/]+)") + "(.*)"
    return f"{pattern}()"
