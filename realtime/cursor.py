"""A cursor: how far a stream has read, as the `id:` of an event says it."""

import re
from dataclasses import dataclass
from typing import Self

# Positions are SQL BIGINTs.
MAX_POSITION = 2**63 - 1
_FORM = re.compile(r"([a-z0-9]{1,16})\.(0|[1-9][0-9]{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the log; positions can only be compared within one epoch."""

    epoch: str
    position: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """`"e1.42"` → `Cursor("e1", 42)`; there is exactly one spelling of each cursor.

        Raises ValueError on anything else.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError("not a cursor")
        position = int(match[2])
        if position > MAX_POSITION:
            raise ValueError("the position of the cursor is too large")
        return cls(match[1], position)

    def __str__(self) -> str:
        return f"{self.epoch}.{self.position}"
