"""Which form of the store this code needs, and which form a store has; without alembic, so the server is lean."""

from sqlalchemy import Connection, inspect, text

from services.database.open_errors import CannotOpenStore

# The last file in services/migrations/versions.
REVISION = "0008"


def stored_revision(tx: Connection) -> str | None:
    """The revision of a store, None for an empty one."""
    if not inspect(tx).has_table("alembic_version"):
        return None
    return tx.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def require_current(tx: Connection) -> None:
    """Raises CannotOpen unless the store has exactly the form that this code needs."""
    with tx.begin():
        found = stored_revision(tx)
    if found is None:
        raise CannotOpenStore("The store is empty: it must be migrated first.")
    if found > REVISION:
        raise CannotOpenStore(newer_message(found))
    if found < REVISION:
        raise CannotOpenStore(f"The store has an older form (revision {found}, needed {REVISION}): migrate it first.")


def newer_message(found: str) -> str:
    """What to say about a store of a later revision than this code knows."""
    return f"The store was written by a newer version (revision {found}; this one knows {REVISION})."
