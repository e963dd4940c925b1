"""Units of work and committed batches, independent of the engine."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from realtime.event import Event


@dataclass(frozen=True, slots=True)
class CoalescedUnit:
    """A unit that may run in one call with others of its kind that wait beside it: fewer and larger statements.

    `each(tx, items)` gives for every item its result, or the exception it fails with, before anything of it is
    written. What `each` itself raises is nobody's: then every item is tried alone.
    """

    each: Callable[[Connection, Sequence[Any]], Sequence[Any]]
    item: Any

    def __call__(self, tx: Connection) -> Any:
        """Run it alone, as any unit."""
        (result,) = self.each(tx, [self.item])
        if isinstance(result, Exception):
            raise result
        return result


@dataclass(slots=True)
class QueuedUnit:
    """One unit of work on its way to the disk and back."""

    unit: Callable[[Connection], Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None

    def fail(self, error: Exception) -> None:
        """Nothing of it is written, as far as one can know."""
        self.result, self.error = None, error


@dataclass(slots=True)
class Batch:
    """The units that are answered together, and what may now be told."""

    works: Sequence[QueuedUnit]
    events: list[Event] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
