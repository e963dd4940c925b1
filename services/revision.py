"""Which form of the store this code needs, and which form a store has; without alembic, so the server is lean."""

from sqlalchemy import Connection, inspect, text

# The last file in services/migrations/versions.
REVISION = "0001"


def stored(tx: Connection) -> str | None:
    """The revision of a store, None for an empty one."""
    if not inspect(tx).has_table("alembic_version"):
        return None
    return tx.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
