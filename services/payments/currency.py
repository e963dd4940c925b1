"""The store’s one currency, fixed at first start."""

from sqlalchemy import Connection, bindparam, insert, select

from services.errors import Conflict
from services.tables import ledger_settings

_CURRENCY = select(ledger_settings.c.currency)
_INSERT = insert(ledger_settings).values(id=1, currency=bindparam("currency"))


def fix_currency(tx: Connection, *, currency: str, now: int = 0) -> None:
    """Store the currency of the ledger, or compare it with the stored one. Raises Conflict when they differ."""
    stored = tx.execute(_CURRENCY).scalar_one_or_none()
    if stored is None:
        tx.execute(_INSERT, {"currency": currency})
    elif stored != currency:
        raise Conflict(f"The ledger of this store is in {stored}; HUB_CURRENCY must be {stored}, not {currency}.")
