"""The books as SQLite itself keeps them: whatever a statement tries, money moves by a whole transfer or not at all."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

TRANSFER = """
    INSERT{or_} INTO transfers (seq, id, kind, amount, from_account, from_balance, to_account, to_balance, job_id,
        payment_id, created_at)
    VALUES ({seq}, 'x', '{kind}', {amount}, '{source}', {left}, '{target}', {reached}, {job}, {payment}, 0)"""


def transfer(
    kind: str = "deposit",
    amount: object = 10,
    source: str = "external",
    left: int = -110,
    target: str = "available:ann",
    reached: int = 80,
    *,
    seq: object = "NULL",
    job: str = "NULL",
    payment: str = "NULL",
    or_: str = "",
) -> str:
    """A transfer as SQL; without arguments it is a good one."""
    return TRANSFER.format(
        or_=or_,
        seq=seq,
        kind=kind,
        amount=amount,
        source=source,
        left=left,
        target=target,
        reached=reached,
        job=job,
        payment=payment,
    )


@pytest.fixture
def books(store: Path) -> Iterator[sqlite3.Connection]:
    """Ann has 70 to spend and 30 held for a job, Bob has an empty wallet, and 100 came in."""
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.executescript(
            """
            INSERT INTO users (id, name, role, skills, created_at)
                VALUES ('ann', 'Ann', 'client', '[]', 0), ('bob', 'Bob', 'freelancer', '[]', 0);
            INSERT INTO jobs (id, owner_id, title, description, budget, currency, status, instant_accept, held,
                created_at, updated_at, has_unpublished_changes) VALUES ('job', 'ann', 'T', 'D', 30, 'USD', 'open', 0, 30, 0, 0, 0);
            INSERT INTO accounts (id, kind, user_id, balance) VALUES ('available:ann', 'available', 'ann', 0),
                ('held:ann', 'held', 'ann', 0), ('available:bob', 'available', 'bob', 0);
            """
        )
        connection.execute(transfer("deposit", 100, "external", -100, "available:ann", 100, payment="'p'"))
        connection.execute(transfer("hold", 30, "available:ann", 70, "held:ann", 30, job="'job'"))
        yield connection


def balances(books: sqlite3.Connection) -> dict[str, int]:
    return dict(books.execute("SELECT id, balance FROM accounts"))


def test_a_transfer_moves_the_balances(books: sqlite3.Connection) -> None:
    before = balances(books)
    assert before == {"external": -100, "available:ann": 70, "held:ann": 30, "available:bob": 0}
    books.execute(transfer())
    assert balances(books) == before | {"external": -110, "available:ann": 80}


REFUSED = {
    "more than there is": transfer("withdrawal", 71, "available:ann", -1, "external", -29),
    "an amount of nothing": transfer("deposit", 0, left=-100, reached=70),
    "a negative amount": transfer("deposit", -10, left=-90, reached=60),
    "a fraction": transfer("deposit", 0.5),
    "a fraction above one": transfer("deposit", 1.5),
    "a word for an amount": transfer("deposit", "'ten'"),
    "more than the largest amount": transfer("deposit", 10**12 + 1, left=-(10**12) - 101, reached=10**12 + 71),
    "a balance after it that is not so": transfer("deposit", 10, left=-110, reached=81),
    "a balance before it that is not so": transfer("deposit", 10, left=-111, reached=80),
    "an account that nobody has": transfer("deposit", 10, target="available:nobody", reached=10),
    "a job that there is not": transfer("hold", 10, "available:ann", 60, "held:ann", 40, job="'none'"),
    "no job": transfer("hold", 10, "available:ann", 60, "held:ann", 40),
    "a job for a deposit": transfer(job="'job'"),
    "an unknown kind": transfer("gift"),
    "a deposit from somebody": transfer("deposit", 10, "available:ann", 60, "available:bob", 10),
    "a deposit into what is held": transfer("deposit", 10, "external", -110, "held:ann", 40),
    "a withdrawal of what is held": transfer("withdrawal", 10, "held:ann", 20, "external", -90),
    "a hold for somebody else": transfer("hold", 10, "available:bob", -10, "held:ann", 40, job="'job'"),
    "a hold that goes the other way": transfer("hold", 10, "held:ann", 20, "available:ann", 80, job="'job'"),
    "a release to somebody else": transfer("release", 10, "held:ann", 20, "available:bob", 10, job="'job'"),
    "a refund to somebody else": transfer("refund", 10, "held:ann", 20, "available:bob", 10, job="'job'"),
    "a payment to oneself": transfer("payment", 10, "held:ann", 20, "available:ann", 80, job="'job'"),
    "a payment of what is not held": transfer("payment", 10, "available:ann", 60, "available:bob", 10, job="'job'"),
    "a payment that came before": transfer(payment="'p'"),
    "a payment's id on a hold": transfer("hold", 1, "available:ann", 69, "held:ann", 31, job="'job'", payment="'q'"),
    "a place in the middle": transfer(seq=1),
    "a place before the beginning": transfer(seq=-3),
    "a place that is taken, with REPLACE": transfer(
        "deposit", 50, "external", -150, reached=120, seq=2, or_=" OR REPLACE"
    ),
    "a payment that came before, with REPLACE": transfer(payment="'p'", or_=" OR REPLACE"),
    "more than there is, with IGNORE": transfer(
        "withdrawal", 71, "available:ann", -1, "external", -29, or_=" OR IGNORE"
    ),
    "a balance that is not so, with IGNORE": transfer("deposit", 10, reached=81, or_=" OR IGNORE"),
    "a transfer that is changed": "UPDATE transfers SET created_at = 1",
    "a transfer that goes": "DELETE FROM transfers WHERE seq = 2",
    "a balance without a transfer": "UPDATE accounts SET balance = 71 WHERE id = 'available:ann'",
    "the last transfer once more": "UPDATE accounts SET balance = balance - 30 WHERE id = 'available:ann'",
    "the last transfer once more, on the other side": "UPDATE accounts SET balance = 60 WHERE id = 'held:ann'",
    "a balance that goes back": "UPDATE accounts SET balance = 100 WHERE id = 'available:ann'",
    "the balance it has": "UPDATE accounts SET balance = balance",
    "another owner": "UPDATE accounts SET user_id = 'bob' WHERE id = 'available:ann'",
    "another name": "UPDATE accounts SET id = 'held:bob', kind = 'held', user_id = 'bob' WHERE id = 'available:bob'",
    "an account that goes": "DELETE FROM accounts WHERE id = 'available:bob'",
    "an account that opens with money": "INSERT INTO accounts VALUES ('held:bob', 'bob', 'held', 5)",
    "an account once more": "INSERT OR REPLACE INTO accounts VALUES ('available:ann', 'ann', 'available', 0)",
    "an account of another name": "INSERT INTO accounts VALUES ('available:eve', 'bob', 'available', 0)",
    "an account of nobody": "INSERT INTO accounts VALUES ('available:eve', 'eve', 'available', 0)",
    "an account of no user": "INSERT INTO accounts VALUES ('available', NULL, 'available', 0)",
    "somebody's own outside": "INSERT INTO accounts VALUES ('external:bob', 'bob', 'external', 0)",
    "an account of another kind": "INSERT INTO accounts VALUES ('spare:bob', 'bob', 'spare', 0)",
}


def rows(books: sqlite3.Connection) -> list[list[object]]:
    return [
        books.execute(f"SELECT * FROM {table}").fetchall() for table in ("accounts", "transfers", "freezes", "jobs")
    ]


@pytest.mark.parametrize("sql", REFUSED.values(), ids=REFUSED)
def test_the_books_refuse(books: sqlite3.Connection, sql: str) -> None:
    before = rows(books)
    with pytest.raises(sqlite3.IntegrityError):
        books.execute(sql)
    assert rows(books) == before


def test_while_the_books_are_frozen_no_transfer_is_written(books: sqlite3.Connection) -> None:
    books.execute("INSERT INTO freezes VALUES (1, 0, 'they did not add up')")
    for or_ in ("", " OR IGNORE", " OR REPLACE"):
        with pytest.raises(sqlite3.IntegrityError, match="frozen"):
            books.execute(transfer(or_=or_))
    with pytest.raises(sqlite3.IntegrityError):
        books.execute("INSERT INTO freezes VALUES (2, 0, 'once more')")
    books.execute("DELETE FROM freezes")
    books.execute(transfer())


def test_the_first_transfer_has_a_place_above_zero(store: Path) -> None:
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.executescript(
            """
            INSERT INTO users (id, name, role, skills, created_at) VALUES ('ann', 'Ann', 'client', '[]', 0);
            INSERT INTO accounts (id, kind, user_id, balance) VALUES ('available:ann', 'available', 'ann', 0);
            """
        )
        with pytest.raises(sqlite3.IntegrityError, match="seq"):
            connection.execute(transfer("deposit", 10, left=-10, reached=10, seq=-1))
        connection.execute(transfer("deposit", 10, left=-10, reached=10))
