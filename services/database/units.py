"""Units of work and committed batches, independent of the engine."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from realtime.event import Event


@dataclass(frozen=True, slots=True)
class CoalescedUnit:
    """A unit that may run in one call with queued units of the same kind, with fewer and larger statements.

    `each(tx, items)` returns, for each item, its result or the exception it fails with; a failed item has written
    nothing. When `each` itself raises, every item runs separately.
    """

    each: Callable[[Connection, Sequence[Any]], Sequence[Any]]
    item: Any

    def __call__(self, tx: Connection) -> Any:
        """Run this unit alone."""
        (result,) = self.each(tx, [self.item])
        if isinstance(result, Exception):
            raise result
        return result


@dataclass(slots=True)
class QueuedUnit:
    """A unit of work that waits for the writer, and its result."""

    unit: Callable[[Connection], Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None

    def fail(self, error: Exception) -> None:
        """Record that the unit has failed and, as far as is known, has stored nothing."""
        self.result, self.error = None, error


@dataclass(slots=True)
class Batch:
    """Units that complete together, and the events and removals to publish for them."""

    units: Sequence[QueuedUnit]
    events: list[Event] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
