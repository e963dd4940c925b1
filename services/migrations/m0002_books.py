"""The statements that make the books, as `m0002_money` has made them ever since: never changed, whatever the code says.

Accounts open with nothing and move by transfers alone, so the migration itself, too, can only write transfers.
"""

from typing import Final

BOOKS: Final = (
    """
    CREATE TABLE accounts (
        id VARCHAR(48) NOT NULL,
        user_id VARCHAR(36),
        kind VARCHAR(16) NOT NULL CONSTRAINT ck_accounts_kind CHECK (kind IN ('available','held','outside')),
        balance BIGINT NOT NULL,
        CONSTRAINT pk_accounts PRIMARY KEY (id),
        CONSTRAINT ck_accounts_owner CHECK ((kind = 'outside') = (user_id IS NULL)),
        CONSTRAINT ck_accounts_balance CHECK (
            CASE kind WHEN 'outside' THEN balance BETWEEN -9007199254740991 AND 0
            ELSE balance BETWEEN 0 AND 9007199254740991 END),
        CONSTRAINT ck_accounts_id CHECK (id = CASE WHEN user_id IS NULL THEN kind ELSE kind || ':' || user_id END),
        CONSTRAINT fk_accounts_user_id FOREIGN KEY(user_id) REFERENCES users (id)
    )
    """,
    """
    CREATE TABLE transfers (
        seq INTEGER NOT NULL CONSTRAINT ck_transfers_seq CHECK (seq > 0),
        id VARCHAR(36) NOT NULL,
        kind VARCHAR(16) NOT NULL,
        amount BIGINT NOT NULL CONSTRAINT ck_transfers_amount CHECK (
            amount BETWEEN 1 AND 1000000000000 AND amount = CAST(amount AS BIGINT)),
        from_account VARCHAR(48) NOT NULL,
        from_balance BIGINT NOT NULL,
        to_account VARCHAR(48) NOT NULL,
        to_balance BIGINT NOT NULL,
        job_id VARCHAR(36),
        payment_id VARCHAR(128),
        created_at BIGINT NOT NULL,
        CONSTRAINT pk_transfers PRIMARY KEY (seq),
        CONSTRAINT ck_transfers_kind CHECK (CASE kind
            WHEN 'deposit' THEN from_account = 'outside' AND to_account LIKE 'available:%'
            WHEN 'withdrawal' THEN from_account LIKE 'available:%' AND to_account = 'outside'
            WHEN 'hold' THEN to_account LIKE 'held:%' AND from_account = 'available:' || substr(to_account, 6)
            WHEN 'release' THEN from_account LIKE 'held:%' AND to_account = 'available:' || substr(from_account, 6)
            WHEN 'refund' THEN from_account LIKE 'held:%' AND to_account = 'available:' || substr(from_account, 6)
            WHEN 'payment' THEN from_account LIKE 'held:%' AND to_account LIKE 'available:%'
                AND substr(from_account, 6) <> substr(to_account, 11)
            ELSE 1 = 0 END),
        CONSTRAINT ck_transfers_job CHECK ((kind IN ('deposit','withdrawal')) = (job_id IS NULL)),
        CONSTRAINT ck_transfers_payment_id CHECK (payment_id IS NULL OR kind = 'deposit'),
        CONSTRAINT uq_transfers_payment_id UNIQUE (payment_id),
        CONSTRAINT fk_transfers_from_account FOREIGN KEY(from_account) REFERENCES accounts (id),
        CONSTRAINT fk_transfers_to_account FOREIGN KEY(to_account) REFERENCES accounts (id),
        CONSTRAINT fk_transfers_job_id FOREIGN KEY(job_id) REFERENCES jobs (id)
    )
    """,
    """
    CREATE INDEX ix_transfers_from_account_seq ON transfers (from_account, seq)
    """,
    """
    CREATE INDEX ix_transfers_job_id ON transfers (job_id) WHERE job_id IS NOT NULL
    """,
    """
    CREATE INDEX ix_transfers_to_account_seq ON transfers (to_account, seq)
    """,
    """
    CREATE TABLE freezes (
        id BIGINT NOT NULL CONSTRAINT ck_freezes_one_row CHECK (id = 1),
        since BIGINT NOT NULL,
        why TEXT NOT NULL,
        CONSTRAINT pk_freezes PRIMARY KEY (id)
    )
    """,
    """
    CREATE TRIGGER transfers_no_update BEFORE UPDATE ON transfers
        BEGIN SELECT RAISE(ABORT, 'the books are only added to'); END
    """,
    """
    CREATE TRIGGER transfers_no_delete BEFORE DELETE ON transfers
        BEGIN SELECT RAISE(ABORT, 'the books are only added to'); END
    """,
    """
    CREATE TRIGGER transfers_no_replace BEFORE INSERT ON transfers
        WHEN EXISTS (SELECT 1 FROM transfers WHERE seq = NEW.seq OR payment_id = NEW.payment_id)
        BEGIN SELECT RAISE(ABORT, 'the books are only added to'); END
    """,
    """
    CREATE TRIGGER transfers_frozen BEFORE INSERT ON transfers
        WHEN EXISTS (SELECT 1 FROM freezes)
        BEGIN SELECT RAISE(ABORT, 'the books are frozen'); END
    """,
    """
    CREATE TRIGGER transfers_move AFTER INSERT ON transfers BEGIN
        UPDATE accounts SET balance = balance - NEW.amount WHERE id = NEW.from_account;
        UPDATE accounts SET balance = balance + NEW.amount WHERE id = NEW.to_account;
        SELECT RAISE(ABORT, 'a transfer says what its accounts hold after it') WHERE 2 <> (
            SELECT count(*) FROM accounts WHERE id = NEW.from_account AND balance = NEW.from_balance
            OR id = NEW.to_account AND balance = NEW.to_balance);
        END
    """,
    """
    CREATE TRIGGER accounts_open BEFORE INSERT ON accounts
        WHEN NEW.balance <> 0 OR EXISTS (SELECT 1 FROM accounts WHERE id = NEW.id)
        BEGIN SELECT RAISE(ABORT, 'an account opens once, with nothing'); END
    """,
    """
    CREATE TRIGGER accounts_no_delete BEFORE DELETE ON accounts
        BEGIN SELECT RAISE(ABORT, 'an account stays'); END
    """,
    """
    CREATE TRIGGER accounts_follow BEFORE UPDATE ON accounts
        WHEN NEW.id <> OLD.id OR NEW.kind <> OLD.kind OR NEW.user_id IS NOT OLD.user_id OR NOT EXISTS (
            SELECT 1 FROM transfers WHERE seq = (SELECT max(seq) FROM transfers) AND (
                from_account = OLD.id AND from_balance = NEW.balance AND OLD.balance - amount = NEW.balance
                OR to_account = OLD.id AND to_balance = NEW.balance AND OLD.balance + amount = NEW.balance))
        BEGIN SELECT RAISE(ABORT, 'a balance follows from a transfer'); END
    """,
    "INSERT INTO accounts (id, user_id, kind, balance) VALUES ('outside', NULL, 'outside', 0)",
)

# One transfer, and what opens an account for it.
OPEN: Final = """
    INSERT INTO accounts (id, user_id, kind, balance) SELECT :kind || ':' || :owner, :owner, :kind, 0
    WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE id = :kind || ':' || :owner)
"""
MOVE: Final = """
    INSERT INTO transfers (id, kind, amount, from_account, from_balance, to_account, to_balance, job_id, created_at)
    SELECT :id, :kind, :amount, source.id, source.balance - :amount, target.id, target.balance + :amount, :job_id, :at
    FROM accounts AS source, accounts AS target WHERE source.id = :source AND target.id = :target
"""
