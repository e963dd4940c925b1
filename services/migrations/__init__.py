"""Schema revisions of the store (Alembic)."""
