"""The books: accounts, and the transfers between them, which nobody can change.

A transfer is both entries at once: one amount that leaves one account and reaches another, so no transfer can fail to
sum to zero.
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
    UniqueConstraint,
    event,
    text,
)

from services.tables.columns import ID, TIME, metadata

# `available:<user>` and `held:<user>`, made when first needed; `outside` is where money comes from and goes to.
_ACCOUNT = String(48)

accounts = Table(
    "accounts",
    metadata,
    Column("id", _ACCOUNT, primary_key=True),
    Column("user_id", ID, ForeignKey("users.id")),
    Column("kind", String(16), CheckConstraint("kind IN ('available','held','outside')", name="kind"), nullable=False),
    Column("balance", BigInteger, nullable=False),
    CheckConstraint("(kind = 'outside') = (user_id IS NULL)", name="owner"),
    CheckConstraint("kind = 'outside' OR balance >= 0", name="balance"),
    CheckConstraint("id = CASE WHEN user_id IS NULL THEN kind ELSE kind || ':' || user_id END", name="id"),
)

transfers = Table(
    "transfers",
    metadata,
    # The order of the books: each balance follows from the one before it.
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("id", ID, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("amount", BigInteger, CheckConstraint("amount > 0", name="amount"), nullable=False),
    Column("from_account", _ACCOUNT, ForeignKey("accounts.id"), nullable=False),
    Column("from_balance", BigInteger, nullable=False),
    Column("to_account", _ACCOUNT, ForeignKey("accounts.id"), nullable=False),
    Column("to_balance", BigInteger, nullable=False),
    Column("job_id", ID, ForeignKey("jobs.id")),
    # What the payment's own system calls it: a payment is deposited once.
    Column("payment_id", String(128)),
    Column("created_at", TIME, nullable=False),
    CheckConstraint("kind IN ('deposit','hold','release','payment','refund','withdrawal')", name="kind"),
    CheckConstraint("from_account <> to_account", name="two_accounts"),
    CheckConstraint("(kind = 'deposit') = (from_account = 'outside')", name="deposit"),
    CheckConstraint("(kind = 'withdrawal') = (to_account = 'outside')", name="withdrawal"),
    CheckConstraint("(kind IN ('deposit','withdrawal')) = (job_id IS NULL)", name="job"),
    CheckConstraint("payment_id IS NULL OR kind = 'deposit'", name="payment_id"),
    UniqueConstraint("payment_id"),
    Index("ix_transfers_from_account_seq", "from_account", "seq"),
    Index("ix_transfers_to_account_seq", "to_account", "seq"),
    Index("ix_transfers_job_id", "job_id", sqlite_where=text("job_id IS NOT NULL")),
)

for _verb in ("UPDATE", "DELETE"):
    event.listen(
        transfers,
        "after_create",
        DDL(  # type: ignore[no-untyped-call]
            f"CREATE TRIGGER transfers_no_{_verb.lower()} BEFORE {_verb} ON transfers "
            "BEGIN SELECT RAISE(ABORT, 'the books are only added to'); END"
        ),
    )
