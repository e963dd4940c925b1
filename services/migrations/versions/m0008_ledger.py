"""The store says in which currency its books are; one that has jobs has said so with each of them."""

from alembic import op

revision = "0008"
down_revision = "0007"

_STATEMENTS = (
    """
    CREATE TABLE ledger (
        id BIGINT NOT NULL CONSTRAINT ck_ledger_one_row CHECK (id = 1),
        currency VARCHAR(3) NOT NULL,
        CONSTRAINT pk_ledger PRIMARY KEY (id)
    )
    """,
    # The newest: with another setting than before, that is what amounts were taken for last.
    "INSERT INTO ledger (id, currency) SELECT 1, currency FROM jobs ORDER BY seq DESC LIMIT 1",
)


def upgrade() -> None:
    """Make it."""
    for statement in _STATEMENTS:
        op.execute(statement)
