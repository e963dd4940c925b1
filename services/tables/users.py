"""Users, sessions and API keys."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, LargeBinary, String, Table, Text, text

from services.tables.columns import TIME, id_column, metadata, one_of, user_column

users = Table(
    "users",
    metadata,
    id_column(),
    Column("email", String(254), unique=True),  # in lower case
    Column("external_id", String(128), unique=True),
    Column("name", String(80), nullable=False),
    Column(
        "role",
        String(16),
        CheckConstraint(one_of("role", "client", "freelancer", "admin"), name="role"),
        nullable=False,
    ),
    Column("skills", Text, nullable=False, server_default="[]"),
    Column("password_hash", String(255)),
    Column("disabled_at", TIME),
    Column("created_at", TIME, nullable=False),
    # Completed jobs that the user posted or worked on. A trigger counts them.
    Column(
        "jobs_done",
        BigInteger,
        CheckConstraint("jobs_done >= 0", name="jobs_done"),
        nullable=False,
        server_default="0",
    ),
)

# A signed-in browser or program. The token carries only the id; this row decides whether it is valid.
sessions = Table(
    "sessions",
    metadata,
    id_column(),
    user_column(),
    Column("user_agent", String(200)),
    Column("address", String(64)),
    Column("created_at", TIME, nullable=False),
    Column("used_at", TIME, nullable=False),
    Index("ix_sessions_user_id", "user_id"),
    Index("ix_sessions_used_at", "used_at"),
)

api_keys = Table(
    "api_keys",
    metadata,
    id_column(),
    Column("name", String(80), nullable=False),
    Column("hash", LargeBinary(32), nullable=False, unique=True),
    Column("scopes", Text, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("revoked_at", TIME),
    Index("uq_api_keys_active_name", "name", unique=True, sqlite_where=text("revoked_at IS NULL")),
)
