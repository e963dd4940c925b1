"""Statements of the hot paths: Core compiles each once, and SQLite's driver runs the text with nothing in between."""

import sqlite3
from collections import namedtuple
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import BindParameter, Connection, TableValuedAlias, bindparam, func
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler, SQLiteDialect
from sqlalchemy.sql import ClauseElement

# What a constraint says to a prepared statement.
IntegrityError = sqlite3.IntegrityError


class _Compiler(SQLiteCompiler):
    """Writes a statement's own values into its text.

    SQLite plans with them then; bound, a value that is compared with a partial index's column is planned with anew at
    every run, which takes longer than the run.
    """

    def visit_bindparam(self, bindparam: BindParameter[Any], *args: Any, **how: Any) -> str:
        how["literal_binds"] = not bindparam.required
        text: str = super().visit_bindparam(bindparam, *args, **how)  # type: ignore[no-untyped-call]
        return text


class _Dialect(SQLiteDialect):
    statement_compiler = _Compiler
    supports_statement_cache = True


_SQLITE = _Dialect(paramstyle="qmark")


def json_values(name: str) -> TableValuedAlias:
    """Any number of values for one statement: a parameter made by `as_list`, each value a row of one column."""
    return func.json_each(bindparam(name)).table_valued("value")


def to_json_list(values: Iterable[str]) -> str:
    """Values as the one parameter of `each_of`: JSON."""
    return msgspec.json.encode(list(values)).decode()


class Statement:
    """A Core statement whose parameters are the binds it has no value for; none of them may expand to a list.

    SQLAlchemy asks four to ten times what SQLite asks for a small statement. What it would convert is not converted:
    values go in and come out as SQLite has them, and errors are sqlite3's own.
    """

    __slots__ = ("_named", "_names", "_text")

    def __init__(self, statement: ClauseElement) -> None:
        compiled = statement.compile(dialect=_SQLITE)
        assert isinstance(compiled, _Compiler)
        self._text = compiled.string
        # In place of names: sqlite3 looks a name up in each row anew.
        self._names = tuple(compiled.positiontup or ())
        self._named: Any = None

    def all(self, tx: Connection, parameters: Mapping[str, Any]) -> list[Any]:
        """Run it once; all rows, as tuples whose fields are named as their columns."""
        cursor = _cursor(tx)
        try:
            cursor.execute(self._text, [parameters[name] for name in self._names])
            if self._named is None:
                # Two threads may both make it: it is the same.
                self._named = namedtuple("Row", [name for name, *_ in cursor.description], rename=True)  # type: ignore[misc]
            return list(map(self._named._make, cursor))
        except sqlite3.Error as error:
            self._name(error)
            raise
        finally:
            cursor.close()

    def one_or_none(self, tx: Connection, parameters: Mapping[str, Any]) -> Any:
        """Like `rows`, for a statement that finds one row at most."""
        found = self.all(tx, parameters)
        return found[0] if found else None

    def execute_many(self, tx: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Run it once for each of these; it returns no rows, and this how many it changed."""
        cursor = _cursor(tx)
        try:
            cursor.executemany(self._text, [[row[name] for name in self._names] for row in rows])
            changed: int = cursor.rowcount
            return changed
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
