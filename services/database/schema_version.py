"""The schema revision this code needs and the one a store has."""

from typing import Final

from sqlalchemy import Connection, inspect, text

from services.database.open_errors import CannotOpenStore

# The last revision in services/migrations/versions. Reading it there would load Alembic into the server.
REVISION: Final = "0100"
# Pre-release stores have the revisions "0001" to "0008". Revisions are compared as strings.
FIRST_REVISION: Final = "0100"
PRE_RELEASE_MESSAGE: Final = (
    "This store was created by a pre-release version. Set HUB_DATA_DIR to a new, empty directory."
)


def stored_revision(tx: Connection) -> str | None:
    """Return the revision of a store, or None for an empty one."""
    if not inspect(tx).has_table("alembic_version"):
        return None
    return tx.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def require_current(tx: Connection) -> None:
    """Raise CannotOpenStore unless the store has exactly the schema that this code needs."""
    with tx.begin():
        found = stored_revision(tx)
    if found is None:
        raise CannotOpenStore("The store is empty: it must be migrated first.")
    require_supported(found)
    if found != REVISION:
        raise CannotOpenStore(f"The store has an older schema (revision {found}, needed {REVISION}): migrate it first.")


def require_supported(found: str) -> None:
    """Raise CannotOpenStore for a revision that this code can neither use nor upgrade."""
    require_released(found)
    if found > REVISION:
        raise CannotOpenStore(newer_message(found))


def require_released(found: str) -> None:
    """Raise CannotOpenStore for the revision of a pre-release store."""
    if found < FIRST_REVISION:
        raise CannotOpenStore(PRE_RELEASE_MESSAGE)


def newer_message(found: str) -> str:
    """Return the message for a store of a later revision than this code knows."""
    return f"The store was written by a newer version (revision {found}; this one knows {REVISION})."
