"""The initial schema of the store."""

import secrets
from pathlib import Path

from alembic import op

revision = "0100"
down_revision = None

_STATEMENTS = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    """Create every table and the rows that each store has, with a random epoch."""
    connection = op.get_bind()
    for statement in _STATEMENTS.read_text("utf-8").split("\n\n"):
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql(
        "INSERT INTO event_counter (id, epoch, position) VALUES (1, ?, 0)", (secrets.token_hex(4),)
    )
