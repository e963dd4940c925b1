"""Prepared statements and the dialect-specific helpers that domain modules may use."""

import sqlite3
from collections import namedtuple
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import BindParameter, Connection, TableValuedAlias, bindparam, func
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler, SQLiteDialect
from sqlalchemy.sql import ClauseElement

# Raised by a prepared statement that violates a constraint.
IntegrityError = sqlite3.IntegrityError
# INSERT with ON CONFLICT, in the dialect of the engine.
upsert = insert


class _Compiler(SQLiteCompiler):
    """Compiles constant values into the text of a statement.

    SQLite then plans with them once. A bound value that is compared with the column of a partial index makes SQLite
    plan again at every execution, which takes longer than the execution.
    """

    def visit_bindparam(self, bindparam: BindParameter[Any], *args: Any, **options: Any) -> str:
        options["literal_binds"] = not bindparam.required
        text: str = super().visit_bindparam(bindparam, *args, **options)  # type: ignore[no-untyped-call]
        return text


class _Dialect(SQLiteDialect):
    statement_compiler = _Compiler
    supports_statement_cache = True


_SQLITE = _Dialect(paramstyle="qmark")


def json_values(name: str) -> TableValuedAlias:
    """Return a table of one column `value` from a parameter made by `to_json_list`."""
    return func.json_each(bindparam(name)).table_valued("value")


def to_json_list(values: Iterable[str]) -> str:
    """Encode values as the parameter of `json_values`: a JSON array."""
    return msgspec.json.encode(list(values)).decode()


class Statement:
    """A Core statement, compiled once and executed by the driver; no bind may expand to a list.

    For a small statement SQLAlchemy costs four to ten times what SQLite does. No type conversion takes place: values
    are those of SQLite, and errors are those of sqlite3.
    """

    __slots__ = ("_named", "_names", "_text")

    def __init__(self, statement: ClauseElement) -> None:
        compiled = statement.compile(dialect=_SQLITE)
        assert isinstance(compiled, _Compiler)
        self._text = compiled.string
        # Positions instead of names, because sqlite3 looks up each name again for every row.
        self._names = tuple(compiled.positiontup or ())
        self._named: Any = None

    def all(self, tx: Connection, parameters: Mapping[str, Any]) -> list[Any]:
        """Execute once and return all rows, as named tuples with the column names."""
        cursor = _cursor(tx)
        try:
            cursor.execute(self._text, [parameters[name] for name in self._names])
            if self._named is None:
                # Two threads may both create it; the results are equal.
                self._named = namedtuple("Row", [name for name, *_ in cursor.description], rename=True)  # type: ignore[misc]
            return list(map(self._named._make, cursor))
        except sqlite3.Error as error:
            self._add_note(error)
            raise
        finally:
            cursor.close()

    def one_or_none(self, tx: Connection, parameters: Mapping[str, Any]) -> Any:
        """Execute once and return the first row, or None."""
        rows = self.all(tx, parameters)
        return rows[0] if rows else None

    def execute_many(self, tx: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Execute once for each parameter set. Return the number of changed rows."""
        cursor = _cursor(tx)
        try:
            cursor.executemany(self._text, [[row[name] for name in self._names] for row in rows])
            changed: int = cursor.rowcount
            return changed
        except sqlite3.Error as error:
            self._add_note(error)
            raise
        finally:
            cursor.close()

    def _add_note(self, error: sqlite3.Error) -> None:
        """Add the statement to the error as a note, without its parameters, as SQLAlchemy does."""
        error.add_note(f"[SQL: {self._text}]")


def _cursor(tx: Connection) -> Any:
    if not tx.in_transaction():
        # As SQLAlchemy's own statements do, so that all queries of a reader see one snapshot.
        tx.begin()
    return tx.connection.cursor()
