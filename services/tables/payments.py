"""Accounts, transfers and freezes of the double-entry ledger, and their triggers.

A transfer is one row with an amount, a source and a target account, so it always balances. A trigger on INSERT changes
the two balances. Other triggers reject every other change of accounts and transfers.
"""

from sqlalchemy import (
    DDL,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    text,
)

from services import limits
from services.tables.columns import ID, TIME, metadata, one_of

# `available:<user>` and `held:<user>`, created when first needed, and `external`, the source of all deposits.
_ACCOUNT = String(48)
_KINDS = one_of("kind", "available", "held", "external")

# One row: the currency of every amount.
ledger_settings = Table(
    "ledger_settings",
    metadata,
    Column("id", BigInteger, CheckConstraint("id = 1", name="one_row"), primary_key=True, autoincrement=False),
    Column("currency", String(3), nullable=False),
)

# The source and the target of each kind of transfer.
_PATH = """CASE kind
        WHEN 'deposit' THEN from_account = 'external' AND to_account LIKE 'available:%'
        WHEN 'withdrawal' THEN from_account LIKE 'available:%' AND to_account = 'external'
        WHEN 'hold' THEN to_account LIKE 'held:%' AND from_account = 'available:' || substr(to_account, 6)
        WHEN 'release' THEN from_account LIKE 'held:%' AND to_account = 'available:' || substr(from_account, 6)
        WHEN 'refund' THEN from_account LIKE 'held:%' AND to_account = 'available:' || substr(from_account, 6)
        WHEN 'payment' THEN from_account LIKE 'held:%' AND to_account LIKE 'available:%'
            AND substr(from_account, 6) <> substr(to_account, 11)
        ELSE 1 = 0 END"""

accounts = Table(
    "accounts",
    metadata,
    Column("id", _ACCOUNT, primary_key=True),
    Column("user_id", ID, ForeignKey("users.id")),
    Column(
        "kind",
        String(16),
        CheckConstraint(one_of("kind", "available", "held", "external"), name="kind"),
        nullable=False,
    ),
    Column("balance", BigInteger, nullable=False),
    CheckConstraint("(kind = 'external') = (user_id IS NULL)", name="owner"),
    # All money came from the external account, so no balance exceeds 2**53 - 1, the largest integer that is exact
    # in every JSON parser.
    CheckConstraint(
        "CASE kind WHEN 'external' THEN balance BETWEEN -9007199254740991 AND 0 "
        "ELSE balance BETWEEN 0 AND 9007199254740991 END",
        name="balance",
    ),
    CheckConstraint("id = CASE WHEN user_id IS NULL THEN kind ELSE kind || ':' || user_id END", name="id"),
)

transfers = Table(
    "transfers",
    metadata,
    # The order of transfers: each balance follows from the balance before it.
    Column(
        "seq",
        BigInteger().with_variant(Integer, "sqlite"),
        CheckConstraint("seq > 0", name="seq"),
        primary_key=True,
    ),
    Column("id", ID, nullable=False),
    Column("kind", String(16), nullable=False),
    # Without the cast SQLite would store fractions and text in this column.
    Column(
        "amount",
        BigInteger,
        CheckConstraint(f"amount BETWEEN 1 AND {limits.MAX_AMOUNT} AND amount = CAST(amount AS BIGINT)", name="amount"),
        nullable=False,
    ),
    Column("from_account", _ACCOUNT, ForeignKey("accounts.id"), nullable=False),
    Column("from_balance", BigInteger, nullable=False),
    Column("to_account", _ACCOUNT, ForeignKey("accounts.id"), nullable=False),
    Column("to_balance", BigInteger, nullable=False),
    Column("job_id", ID, ForeignKey("jobs.id")),
    # The id that the payment system gave. A payment is deposited once.
    Column("payment_id", String(128)),
    Column("created_at", TIME, nullable=False),
    CheckConstraint(_PATH, name="kind"),
    CheckConstraint("(kind IN ('deposit','withdrawal')) = (job_id IS NULL)", name="job"),
    CheckConstraint("payment_id IS NULL OR kind = 'deposit'", name="payment_id"),
    UniqueConstraint("payment_id"),
    Index("ix_transfers_from_account_seq", "from_account", "seq"),
    Index("ix_transfers_to_account_seq", "to_account", "seq"),
    Index("ix_transfers_job_id", "job_id", sqlite_where=text("job_id IS NOT NULL")),
)

