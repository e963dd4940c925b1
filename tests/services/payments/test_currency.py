"""The books are in one currency, whatever the settings say later."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from services.errors import Conflict
from services.payments import currency as payment_currency
from services.store import migrate
from services.tables import ledger_settings as rows
from tests.services.store.old_stores import at_revision


def test_a_store_keeps_the_currency_of_its_first_start(tx: Connection) -> None:
    payment_currency.fix_currency(tx, currency="EUR")
    payment_currency.fix_currency(tx, currency="EUR")
    with pytest.raises(Conflict, match="must be EUR; it is USD"):
        payment_currency.fix_currency(tx, currency="USD")
    assert tx.execute(select(rows.c.currency)).scalars().all() == ["EUR"]


def test_a_store_from_before_has_that_of_its_newest_job(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    with at_revision(path, "0007") as store:
        store.execute("INSERT INTO users (id, name, role, created_at) VALUES ('olga', 'Olga', 'client', 0)")
        for seq, currency in enumerate(("CHF", "EUR"), start=1):
            store.execute(
                "INSERT INTO jobs (seq, id, owner_id, title, description, budget, currency, skills, status, bid_count,"
                " instant_accept, held, created_at, updated_at, untold)"
                " VALUES (?, ?, 'olga', 't', 'd', 5, ?, '[]', 'open', 0, 0, 5, 0, 0, 0)",
                (seq, str(seq), currency),
            )
    migrate.upgrade(path)
    payment_currency.settle_store(path, "EUR")
    with pytest.raises(Conflict):
        payment_currency.settle_store(path, "CHF")


def test_a_store_without_jobs_takes_the_first_that_is_set(store: Path) -> None:
    payment_currency.settle_store(store, "CHF")
    with pytest.raises(Conflict):
        payment_currency.settle_store(store, "EUR")
