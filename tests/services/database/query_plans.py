"""Reads the query plan of a statement, so that a test can check its index."""

from typing import Any

from sqlalchemy import Connection, Select


def plan(tx: Connection, statement: Select[*tuple[Any, ...]], **parameters: Any) -> list[str]:
    """Return the steps of the statement itself, not of a copy.

    Everything that is not `parameters` is NULL, the statement's own numbers and words too: so no step owes itself to a
    value that SQLite has looked at, as where a partial index fits a value but not the statement's text.
    """
    missing = {
        name: parameters.get(name) for name, value in statement.compile(tx.engine).params.items() if value is None
    }
    compiled = statement.params(missing).compile(tx.engine, compile_kwargs={"render_postcompile": True})
    values = tuple(parameters.get(name) for name in compiled.positiontup or ())
    return [str(row[3]) for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values)]