# At most one row. While it exists no money moves, because the ledger did not balance when it was checked.
freezes = Table(
    "freezes",
    metadata,
    Column("id", BigInteger, CheckConstraint("id = 1", name="one_row"), primary_key=True, autoincrement=False),
    Column("since", TIME, nullable=False),
    Column("reason", Text, nullable=False),
)

# REPLACE deletes rows without firing the triggers on DELETE, so some triggers reject the INSERT instead.
_TRIGGERS = {
    transfers: (
        """transfers_no_update BEFORE UPDATE ON transfers
            BEGIN SELECT RAISE(ABORT, 'transfers are append-only'); END""",
        """transfers_no_delete BEFORE DELETE ON transfers
            BEGIN SELECT RAISE(ABORT, 'transfers are append-only'); END""",
        """transfers_no_replace BEFORE INSERT ON transfers
            WHEN EXISTS (SELECT 1 FROM transfers WHERE seq = NEW.seq OR payment_id = NEW.payment_id)
            BEGIN SELECT RAISE(ABORT, 'transfers are append-only'); END""",
        """transfers_frozen BEFORE INSERT ON transfers
            WHEN EXISTS (SELECT 1 FROM freezes)
            BEGIN SELECT RAISE(ABORT, 'payments are frozen'); END""",
        # The last statement is for OR IGNORE, which would skip a change to a forbidden balance.
        """transfers_apply AFTER INSERT ON transfers BEGIN
            UPDATE accounts SET balance = balance - NEW.amount WHERE id = NEW.from_account;
            UPDATE accounts SET balance = balance + NEW.amount WHERE id = NEW.to_account;
            SELECT RAISE(ABORT, 'a transfer must state the balances after it') WHERE 2 <> (
                SELECT count(*) FROM accounts WHERE id = NEW.from_account AND balance = NEW.from_balance
                OR id = NEW.to_account AND balance = NEW.to_balance);
            END""",
    ),
    accounts: (
        """accounts_create BEFORE INSERT ON accounts
            WHEN NEW.balance <> 0 OR EXISTS (SELECT 1 FROM accounts WHERE id = NEW.id)
            BEGIN SELECT RAISE(ABORT, 'an account is created once, with balance 0'); END""",
        """accounts_no_delete BEFORE DELETE ON accounts
            BEGIN SELECT RAISE(ABORT, 'accounts are never deleted'); END""",
        # A balance may only change from the value before the newest transfer to the value after it.
        """accounts_balance BEFORE UPDATE ON accounts
            WHEN NEW.id <> OLD.id OR NEW.kind <> OLD.kind OR NEW.user_id IS NOT OLD.user_id OR NOT EXISTS (
                SELECT 1 FROM transfers WHERE seq = (SELECT max(seq) FROM transfers) AND (
                    from_account = OLD.id AND from_balance = NEW.balance AND OLD.balance - amount = NEW.balance
                    OR to_account = OLD.id AND to_balance = NEW.balance AND OLD.balance + amount = NEW.balance))
            BEGIN SELECT RAISE(ABORT, 'a balance changes only by a transfer'); END""",
    ),
}
for _table, _triggers in _TRIGGERS.items():
    for _trigger in _triggers:
        event.listen(_table, "after_create", DDL(f"CREATE TRIGGER {_trigger}"))  # type: ignore[no-untyped-call]
