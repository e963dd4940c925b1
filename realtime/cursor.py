"""Cursor: a position in the event log, written `<epoch>.<position>`."""

import re
from dataclasses import dataclass
from typing import Self

# Positions are SQL BIGINTs.
MAX_POSITION = 2**63 - 1
_PATTERN = re.compile(r"([a-z0-9]{1,16})\.(0|[1-9][0-9]{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in the event log. Only positions of the same epoch can be compared."""

    epoch: str
    position: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `"e1.42"` into `Cursor("e1", 42)`. Each cursor has exactly one spelling.

        Raises ValueError for any other text.
        """
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise ValueError("not a cursor")
        position = int(match[2])
        if position > MAX_POSITION:
            raise ValueError("the position of the cursor is too large")
        return cls(match[1], position)

    def __str__(self) -> str:
        return f"{self.epoch}.{self.position}"
