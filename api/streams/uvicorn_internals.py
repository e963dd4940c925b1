"""Private uvicorn names that takeover needs, checked at start."""

from typing import Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

# The names by the class that defines them.
REQUIRED_NAMES: Final[dict[type, frozenset[str]]] = {
    HttpToolsProtocol: frozenset(
        {
            "_start_asgi_task",
            "_unset_keepalive_if_required",
            "client",
            "connections",
            "cycle",
            "flow",
            "loop",
            "parser",
            "pipeline",
            "scheme",
            "server",
            "transport",
        }
    ),
    RequestResponseCycle: frozenset({"default_headers", "disconnected", "scope", "transport"}),
    FlowControl: frozenset({"resume_reading"}),
}


def find_missing_names() -> list[str]:
    """Return the required names that this uvicorn has neither as class attributes nor sets in its constructors."""
    return [
        f"{owner.__name__}.{name}"
        for owner, names in REQUIRED_NAMES.items()
        for name in sorted(names)
        if not hasattr(owner, name) and name not in owner.__init__.__code__.co_names  # type: ignore[misc]  # read only
    ]
