"""Loads structlog without rich, which it takes along for tracebacks in colour: 4 MB that no server ever uses."""

import sys


def load_structlog() -> None:
    """Import structlog so; does nothing where it, or rich, has been imported already."""
    if "rich" in sys.modules or "structlog" in sys.modules:
        return
    # What `import rich` finds now is that there is none.
    sys.modules["rich"] = None  # type: ignore[assignment]  # Python's own way to say so
    try:
        import structlog  # noqa: F401  # for what it imports
    finally:
        del sys.modules["rich"]
