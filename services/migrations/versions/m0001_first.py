"""The first form of the store."""

import secrets

from alembic import op

revision = "0001"
down_revision = None

_STATEMENTS = (
    """
    CREATE TABLE announcements (
        id VARCHAR(36) NOT NULL,
        title VARCHAR(200) NOT NULL,
        body VARCHAR(2000) NOT NULL,
        url VARCHAR(500),
        priority VARCHAR(8) NOT NULL,
        created_at BIGINT NOT NULL,
        expires_at BIGINT,
        CONSTRAINT pk_announcements PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE answers (
        caller VARCHAR(80) NOT NULL,
        "key" VARCHAR(255) NOT NULL,
        digest BLOB NOT NULL,
        body BLOB NOT NULL,
        created_at BIGINT NOT NULL,
        CONSTRAINT pk_answers PRIMARY KEY (caller, "key")
    )
    """,
    """
    CREATE INDEX ix_answers_created_at ON answers (created_at)
    """,
    """
    CREATE TABLE api_keys (
        id VARCHAR(36) NOT NULL,
        name VARCHAR(80) NOT NULL,
        hash BLOB NOT NULL,
        scopes TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        revoked_at BIGINT,
        CONSTRAINT pk_api_keys PRIMARY KEY (id),
        CONSTRAINT uq_api_keys_hash UNIQUE (hash)
    )
    """,
    """
    CREATE UNIQUE INDEX uq_api_keys_live_name ON api_keys (name) WHERE revoked_at IS NULL
    """,
    """
    CREATE TABLE counter (
        id BIGINT NOT NULL CONSTRAINT ck_counter_one_row CHECK (id = 1),
        epoch VARCHAR(16) NOT NULL,
        position BIGINT NOT NULL,
        CONSTRAINT pk_counter PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE events (
        position BIGINT NOT NULL,
        channel VARCHAR(80) NOT NULL,
        type VARCHAR(64) NOT NULL,
        data BLOB NOT NULL,
        subject VARCHAR(36),
        created_at BIGINT NOT NULL,
        CONSTRAINT pk_events PRIMARY KEY (position)
    )
    """,
    """
    CREATE INDEX ix_events_channel_position ON events (channel, position)
    """,
    """
    CREATE INDEX ix_events_created_at ON events (created_at)
    """,
    """
    CREATE INDEX ix_events_subject ON events (subject) WHERE subject IS NOT NULL
    """,
    """
    CREATE TABLE trims (
        channel VARCHAR(80) NOT NULL,
        position BIGINT NOT NULL,
        CONSTRAINT pk_trims PRIMARY KEY (channel)
    )
    """,
    """
    CREATE TABLE users (
        id VARCHAR(36) NOT NULL,
        email VARCHAR(254),
        external_id VARCHAR(128),
        name VARCHAR(80) NOT NULL,
        role VARCHAR(16) NOT NULL CONSTRAINT ck_users_role CHECK (role IN ('client', 'freelancer', 'admin')),
        skills TEXT DEFAULT '[]' NOT NULL,
        password_hash VARCHAR(255),
        disabled_at BIGINT,
        created_at BIGINT NOT NULL,
        CONSTRAINT pk_users PRIMARY KEY (id),
        CONSTRAINT uq_users_email UNIQUE (email),
        CONSTRAINT uq_users_external_id UNIQUE (external_id)
    )
    """,
    """
    CREATE TABLE inboxes (
        user_id VARCHAR(36) NOT NULL,
        seq BIGINT NOT NULL,
        unread BIGINT NOT NULL CONSTRAINT ck_inboxes_unread CHECK (unread >= 0),
        unseen BIGINT NOT NULL CONSTRAINT ck_inboxes_unseen CHECK (unseen >= 0),
        CONSTRAINT pk_inboxes PRIMARY KEY (user_id),
        CONSTRAINT fk_inboxes_user_id FOREIGN KEY(user_id) REFERENCES users (id)
    )
    """,
    """
    CREATE TABLE jobs (
        id VARCHAR(36) NOT NULL,
        owner_id VARCHAR(36) NOT NULL,
        title VARCHAR(120) NOT NULL,
        description TEXT NOT NULL,
        budget BIGINT NOT NULL CONSTRAINT ck_jobs_budget CHECK (budget > 0),
        currency VARCHAR(3) NOT NULL,
        category VARCHAR(40),
        skills TEXT DEFAULT '[]' NOT NULL,
        status VARCHAR(16) NOT NULL,
        bid_count BIGINT DEFAULT '0' NOT NULL CONSTRAINT ck_jobs_bid_count CHECK (bid_count >= 0),
        hired_bid_id VARCHAR(36),
        hired_at BIGINT,
        expires_at BIGINT,
        instant_accept BIGINT NOT NULL CONSTRAINT ck_jobs_instant_accept CHECK (instant_accept IN (0, 1)),
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        quiet_until BIGINT DEFAULT '0' NOT NULL,
        untold BIGINT NOT NULL CONSTRAINT ck_jobs_untold CHECK (untold IN (0, 1)),
        CONSTRAINT pk_jobs PRIMARY KEY (id),
        CONSTRAINT ck_jobs_status CHECK (status IN ('open','assigned','in_progress','submitted','completed','cancelled','expired')),
        CONSTRAINT ck_jobs_hired_pair CHECK ((hired_bid_id IS NULL) = (hired_at IS NULL)),
        CONSTRAINT ck_jobs_hired_has_bid CHECK (status NOT IN ('assigned','in_progress','submitted','completed') OR hired_bid_id IS NOT NULL),
        CONSTRAINT ck_jobs_open_has_no_bid CHECK (status NOT IN ('open','expired') OR hired_bid_id IS NULL),
        CONSTRAINT fk_jobs_id_hired_bid_id FOREIGN KEY(id, hired_bid_id) REFERENCES bids (job_id, id),
        CONSTRAINT uq_jobs_id_hired_bid_id UNIQUE (id, hired_bid_id),
        CONSTRAINT fk_jobs_owner_id FOREIGN KEY(owner_id) REFERENCES users (id)
    )
    """,
    """
    CREATE INDEX ix_jobs_category_id ON jobs (category, id)
    """,
    """
    CREATE INDEX ix_jobs_category_status_id ON jobs (category, status, id)
    """,
    """
    CREATE INDEX ix_jobs_owner_id_id ON jobs (owner_id, id)
    """,
    """
    CREATE INDEX ix_jobs_status_id ON jobs (status, id)
    """,
    """
    CREATE INDEX ix_jobs_untold ON jobs (quiet_until) WHERE untold = 1
    """,
    """
    CREATE TABLE logins (
        id VARCHAR(36) NOT NULL,
        user_id VARCHAR(36) NOT NULL,
        user_agent VARCHAR(200),
        address VARCHAR(64),
        created_at BIGINT NOT NULL,
        used_at BIGINT NOT NULL,
        CONSTRAINT pk_logins PRIMARY KEY (id),
        CONSTRAINT fk_logins_user_id FOREIGN KEY(user_id) REFERENCES users (id)
    )
    """,
    """
    CREATE INDEX ix_logins_used_at ON logins (used_at)
    """,
    """
    CREATE INDEX ix_logins_user_id ON logins (user_id)
    """,
    """
    CREATE TABLE notifications (
        id VARCHAR(36) NOT NULL,
        user_id VARCHAR(36) NOT NULL,
        seq BIGINT NOT NULL,
        type VARCHAR(64) NOT NULL,
        category VARCHAR(16) NOT NULL,
        priority VARCHAR(8) NOT NULL,
        title VARCHAR(200) NOT NULL,
        body VARCHAR(2000) NOT NULL,
        data TEXT NOT NULL,
        url VARCHAR(500),
        icon VARCHAR(16),
        actions TEXT DEFAULT '[]' NOT NULL,
        collapse_key VARCHAR(64),
        count BIGINT DEFAULT '1' NOT NULL,
        created_at BIGINT NOT NULL,
        expires_at BIGINT,
        seen_at BIGINT,
        read_at BIGINT,
        archived_at BIGINT,
        expired_at BIGINT,
        read_change BIGINT,
        read_before BIGINT,
        seen_before BIGINT,
        archive_change BIGINT,
        archived_before BIGINT,
        CONSTRAINT pk_notifications PRIMARY KEY (id),
        CONSTRAINT ck_notifications_category CHECK (category IN ('job','bid','hire','message','comment','payment','system')),
        CONSTRAINT ck_notifications_priority CHECK (priority IN ('low','normal','high','urgent')),
        CONSTRAINT uq_notifications_user_id_seq UNIQUE (user_id, seq),
        CONSTRAINT fk_notifications_user_id FOREIGN KEY(user_id) REFERENCES users (id)
    )
    """,
    """
    CREATE INDEX ix_notifications_collapse ON notifications (user_id, collapse_key, read_at, archived_at, expired_at) WHERE collapse_key IS NOT NULL
    """,
    """
    CREATE INDEX ix_notifications_created_at ON notifications (created_at)
    """,
    """
    CREATE INDEX ix_notifications_expiry ON notifications (expires_at) WHERE expires_at IS NOT NULL AND expired_at IS NULL
    """,
    """
    CREATE INDEX ix_notifications_unread ON notifications (user_id, seq) WHERE read_at IS NULL AND archived_at IS NULL AND expired_at IS NULL
    """,
    """
    CREATE INDEX ix_notifications_visible ON notifications (user_id, seq) WHERE archived_at IS NULL AND expired_at IS NULL
    """,
    """
    CREATE TABLE undos (
        id VARCHAR(36) NOT NULL,
        user_id VARCHAR(36) NOT NULL,
        verb VARCHAR(16) NOT NULL,
        change BIGINT NOT NULL,
        first_seq BIGINT NOT NULL,
        last_seq BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        CONSTRAINT pk_undos PRIMARY KEY (id),
        CONSTRAINT fk_undos_user_id FOREIGN KEY(user_id) REFERENCES users (id)
    )
    """,
    """
    CREATE INDEX ix_undos_created_at ON undos (created_at)
    """,
    """
    CREATE TABLE bids (
        id VARCHAR(36) NOT NULL,
        job_id VARCHAR(36) NOT NULL,
        freelancer_id VARCHAR(36) NOT NULL,
        message VARCHAR(5000) NOT NULL,
        price BIGINT NOT NULL CONSTRAINT ck_bids_price CHECK (price > 0),
        status VARCHAR(16) NOT NULL,
        created_at BIGINT NOT NULL,
        hired_at BIGINT,
        rejected_at BIGINT,
        hired_for VARCHAR(36) GENERATED ALWAYS AS (CASE WHEN status = 'hired' THEN job_id END) STORED,
        CONSTRAINT pk_bids PRIMARY KEY (id),
        CONSTRAINT ck_bids_status CHECK (status IN ('pending','hired','rejected','withdrawn')),
        CONSTRAINT ck_bids_hired_time CHECK ((status = 'hired') = (hired_at IS NOT NULL)),
        CONSTRAINT ck_bids_rejected_time CHECK ((status = 'rejected') = (rejected_at IS NOT NULL)),
        CONSTRAINT fk_bids_hired_for_id FOREIGN KEY(hired_for, id) REFERENCES jobs (id, hired_bid_id),
        CONSTRAINT uq_bids_job_id_id UNIQUE (job_id, id),
        CONSTRAINT fk_bids_job_id FOREIGN KEY(job_id) REFERENCES jobs (id),
        CONSTRAINT fk_bids_freelancer_id FOREIGN KEY(freelancer_id) REFERENCES users (id)
    )
    """,
    """
    CREATE INDEX ix_bids_freelancer_id_id ON bids (freelancer_id, id)
    """,
    """
    CREATE UNIQUE INDEX uq_bids_one_hired ON bids (job_id) WHERE status = 'hired'
    """,
    """
    CREATE UNIQUE INDEX uq_bids_one_pending ON bids (job_id, freelancer_id) WHERE status = 'pending'
    """,
)


def upgrade() -> None:
    """Make every table, and the counter row with an epoch of its own."""
    for statement in _STATEMENTS:
        op.execute(statement)
    op.execute(f"INSERT INTO counter (id, epoch, position) VALUES (1, '{secrets.token_hex(4)}', 0)")
