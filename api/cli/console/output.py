"""Prints results as JSON or as a table."""

import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import click
import msgspec


def print_json(value: Any) -> None:
    """Print one line of JSON to standard output and flush it, so that a pipe receives it immediately."""
    click.echo(msgspec.json.encode(value))
    sys.stdout.flush()


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print aligned columns to standard output; cells are never cut."""
    lines = [[printable(cell) for cell in line] for line in (header, *rows)]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def print_message(text: str) -> None:
    """Print a line to standard error, for the user at the terminal."""
    click.echo(text, err=True)


def printable(text: str) -> str:
    """Return the text with a space for each character that a terminal could interpret."""
    return "".join(character if character.isprintable() else " " for character in text)


def _width(text: str) -> int:
    """Return the number of terminal columns of a text: wide characters have two, combining ones none."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )
