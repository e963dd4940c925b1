"""The books are in one currency, whatever the settings say later."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from services.errors import Conflict
from services.payments import currency as payment_currency
from services.store import preparation
from services.tables import ledger_settings as rows


def test_a_store_keeps_the_currency_of_its_first_start(tx: Connection) -> None:
    payment_currency.fix_currency(tx, currency="EUR")
    payment_currency.fix_currency(tx, currency="EUR")
    with pytest.raises(Conflict, match="must be EUR; it is USD"):
        payment_currency.fix_currency(tx, currency="USD")
    assert tx.execute(select(rows.c.currency)).scalars().all() == ["EUR"]


def test_a_store_without_jobs_takes_the_first_that_is_set(store: Path) -> None:
    preparation.fix_store_currency(store, "CHF")
    with pytest.raises(Conflict):
        preparation.fix_store_currency(store, "EUR")
