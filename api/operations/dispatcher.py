"""Routes a path to its operation in one lookup."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.problems import Internal, MethodNotAllowed, problem_response
from api.hub import Hub
from api.operations.operation import Operation
from services.errors import DomainError

# A path parameter, such as `{jobId}`.
_PARAMETER: Final = re.compile(r"\{(\w+)\}")


class PathOperations:
    """The operations of one path by method; HEAD is handled as GET."""

    __slots__ = ("_allow", "_by_method", "path")

    def __init__(self, path: str, operations: Sequence[Operation]) -> None:
        self.path = path
        self._by_method = {operation.method: operation for operation in operations}
        if "GET" in self._by_method:
            self._by_method["HEAD"] = self._by_method["GET"]
        self._allow = ", ".join(sorted(self._by_method))

    def for_method(self, method: str) -> Operation:
        """Return the operation of a method. Raises MethodNotAllowed, which lists the supported methods."""
        operation = self._by_method.get(method)
        if operation is None:
            raise MethodNotAllowed(self._allow)
        return operation


class PathTable:
    """Finds the operations of a path.

    Paths without parameters are in a dict. Paths with parameters are the branches of one pattern. Each branch ends
    with an empty group; its number is the last group that matched.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        by_path: dict[str, list[Operation]] = {}
        for operation in operations:
            by_path.setdefault(operation.path, []).append(operation)
        self._exact: dict[str, PathOperations] = {}
        self._by_last_group: dict[int, tuple[PathOperations, list[str]]] = {}
        branches, groups = [], 0
        for path, path_operations in by_path.items():
            names = _PARAMETER.findall(path)
            if not names:
                self._exact[path] = PathOperations(path, path_operations)
                continue
            branches.append(_branch(path, path_suffix=any(operation.path_suffix for operation in path_operations)))
            groups += len(names) + 1
            self._by_last_group[groups] = PathOperations(path, path_operations), names
        self._pattern = re.compile("|".join(branches) or r"(?!)", re.DOTALL)

    def find(self, path: str) -> tuple[PathOperations | None, Mapping[str, str]]:
        """Return the operations of a path and its parameters, or None; the whole path must match."""
        exact = self._exact.get(path)
        if exact is not None:
            return exact, {}
        match = self._pattern.fullmatch(path)
        if match is None or match.lastindex is None:
            return None, {}
        operations, names = self._by_last_group[match.lastindex]
        last = match.lastindex - 1
        return operations, dict(zip(names, match.groups()[last - len(names) : last], strict=True))


class Dispatcher:
    """ASGI application of the operations; `pages` handles all other paths and the lifespan."""

    def __init__(self, hub: Hub, operations: Sequence[Operation], pages: ASGIApp) -> None:
        self._hub = hub
        self._paths = PathTable(operations)
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; domain errors become problems, other exceptions are raised after the response."""
        path_operations, parameters = self._paths.find(scope["path"]) if scope["type"] == "http" else (None, {})
        if path_operations is None:
            await self._pages(scope, receive, send)
            return
        scope["hub.route"], scope["path_params"] = path_operations.path, parameters
        response: ASGIApp
        try:
            operation = path_operations.for_method(scope["method"])
            response = await operation.handle(self._hub, Request(scope, receive, send))
        except DomainError as error:
            response = problem_response(error, scope["hub.request_id"])
        except Exception:
            # Sent from here, where the CORS headers are still added.
            await problem_response(Internal(), scope["hub.request_id"])(scope, receive, send)
            raise
        await response(scope, receive, send)


def _branch(path: str, *, path_suffix: bool) -> str:
    """Return a path as a pattern, with a group for each parameter and an empty group at the end."""
    literals = [re.escape(part) for part in _PARAMETER.split(path)[::2]]
    pattern = "([^/]+)".join(literals)
    if path_suffix:
        # The server has decoded the path: a slash sent as %2F is an ordinary slash here.
        pattern = pattern.removesuffix("([^/]+)") + "(.*)"
    return f"{pattern}()"
