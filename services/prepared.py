"""Statements of the hot paths: Core compiles each once, and SQLite's driver runs the text with nothing in between."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

_SQLITE = dialect()


class Prepared:
    """A Core statement whose parameters are its bind names; none of them may expand to a list.

    SQLAlchemy asks four to ten times what SQLite asks for a small statement. What it would convert is not converted:
    values go in and come out as SQLite has them, and errors are sqlite3's own.
    """

    __slots__ = ("_names", "_text")

    def __init__(self, statement: ClauseElement) -> None:
        compiled = statement.compile(dialect=_SQLITE)
        assert isinstance(compiled, SQLCompiler)
        self._text = compiled.string
        # In place of names: sqlite3 looks a name up in each row anew.
        self._names = tuple(compiled.positiontup or ())

    def rows(self, tx: Connection, parameters: Mapping[str, Any]) -> list[Any]:
        """Run it once; all rows, as tuples."""
        cursor = _cursor(tx)
        try:
            cursor.execute(self._text, [parameters[name] for name in self._names])
            found: list[Any] = cursor.fetchall()
            return found
        except sqlite3.Error as error:
            self._name(error)
            raise
        finally:
            cursor.close()

    def run(self, tx: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run it once for each of these; it returns no rows."""
        cursor = _cursor(tx)
        try:
            cursor.executemany(self._text, [[row[name] for name in self._names] for row in rows])
        except sqlite3.Error as error:
            self._name(error)
            raise
        finally:
            cursor.close()

    def _name(self, error: sqlite3.Error) -> None:
        """Say which statement failed, as SQLAlchemy does, and without its parameters too."""
        error.add_note(f"[SQL: {self._text}]")


def _cursor(tx: Connection) -> Any:
    if not tx.in_transaction():
        # As SQLAlchemy's own statements do: what a reader asks is asked of one snapshot.
        tx.begin()
    return tx.connection.cursor()
