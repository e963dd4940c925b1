"""Conversations, members, messages, attachments, blocks and presence settings."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from services.tables.columns import ID, TIME, flag_column, id_column, metadata, one_of, user_column

conversations = Table(
    "conversations",
    metadata,
    id_column(),
    Column("kind", String(8), CheckConstraint("kind IN ('direct','group')", name="kind"), nullable=False),
    Column("title", String(80)),
    # `<id>:<id>` of a direct conversation, the smaller id first, so two users have at most one.
    Column("direct_key", String(73), unique=True),
    user_column("creator_id"),
    # The position (`seq`) of its last message, 0 if there is none.
    Column("last_seq", BigInteger, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("updated_at", TIME, nullable=False),
    CheckConstraint("(kind = 'direct') = (direct_key IS NOT NULL)", name="direct_key"),
    CheckConstraint("kind = 'group' OR title IS NULL", name="title"),
)

# Columns with `seq` in their name are positions in the event log, which is also the order of messages.
conversation_members = Table(
    "conversation_members",
    metadata,
    Column("conversation_id", ID, ForeignKey("conversations.id"), primary_key=True),
    user_column(primary_key=True),
    # The member sees messages after `from_seq`, and has read and received messages up to the others.
    Column("from_seq", BigInteger, nullable=False),
    Column("read_seq", BigInteger, nullable=False),
    Column("delivered_seq", BigInteger, nullable=False),
    # The order of the conversation in this member's list: the position of its last activity.
    Column("activity_seq", BigInteger, nullable=False),
    # Messages of others after `from_seq` and `read_seq` that were not deleted.
    Column("unread", BigInteger, CheckConstraint("unread >= 0", name="unread"), nullable=False),
    flag_column("muted"),
    # When this member last read or sent a message here, and when they are to be notified of unread messages.
    Column("last_active_at", TIME, nullable=False),
    Column("notify_at", TIME),
    Column("joined_at", TIME, nullable=False),
    Index("ix_conversation_members_user_id_activity_seq", "user_id", "activity_seq"),
    Index("ix_conversation_members_unread", "user_id", "unread", sqlite_where=text("unread > 0 AND muted = 0")),
    Index("ix_conversation_members_notify_at", "notify_at", sqlite_where=text("notify_at IS NOT NULL")),
)

messages = Table(
    "messages",
    metadata,
    id_column(),
    Column("conversation_id", ID, ForeignKey("conversations.id"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    user_column("sender_id"),
    Column("type", String(8), CheckConstraint(one_of("type", "text", "image", "file"), name="type"), nullable=False),
    Column("content", Text, nullable=False),
    Column("reply_to", ID, ForeignKey("messages.id")),
    Column("client_message_id", String(64)),
    Column("created_at", TIME, nullable=False),
    Column("edited_at", TIME),
    Column("deleted_at", TIME),
    CheckConstraint("deleted_at IS NULL OR content = ''", name="deleted"),
    UniqueConstraint("conversation_id", "seq"),
    # Permanent: a message that is sent again, at any later time, is the same message.
    Index(
        "uq_messages_client_message_id",
        "conversation_id",
        "sender_id",
        "client_message_id",
        unique=True,
        sqlite_where=text("client_message_id IS NOT NULL"),
    ),
)

# An uploaded file, and the one message it was sent with. Files with the same content share one file on disk.
attachments = Table(
    "attachments",
    metadata,
    id_column(),
    user_column("owner_id"),
    # SHA-256 of the content in hexadecimal, which is the name on disk.
    Column("hash", String(64), nullable=False),
    Column("name", String(200), nullable=False),
    Column("type", String(100), nullable=False),
    Column("size", BigInteger, CheckConstraint("size > 0", name="size"), nullable=False),
    Column("width", BigInteger),
    Column("height", BigInteger),
    flag_column("thumbnail"),
    Column("message_id", ID, ForeignKey("messages.id")),
    Column("position", BigInteger, nullable=False),
    Column("created_at", TIME, nullable=False),
    Index("ix_attachments_hash", "hash"),
    Index("ix_attachments_owner_id_size", "owner_id", "size"),
    Index("ix_attachments_message_id_position", "message_id", "position", sqlite_where=text("message_id IS NOT NULL")),
    Index("ix_attachments_unsent", "created_at", sqlite_where=text("message_id IS NULL")),
)

blocks = Table(
    "blocks",
    metadata,
    user_column(primary_key=True),
    user_column("blocked_id", primary_key=True),
    Column("created_at", TIME, nullable=False),
    CheckConstraint("user_id <> blocked_id", name="not_self"),
    Index("ix_blocks_blocked_id", "blocked_id"),
)

presence_settings = Table(
    "presence_settings",
    metadata,
    user_column(primary_key=True),
    flag_column("invisible"),
    Column("last_seen_at", TIME),
)
