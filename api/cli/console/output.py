"""What commands print: results on standard output, for people or for programs, and all else on standard error."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Wider than any table of ours, in columns.
WIDEST: Final = 4_096


def print_json(value: Any) -> None:
    """One line of JSON on standard output, flushed, so that a pipe has it at once."""
    click.echo(msgspec.json.encode(value))
    sys.stdout.flush()


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on standard output; never cut where it is not a terminal."""
    table = Table(*header, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    # rich takes what is no terminal for one of 80 columns.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDEST)
    console.print(table)


def say(text: str) -> None:
    """A line for the person at the terminal, on standard error."""
    click.echo(text, err=True)
