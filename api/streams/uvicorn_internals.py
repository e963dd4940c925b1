"""What of uvicorn's insides it takes to take a connection from it, and what of them is not there."""

from typing import Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

# By the class that has them.
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


def missing_names() -> list[str]:
    """What this uvicorn does not have of `INSIDES`: as attributes, or as what its constructors set."""
    return [
        f"{owner.__name__}.{name}"
        for owner, names in REQUIRED_NAMES.items()
        for name in sorted(names)
        if not hasattr(owner, name) and name not in owner.__init__.__code__.co_names  # type: ignore[misc]  # read only
    ]
