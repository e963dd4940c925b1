"""Conversations, their members and messages, attachments, blocks, presence."""

from alembic import op

revision = "0003"
down_revision = "0002"

_STATEMENTS = (
    """
    CREATE TABLE conversations (
        id VARCHAR(36) NOT NULL,
        kind VARCHAR(8) NOT NULL CONSTRAINT ck_conversations_kind CHECK (kind IN ('direct','group')),
        title VARCHAR(80),
        pair VARCHAR(73),
        maker_id VARCHAR(36) NOT NULL,
        last_seq BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        CONSTRAINT pk_conversations PRIMARY KEY (id),
        CONSTRAINT ck_conversations_pair CHECK ((kind = 'direct') = (pair IS NOT NULL)),
        CONSTRAINT ck_conversations_title CHECK (kind = 'group' OR title IS NULL),
        CONSTRAINT uq_conversations_pair UNIQUE (pair),
        CONSTRAINT fk_conversations_maker_id FOREIGN KEY(maker_id) REFERENCES users (id)
    )
    """,
    """
    CREATE TABLE members (
        conversation_id VARCHAR(36) NOT NULL,
        user_id VARCHAR(36) NOT NULL,
        from_seq BIGINT NOT NULL,
        read_seq BIGINT NOT NULL,
        delivered_seq BIGINT NOT NULL,
        activity BIGINT NOT NULL,
        unread BIGINT NOT NULL CONSTRAINT ck_members_unread CHECK (unread >= 0),
        muted BIGINT NOT NULL CONSTRAINT ck_members_muted CHECK (muted IN (0, 1)),
        looked_at BIGINT NOT NULL,
        notify_at BIGINT,
        joined_at BIGINT NOT NULL,
        CONSTRAINT pk_members PRIMARY KEY (conversation_id, user_id),
        CONSTRAINT fk_members_conversation_id FOREIGN KEY(conversation_id) REFERENCES conversations (id),
        CONSTRAINT fk_members_user_id FOREIGN KEY(user_id) REFERENCES users (id)
    )
    """,
    """
    CREATE INDEX ix_members_notify_at ON members (notify_at) WHERE notify_at IS NOT NULL
    """,
    """
    CREATE INDEX ix_members_unread ON members (user_id, unread) WHERE unread > 0 AND muted = 0
    """,
    """
    CREATE INDEX ix_members_user_id_activity ON members (user_id, activity)
    """,
    """
    CREATE TABLE messages (
        id VARCHAR(36) NOT NULL,
        conversation_id VARCHAR(36) NOT NULL,
        seq BIGINT NOT NULL,
        sender_id VARCHAR(36) NOT NULL,
        type VARCHAR(8) NOT NULL CONSTRAINT ck_messages_type CHECK (type IN ('text','image','file')),
        content TEXT NOT NULL,
        reply_to VARCHAR(36),
        client_message_id VARCHAR(64),
        created_at BIGINT NOT NULL,
        edited_at BIGINT,
        deleted_at BIGINT,
        CONSTRAINT pk_messages PRIMARY KEY (id),
        CONSTRAINT ck_messages_deleted CHECK (deleted_at IS NULL OR content = ''),
        CONSTRAINT uq_messages_conversation_id_seq UNIQUE (conversation_id, seq),
        CONSTRAINT fk_messages_conversation_id FOREIGN KEY(conversation_id) REFERENCES conversations (id),
        CONSTRAINT fk_messages_sender_id FOREIGN KEY(sender_id) REFERENCES users (id),
        CONSTRAINT fk_messages_reply_to FOREIGN KEY(reply_to) REFERENCES messages (id)
    )
    """,
    """
    CREATE UNIQUE INDEX uq_messages_client_message_id ON messages (conversation_id, sender_id, client_message_id) WHERE client_message_id IS NOT NULL
    """,
    """
    CREATE TABLE attachments (
        id VARCHAR(36) NOT NULL,
        owner_id VARCHAR(36) NOT NULL,
        hash VARCHAR(64) NOT NULL,
        name VARCHAR(200) NOT NULL,
        type VARCHAR(100) NOT NULL,
        size BIGINT NOT NULL CONSTRAINT ck_attachments_size CHECK (size > 0),
        width BIGINT,
        height BIGINT,
        thumbnail BIGINT NOT NULL CONSTRAINT ck_attachments_thumbnail CHECK (thumbnail IN (0, 1)),
        message_id VARCHAR(36),
        place BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        CONSTRAINT pk_attachments PRIMARY KEY (id),
        CONSTRAINT fk_attachments_owner_id FOREIGN KEY(owner_id) REFERENCES users (id),
        CONSTRAINT fk_attachments_message_id FOREIGN KEY(message_id) REFERENCES messages (id)
    )
    """,
    """
    CREATE INDEX ix_attachments_hash ON attachments (hash)
    """,
    """
    CREATE INDEX ix_attachments_message_id_place ON attachments (message_id, place) WHERE message_id IS NOT NULL
    """,
    """
    CREATE INDEX ix_attachments_owner_id_size ON attachments (owner_id, size)
    """,
    """
    CREATE INDEX ix_attachments_unsent ON attachments (created_at) WHERE message_id IS NULL
    """,
    """
    CREATE TABLE blocks (
        user_id VARCHAR(36) NOT NULL,
        blocked_id VARCHAR(36) NOT NULL,
        created_at BIGINT NOT NULL,
        CONSTRAINT pk_blocks PRIMARY KEY (user_id, blocked_id),
        CONSTRAINT ck_blocks_another CHECK (user_id <> blocked_id),
        CONSTRAINT fk_blocks_user_id FOREIGN KEY(user_id) REFERENCES users (id),
        CONSTRAINT fk_blocks_blocked_id FOREIGN KEY(blocked_id) REFERENCES users (id)
    )
    """,
    """
    CREATE INDEX ix_blocks_blocked_id ON blocks (blocked_id)
    """,
    """
    CREATE TABLE presences (
        user_id VARCHAR(36) NOT NULL,
        invisible BIGINT NOT NULL CONSTRAINT ck_presences_invisible CHECK (invisible IN (0, 1)),
        last_seen_at BIGINT,
        CONSTRAINT pk_presences PRIMARY KEY (user_id),
        CONSTRAINT fk_presences_user_id FOREIGN KEY(user_id) REFERENCES users (id)
    )
    """,
)


def upgrade() -> None:
    """Make the tables, empty."""
    for statement in _STATEMENTS:
        op.execute(statement)
