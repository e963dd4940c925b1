"""Notifications, inbox counters, undo records and announcements."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, String, Table, Text, UniqueConstraint, text

from services.tables.columns import TIME, id_column, metadata, one_of, user_column

# One row per user. `seq` is the last position given to a notification. The counters change with the rows they count.
inboxes = Table(
    "inboxes",
    metadata,
    user_column(primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("unread", BigInteger, CheckConstraint("unread >= 0", name="unread"), nullable=False),
    Column("unseen", BigInteger, CheckConstraint("unseen >= 0", name="unseen"), nullable=False),
)

notifications = Table(
    "notifications",
    metadata,
    id_column(),
    user_column(),
    Column("seq", BigInteger, nullable=False),
    Column("type", String(64), nullable=False),
    Column("category", String(16), nullable=False),
    Column("priority", String(8), nullable=False),
    Column("title", String(200), nullable=False),
    Column("body", String(2000), nullable=False),
    Column("data", Text, nullable=False),
    Column("url", String(500)),
    Column("icon", String(16)),
    Column("actions", Text, nullable=False, server_default="[]"),
    Column("collapse_key", String(64)),
    Column("count", BigInteger, nullable=False, server_default="1"),
    Column("created_at", TIME, nullable=False),
    Column("expires_at", TIME),
    Column("seen_at", TIME),
    Column("read_at", TIME),
    Column("archived_at", TIME),
    # Since when the row is in no counter and no list: a periodic task expired it, or it was hidden when created.
    Column("expired_at", TIME),
    # The change (see inbox_undos) that last set the read and the archived state, and the values before it.
    Column("read_change", BigInteger),
    Column("previous_read_at", TIME),
    Column("previous_seen_at", TIME),
    Column("archive_change", BigInteger),
    Column("previous_archived_at", TIME),
    # The routing decisions of its creation: not shown in the app, and whether push and e-mail deliver it.
    Column(
        "hidden", BigInteger, CheckConstraint("hidden IN (0, 1)", name="hidden"), nullable=False, server_default="0"
    ),
    Column("push_decision", String(16)),
    Column("email_decision", String(16)),
    CheckConstraint(
        one_of("category", "job", "bid", "hire", "message", "comment", "payment", "system"), name="category"
    ),
    CheckConstraint(one_of("priority", "low", "normal", "high", "urgent"), name="priority"),
    UniqueConstraint("user_id", "seq"),
    # Not unique: a user may mark an older notification with the same key as unread again.
    Index(
        "ix_notifications_collapse",
        "user_id",
        "collapse_key",
        "read_at",
        "archived_at",
        "expired_at",
        sqlite_where=text("collapse_key IS NOT NULL"),
    ),
    Index(
        "ix_notifications_visible",
        "user_id",
        "seq",
        sqlite_where=text("archived_at IS NULL AND expired_at IS NULL"),
    ),
    Index(
        "ix_notifications_expiry",
        "expires_at",
        sqlite_where=text("expires_at IS NOT NULL AND expired_at IS NULL"),
    ),
    Index("ix_notifications_created_at", "created_at"),
)

# One change of many rows, which can be undone for 30 seconds. The changed rows lie between `first_seq` and `last_seq`;
# they carry the number of the change and their values before it.
inbox_undos = Table(
    "inbox_undos",
    metadata,
    id_column(),
    user_column(),
    Column("verb", String(16), nullable=False),
    Column("change", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("created_at", TIME, nullable=False),
    Index("ix_inbox_undos_created_at", "created_at"),
)

announcements = Table(
    "announcements",
    metadata,
    id_column(),
    Column("title", String(200), nullable=False),
    Column("body", String(2000), nullable=False),
    Column("url", String(500)),
    Column("priority", String(8), nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("expires_at", TIME),
)
