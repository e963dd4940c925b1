"""Progress bar on standard error."""

import itertools
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import click

# Moves to the line above and clears it.
_ERASE_LINE: Final = "\033[1A\033[2K"


@contextmanager
def progress(label: str) -> Generator[Callable[[int, int], None], None, None]:
    """Show a bar while the context is open, only on a terminal.

    Yields a function that updates the bar to `(done, total)`; a total of 0 is unknown.
    """
    visible = sys.stderr.isatty()
    # An iterable without a length makes the bar indeterminate. With 0 as `update_min_steps`, each update counts.
    bar = click.progressbar(
        itertools.repeat(None), label=label, hidden=not visible, file=sys.stderr, update_min_steps=0
    )

    def update(done: int, total: int) -> None:
        bar.length = total or None
        # click cannot draw an indeterminate bar at position 0.
        if done:
            bar.update(done - bar.pos)

    try:
        with bar:
            yield update
    finally:
        if visible:
            click.echo(_ERASE_LINE, err=True, nl=False)
