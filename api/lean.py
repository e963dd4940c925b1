"""Loads structlog without rich, which it takes along for tracebacks in colour: 4 MB that no server ever uses."""

import sys

if "rich" not in sys.modules and "structlog" not in sys.modules:
    # What `import rich` finds now is that there is none.
    sys.modules["rich"] = None  # type: ignore[assignment]  # Python's own way to say so
    try:
        import structlog  # noqa: F401  # for what it imports
    finally:
        del sys.modules["rich"]
