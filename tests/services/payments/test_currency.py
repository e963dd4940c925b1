"""The currency of the ledger, fixed at first start."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from services.errors import Conflict
from services.payments import currency
from services.store import preparation
from services.tables import ledger_settings


def test_fix_currency_keeps_the_first_currency(tx: Connection) -> None:
    currency.fix_currency(tx, currency="EUR")
    currency.fix_currency(tx, currency="EUR")
    with pytest.raises(Conflict, match="must be EUR, not USD"):
        currency.fix_currency(tx, currency="USD")
    assert tx.execute(select(ledger_settings.c.currency)).scalars().all() == ["EUR"]


def test_fix_store_currency_stores_the_first_currency(store: Path) -> None:
    preparation.fix_store_currency(store, "CHF")
    with pytest.raises(Conflict):
        preparation.fix_store_currency(store, "EUR")
