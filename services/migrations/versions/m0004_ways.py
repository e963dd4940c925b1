"""Ways out: preferences, push subscriptions, confirmed addresses, and what is to be sent; notifications keep why."""

from alembic import op

revision = "0004"
down_revision = "0003"

_STATEMENTS = (
    """
    CREATE TABLE preferences (
        user_id VARCHAR(36) NOT NULL,
        choices TEXT NOT NULL,
        quiet TEXT,
        updated_at BIGINT NOT NULL,
        CONSTRAINT pk_preferences PRIMARY KEY (user_id),
        CONSTRAINT fk_preferences_user_id FOREIGN KEY(user_id) REFERENCES users (id)
    )
    """,
    """
    CREATE TABLE subscriptions (
        id VARCHAR(36) NOT NULL,
        user_id VARCHAR(36) NOT NULL,
        login_id VARCHAR(36) NOT NULL,
        endpoint VARCHAR(1000) NOT NULL,
        p256dh VARCHAR(88) NOT NULL,
        auth VARCHAR(24) NOT NULL,
        resume_at BIGINT,
        created_at BIGINT NOT NULL,
        renewed_at BIGINT NOT NULL,
        CONSTRAINT pk_subscriptions PRIMARY KEY (id),
        CONSTRAINT fk_subscriptions_user_id FOREIGN KEY(user_id) REFERENCES users (id),
        CONSTRAINT fk_subscriptions_login_id FOREIGN KEY(login_id) REFERENCES logins (id) ON DELETE CASCADE,
        CONSTRAINT uq_subscriptions_endpoint UNIQUE (endpoint)
    )
    """,
    """
    CREATE INDEX ix_subscriptions_login_id ON subscriptions (login_id)
    """,
    """
    CREATE INDEX ix_subscriptions_user_id ON subscriptions (user_id)
    """,
    """
    CREATE TABLE addresses (
        user_id VARCHAR(36) NOT NULL,
        email VARCHAR(254) NOT NULL,
        confirmed_at BIGINT NOT NULL,
        CONSTRAINT pk_addresses PRIMARY KEY (user_id),
        CONSTRAINT fk_addresses_user_id FOREIGN KEY(user_id) REFERENCES users (id)
    )
    """,
    """
    CREATE TABLE pushes (
        id VARCHAR(36) NOT NULL,
        user_id VARCHAR(36) NOT NULL,
        notification_id VARCHAR(36),
        way VARCHAR(8) NOT NULL CONSTRAINT ck_pushes_way CHECK (way IN ('push','email')),
        subscription_id VARCHAR(36),
        due_at BIGINT,
        tries BIGINT DEFAULT '0' NOT NULL,
        looks BIGINT DEFAULT '0' NOT NULL,
        fate VARCHAR(8) DEFAULT 'waiting' NOT NULL,
        reason VARCHAR(32),
        created_at BIGINT NOT NULL,
        done_at BIGINT,
        CONSTRAINT pk_pushes PRIMARY KEY (id),
        CONSTRAINT ck_pushes_fate CHECK (fate IN ('waiting','sent','skipped','failed')),
        CONSTRAINT ck_pushes_due CHECK ((fate = 'waiting') = (due_at IS NOT NULL)),
        CONSTRAINT fk_pushes_user_id FOREIGN KEY(user_id) REFERENCES users (id),
        CONSTRAINT fk_pushes_notification_id FOREIGN KEY(notification_id) REFERENCES notifications (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE INDEX ix_pushes_created_at ON pushes (created_at)
    """,
    """
    CREATE INDEX ix_pushes_due_at ON pushes (due_at) WHERE due_at IS NOT NULL
    """,
    """
    CREATE INDEX ix_pushes_notification_id ON pushes (notification_id)
    """,
    "ALTER TABLE notifications ADD COLUMN hidden BIGINT DEFAULT '0' NOT NULL CONSTRAINT ck_notifications_hidden CHECK (hidden IN (0, 1))",
    "ALTER TABLE notifications ADD COLUMN by_push VARCHAR(16)",
    "ALTER TABLE notifications ADD COLUMN by_email VARCHAR(16)",
)


def upgrade() -> None:
    """Make the tables, empty; of what is older nobody knows why it went out."""
    for statement in _STATEMENTS:
        op.execute(statement)
