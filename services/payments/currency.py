"""In which currency the books of a store are: settled at its first start, and for good."""

from pathlib import Path

from sqlalchemy import Connection, bindparam, insert, select

from services.database.sqlite import engine as sqlite_engine
from services.errors import Conflict
from services.tables import ledger_settings

_CURRENCY = select(ledger_settings.c.currency)
_SETTLE = insert(ledger_settings).values(id=1, currency=bindparam("code"))


def fix_currency(tx: Connection, *, currency: str, now: int = 0) -> None:
    """Keep the books in this currency from now on. Raises Conflict where they are in another one."""
    kept = tx.execute(_CURRENCY).scalar_one_or_none()
    if kept is None:
        tx.execute(_SETTLE, {"code": currency})
    elif kept != currency:
        raise Conflict(f"The books of this store are in {kept}, so HUB_CURRENCY must be {kept}; it is {currency}.")


def settle_store(path: Path, currency: str) -> None:
    """The same for a migrated store that nobody serves yet. Raises Conflict and CannotOpen."""
    engine = sqlite_engine.writer_engine(path)
    try:
        with sqlite_engine.translate_open_errors(path), engine.connect() as connection, connection.begin():
            fix_currency(connection, currency=currency)
    finally:
        engine.dispose()
