"""Constraints and triggers of the ledger tables."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

TRANSFER = """
    INSERT{conflict} INTO transfers (seq, id, kind, amount, from_account, from_balance, to_account, to_balance, job_id,
        payment_id, created_at)
    VALUES ({seq}, 'x', '{kind}', {amount}, '{source}', {source_balance}, '{target}', {target_balance}, {job},
        {payment}, 0)"""


def transfer(
    kind: str = "deposit",
    amount: object = 10,
    source: str = "external",
    source_balance: int = -110,
    target: str = "available:ann",
    target_balance: int = 80,
    *,
    seq: object = "NULL",
    job: str = "NULL",
    payment: str = "NULL",
    conflict: str = "",
) -> str:
    """Return a transfer as SQL; the default one is valid."""
    return TRANSFER.format(
        conflict=conflict,
        seq=seq,
        kind=kind,
        amount=amount,
        source=source,
        source_balance=source_balance,
        target=target,
        target_balance=target_balance,
        job=job,
        payment=payment,
    )


@pytest.fixture
def ledger(store: Path) -> Iterator[sqlite3.Connection]:
    """Ann has 70 available and 30 held for a job, Bob has an empty wallet, and 100 were deposited."""
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.executescript(
            """
            INSERT INTO users (id, name, role, skills, created_at)
                VALUES ('ann', 'Ann', 'client', '[]', 0), ('bob', 'Bob', 'freelancer', '[]', 0);
            INSERT INTO jobs (id, owner_id, title, description, budget, currency, status, instant_accept, held,
                created_at, updated_at, has_unpublished_changes)
                VALUES ('job', 'ann', 'T', 'D', 30, 'USD', 'open', 0, 30, 0, 0, 0);
            INSERT INTO accounts (id, kind, user_id, balance) VALUES ('available:ann', 'available', 'ann', 0),
                ('held:ann', 'held', 'ann', 0), ('available:bob', 'available', 'bob', 0);
            """
        )
        connection.execute(transfer("deposit", 100, "external", -100, "available:ann", 100, payment="'p'"))
        connection.execute(transfer("hold", 30, "available:ann", 70, "held:ann", 30, job="'job'"))
        yield connection


def balances(ledger: sqlite3.Connection) -> dict[str, int]:
    return dict(ledger.execute("SELECT id, balance FROM accounts"))


def test_transfer_updates_both_balances(ledger: sqlite3.Connection) -> None:
    before = balances(ledger)
    assert before == {"external": -100, "available:ann": 70, "held:ann": 30, "available:bob": 0}
    ledger.execute(transfer())
    assert balances(ledger) == before | {"external": -110, "available:ann": 80}


REJECTED = {
    "insufficient funds": transfer("withdrawal", 71, "available:ann", -1, "external", -29),
    "an amount of zero": transfer("deposit", 0, source_balance=-100, target_balance=70),
    "a negative amount": transfer("deposit", -10, source_balance=-90, target_balance=60),
    "a fraction": transfer("deposit", 0.5),
    "a fraction above one": transfer("deposit", 1.5),
    "a text as an amount": transfer("deposit", "'ten'"),
    "more than the largest amount": transfer(
        "deposit", 10**12 + 1, source_balance=-(10**12) - 101, target_balance=10**12 + 71
    ),
    "a wrong target balance": transfer("deposit", 10, source_balance=-110, target_balance=81),
    "a wrong source balance": transfer("deposit", 10, source_balance=-111, target_balance=80),
    "an unknown account": transfer("deposit", 10, target="available:nobody", target_balance=10),
    "an unknown job": transfer("hold", 10, "available:ann", 60, "held:ann", 40, job="'none'"),
    "no job": transfer("hold", 10, "available:ann", 60, "held:ann", 40),
    "a job for a deposit": transfer(job="'job'"),
    "an unknown kind": transfer("gift"),
    "a deposit from a user": transfer("deposit", 10, "available:ann", 60, "available:bob", 10),
    "a deposit into a held account": transfer("deposit", 10, "external", -110, "held:ann", 40),
    "a withdrawal from a held account": transfer("withdrawal", 10, "held:ann", 20, "external", -90),
    "a hold of another user": transfer("hold", 10, "available:bob", -10, "held:ann", 40, job="'job'"),
    "a reversed hold": transfer("hold", 10, "held:ann", 20, "available:ann", 80, job="'job'"),
    "a release to another user": transfer("release", 10, "held:ann", 20, "available:bob", 10, job="'job'"),
    "a refund to another user": transfer("refund", 10, "held:ann", 20, "available:bob", 10, job="'job'"),
    "a payment to the owner": transfer("payment", 10, "held:ann", 20, "available:ann", 80, job="'job'"),
    "a payment from an available account": transfer(
        "payment", 10, "available:ann", 60, "available:bob", 10, job="'job'"
    ),
    "a repeated payment": transfer(payment="'p'"),
    "a payment id on a hold": transfer("hold", 1, "available:ann", 69, "held:ann", 31, job="'job'", payment="'q'"),
    "an earlier seq": transfer(seq=1),
    "a negative seq": transfer(seq=-3),
    "a used seq, with REPLACE": transfer(
        "deposit", 50, "external", -150, target_balance=120, seq=2, conflict=" OR REPLACE"
    ),
    "a repeated payment, with REPLACE": transfer(payment="'p'", conflict=" OR REPLACE"),
    "insufficient funds, with IGNORE": transfer(
        "withdrawal", 71, "available:ann", -1, "external", -29, conflict=" OR IGNORE"
    ),
    "a wrong balance, with IGNORE": transfer("deposit", 10, target_balance=81, conflict=" OR IGNORE"),
    "an update of a transfer": "UPDATE transfers SET created_at = 1",
    "a deleted transfer": "DELETE FROM transfers WHERE seq = 2",
    "a balance without a transfer": "UPDATE accounts SET balance = 71 WHERE id = 'available:ann'",
    "the last transfer applied again": "UPDATE accounts SET balance = balance - 30 WHERE id = 'available:ann'",
    "the last transfer applied again to the target": "UPDATE accounts SET balance = 60 WHERE id = 'held:ann'",
    "a reset balance": "UPDATE accounts SET balance = 100 WHERE id = 'available:ann'",
    "an unchanged balance": "UPDATE accounts SET balance = balance",
    "another owner": "UPDATE accounts SET user_id = 'bob' WHERE id = 'available:ann'",
    "another id": "UPDATE accounts SET id = 'held:bob', kind = 'held', user_id = 'bob' WHERE id = 'available:bob'",
    "a deleted account": "DELETE FROM accounts WHERE id = 'available:bob'",
    "a new account with a balance": "INSERT INTO accounts VALUES ('held:bob', 'bob', 'held', 5)",
    "a replaced account": "INSERT OR REPLACE INTO accounts VALUES ('available:ann', 'ann', 'available', 0)",
    "an account with the id of another user": "INSERT INTO accounts VALUES ('available:eve', 'bob', 'available', 0)",
    "an account of an unknown user": "INSERT INTO accounts VALUES ('available:eve', 'eve', 'available', 0)",
    "an account without a user": "INSERT INTO accounts VALUES ('available', NULL, 'available', 0)",
    "an external account of a user": "INSERT INTO accounts VALUES ('external:bob', 'bob', 'external', 0)",
    "an account of another kind": "INSERT INTO accounts VALUES ('spare:bob', 'bob', 'spare', 0)",
}


def rows(ledger: sqlite3.Connection) -> list[list[object]]:
    return [
        ledger.execute(f"SELECT * FROM {table}").fetchall() for table in ("accounts", "transfers", "freezes", "jobs")
    ]


@pytest.mark.parametrize("sql", REJECTED.values(), ids=REJECTED)
def test_invalid_statement_is_rejected(ledger: sqlite3.Connection, sql: str) -> None:
    before = rows(ledger)
    with pytest.raises(sqlite3.IntegrityError):
        ledger.execute(sql)
    assert rows(ledger) == before


def test_transfer_is_rejected_while_payments_are_frozen(ledger: sqlite3.Connection) -> None:
    ledger.execute("INSERT INTO freezes VALUES (1, 0, 'a test')")
    for conflict in ("", " OR IGNORE", " OR REPLACE"):
        with pytest.raises(sqlite3.IntegrityError, match="frozen"):
            ledger.execute(transfer(conflict=conflict))
    with pytest.raises(sqlite3.IntegrityError):
        ledger.execute("INSERT INTO freezes VALUES (2, 0, 'a second freeze')")
    ledger.execute("DELETE FROM freezes")
    ledger.execute(transfer())


def test_first_transfer_has_a_positive_seq(store: Path) -> None:
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.executescript(
            """
            INSERT INTO users (id, name, role, skills, created_at) VALUES ('ann', 'Ann', 'client', '[]', 0);
            INSERT INTO accounts (id, kind, user_id, balance) VALUES ('available:ann', 'available', 'ann', 0);
            """
        )
        with pytest.raises(sqlite3.IntegrityError, match="seq"):
            connection.execute(transfer("deposit", 10, source_balance=-10, target_balance=10, seq=-1))
        connection.execute(transfer("deposit", 10, source_balance=-10, target_balance=10))
