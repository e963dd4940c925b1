-- The schema of revision 0100, generated from services/tables. A blank line separates statements.
CREATE TABLE event_counter (
    id BIGINT NOT NULL CONSTRAINT ck_event_counter_one_row CHECK (id = 1),
    epoch VARCHAR(16) NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_event_counter PRIMARY KEY (id)
);

CREATE TABLE events (
    position BIGINT NOT NULL,
    channel VARCHAR(80) NOT NULL,
    type VARCHAR(64) NOT NULL,
    data BLOB NOT NULL,
    subject VARCHAR(36),
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_events PRIMARY KEY (position)
);

CREATE INDEX ix_events_channel_position ON events (channel, position);

CREATE INDEX ix_events_subject ON events (subject) WHERE subject IS NOT NULL;

CREATE INDEX ix_events_created_at ON events (created_at);

CREATE TABLE trim_marks (
    channel VARCHAR(80) NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_trim_marks PRIMARY KEY (channel)
);

CREATE TABLE idempotent_responses (
    caller VARCHAR(80) NOT NULL,
    "key" VARCHAR(255) NOT NULL,
    digest BLOB NOT NULL,
    body BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_idempotent_responses PRIMARY KEY (caller, "key")
);

CREATE INDEX ix_idempotent_responses_created_at ON idempotent_responses (created_at);

CREATE TABLE skills (
    name VARCHAR(40) COLLATE "NOCASE" NOT NULL,
    jobs BIGINT NOT NULL CONSTRAINT ck_skills_jobs CHECK (jobs >= 0),
    CONSTRAINT pk_skills PRIMARY KEY (name)
);

CREATE TABLE announcements (
    id VARCHAR(36) NOT NULL,
    title VARCHAR(200) NOT NULL,
    body VARCHAR(2000) NOT NULL,
    url VARCHAR(500),
    priority VARCHAR(8) NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    CONSTRAINT pk_announcements PRIMARY KEY (id)
);

CREATE TABLE ledger_settings (
    id BIGINT NOT NULL CONSTRAINT ck_ledger_settings_one_row CHECK (id = 1),
    currency VARCHAR(3) NOT NULL,
    CONSTRAINT pk_ledger_settings PRIMARY KEY (id)
);

CREATE TABLE freezes (
    id BIGINT NOT NULL CONSTRAINT ck_freezes_one_row CHECK (id = 1),
    since BIGINT NOT NULL,
    reason TEXT NOT NULL,
    CONSTRAINT pk_freezes PRIMARY KEY (id)
);

CREATE TABLE statistics (
    id BIGINT NOT NULL CONSTRAINT ck_statistics_one_row CHECK (id = 1),
    open_jobs BIGINT NOT NULL,
    hires BIGINT NOT NULL,
    completed BIGINT NOT NULL,
    paid_out BIGINT NOT NULL,
    CONSTRAINT pk_statistics PRIMARY KEY (id)
);

CREATE TABLE users (
    id VARCHAR(36) NOT NULL,
    email VARCHAR(254),
    external_id VARCHAR(128),
    name VARCHAR(80) NOT NULL,
    role VARCHAR(16) NOT NULL CONSTRAINT ck_users_role CHECK (role = 'client' OR role = 'freelancer' OR role = 'admin'),
    skills TEXT DEFAULT '[]' NOT NULL,
    password_hash VARCHAR(255),
    disabled_at BIGINT,
    created_at BIGINT NOT NULL,
    jobs_done BIGINT DEFAULT '0' NOT NULL CONSTRAINT ck_users_jobs_done CHECK (jobs_done >= 0),
    CONSTRAINT pk_users PRIMARY KEY (id),
    CONSTRAINT uq_users_email UNIQUE (email),
    CONSTRAINT uq_users_external_id UNIQUE (external_id)
);

CREATE TABLE api_keys (
    id VARCHAR(36) NOT NULL,
    name VARCHAR(80) NOT NULL,
    hash BLOB NOT NULL,
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT,
    CONSTRAINT pk_api_keys PRIMARY KEY (id),
    CONSTRAINT uq_api_keys_hash UNIQUE (hash)
);

CREATE UNIQUE INDEX uq_api_keys_active_name ON api_keys (name) WHERE revoked_at IS NULL;

CREATE TABLE preferences (
    user_id VARCHAR(36) NOT NULL,
    choices TEXT NOT NULL,
    quiet_hours TEXT,
    updated_at BIGINT NOT NULL,
    CONSTRAINT pk_preferences PRIMARY KEY (user_id),
    CONSTRAINT fk_preferences_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE TABLE verified_emails (
    user_id VARCHAR(36) NOT NULL,
    email VARCHAR(254) NOT NULL,
    confirmed_at BIGINT NOT NULL,
    CONSTRAINT pk_verified_emails PRIMARY KEY (user_id),
    CONSTRAINT fk_verified_emails_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE TABLE jobs (
    seq INTEGER NOT NULL,
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
    held BIGINT NOT NULL,
    accepted_at BIGINT,
    due_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    publish_after BIGINT DEFAULT '0' NOT NULL,
    has_unpublished_changes BIGINT NOT NULL CONSTRAINT ck_jobs_has_unpublished_changes CHECK (has_unpublished_changes IN (0, 1)),
    CONSTRAINT pk_jobs PRIMARY KEY (seq),
    CONSTRAINT ck_jobs_status CHECK (status = 'open' OR status = 'assigned' OR status = 'in_progress' OR status = 'submitted' OR status = 'completed' OR status = 'cancelled' OR status = 'expired' OR status = 'deleted'),
    CONSTRAINT ck_jobs_open_holds_budget CHECK (status <> 'open' OR held = budget),
    CONSTRAINT ck_jobs_active_holds_price CHECK (status <> 'assigned' AND status <> 'in_progress' AND status <> 'submitted' OR held > 0),
    CONSTRAINT ck_jobs_closed_holds_nothing CHECK (status <> 'completed' AND status <> 'cancelled' AND status <> 'expired' AND status <> 'deleted' OR held = 0),
    CONSTRAINT ck_jobs_due CHECK (due_at IS NULL OR status IN ('open','submitted')),
    CONSTRAINT ck_jobs_hired_at_with_bid CHECK ((hired_bid_id IS NULL) = (hired_at IS NULL)),
    CONSTRAINT ck_jobs_hired_has_bid CHECK (status <> 'assigned' AND status <> 'in_progress' AND status <> 'submitted' AND status <> 'completed' OR hired_bid_id IS NOT NULL),
    CONSTRAINT ck_jobs_open_has_no_bid CHECK (status <> 'open' AND status <> 'expired' AND status <> 'deleted' OR hired_bid_id IS NULL),
    CONSTRAINT fk_jobs_id_hired_bid_id FOREIGN KEY(id, hired_bid_id) REFERENCES bids (job_id, id),
    CONSTRAINT uq_jobs_id_hired_bid_id UNIQUE (id, hired_bid_id),
    CONSTRAINT uq_jobs_id UNIQUE (id),
    CONSTRAINT fk_jobs_owner_id FOREIGN KEY(owner_id) REFERENCES users (id)
);

CREATE INDEX ix_jobs_due_at ON jobs (due_at) WHERE due_at IS NOT NULL;

CREATE INDEX ix_jobs_unpublished ON jobs (publish_after) WHERE has_unpublished_changes = 1;

CREATE INDEX ix_jobs_owner_id_status ON jobs (owner_id, status);

CREATE VIRTUAL TABLE job_index USING fts5(title, description, skills, facets,
        content='', columnsize=0, prefix='3', tokenize='unicode61 remove_diacritics 2');

CREATE VIRTUAL TABLE job_terms USING fts5vocab('job_index', 'instance');

CREATE TRIGGER jobs_indexed AFTER INSERT ON jobs BEGIN
        INSERT INTO job_index (rowid, title, description, skills, facets)
        SELECT NEW.seq, NEW.title, NEW.description, NEW.skills,
            'all o' || replace(NEW.owner_id, '-', '')
            || coalesce(' c' || hex(NEW.category), '')
            || coalesce((SELECT group_concat(' k' || hex(lower(value)), '') FROM json_each(NEW.skills)), '')
            || ' ' || char(57344) || replace(NEW.status, '_', '')
            || (WITH RECURSIVE octal(text, size) AS
                    (SELECT printf('%o', NEW.budget), char(96 + length(printf('%o', NEW.budget)))),
                prefix(length) AS (SELECT 0 UNION ALL
                    SELECT length + 1 FROM prefix, octal WHERE length < length(text))
                SELECT group_concat(' ' || char(57345) || size || substr(text, 1, length), '')
                FROM prefix, octal)
        WHERE NEW.status <> 'deleted';
        INSERT INTO skills (name, jobs) SELECT value, 1 FROM json_each(NEW.skills)
        WHERE NEW.status <> 'deleted' ON CONFLICT (name) DO UPDATE SET jobs = jobs + 1;
        END;

CREATE TRIGGER jobs_reindexed AFTER UPDATE OF title, description, skills, category, status ON jobs
        WHEN (OLD.title, OLD.description, OLD.skills, OLD.category, OLD.status = 'deleted')
            IS NOT (NEW.title, NEW.description, NEW.skills, NEW.category, NEW.status = 'deleted') BEGIN
        INSERT INTO job_index (job_index, rowid, title, description, skills, facets)
        SELECT 'delete', OLD.seq, OLD.title, OLD.description, OLD.skills,
            'all o' || replace(OLD.owner_id, '-', '')
            || coalesce(' c' || hex(OLD.category), '')
            || coalesce((SELECT group_concat(' k' || hex(lower(value)), '') FROM json_each(OLD.skills)), '')
            || ' ' || char(57344) || replace(OLD.status, '_', '')
            || (WITH RECURSIVE octal(text, size) AS
                    (SELECT printf('%o', OLD.budget), char(96 + length(printf('%o', OLD.budget)))),
                prefix(length) AS (SELECT 0 UNION ALL
                    SELECT length + 1 FROM prefix, octal WHERE length < length(text))
                SELECT group_concat(' ' || char(57345) || size || substr(text, 1, length), '')
                FROM prefix, octal)
        WHERE OLD.status <> 'deleted';
        INSERT INTO job_index (rowid, title, description, skills, facets)
        SELECT NEW.seq, NEW.title, NEW.description, NEW.skills,
            'all o' || replace(NEW.owner_id, '-', '')
            || coalesce(' c' || hex(NEW.category), '')
            || coalesce((SELECT group_concat(' k' || hex(lower(value)), '') FROM json_each(NEW.skills)), '')
            || ' ' || char(57344) || replace(NEW.status, '_', '')
            || (WITH RECURSIVE octal(text, size) AS
                    (SELECT printf('%o', NEW.budget), char(96 + length(printf('%o', NEW.budget)))),
                prefix(length) AS (SELECT 0 UNION ALL
                    SELECT length + 1 FROM prefix, octal WHERE length < length(text))
                SELECT group_concat(' ' || char(57345) || size || substr(text, 1, length), '')
                FROM prefix, octal)
        WHERE NEW.status <> 'deleted';
        END;

CREATE TRIGGER jobs_indexed_status AFTER UPDATE OF status ON jobs
        WHEN OLD.status <> NEW.status
            AND (OLD.title, OLD.description, OLD.skills, OLD.category, OLD.status = 'deleted')
            IS (NEW.title, NEW.description, NEW.skills, NEW.category, NEW.status = 'deleted') BEGIN
        INSERT INTO job_index (job_index, rowid, facets)
        SELECT 'delete', OLD.seq, char(57344) || replace(OLD.status, '_', '')
        WHERE OLD.status <> 'deleted';
        INSERT INTO job_index (rowid, facets)
        SELECT NEW.seq, char(57344) || replace(NEW.status, '_', '')
        WHERE NEW.status <> 'deleted';
        END;

CREATE TRIGGER jobs_indexed_budget AFTER UPDATE OF budget ON jobs
        WHEN OLD.budget <> NEW.budget
            AND (OLD.title, OLD.description, OLD.skills, OLD.category, OLD.status = 'deleted')
            IS (NEW.title, NEW.description, NEW.skills, NEW.category, NEW.status = 'deleted') BEGIN
        INSERT INTO job_index (job_index, rowid, facets)
        SELECT 'delete', OLD.seq, (WITH RECURSIVE octal(text, size) AS
                    (SELECT printf('%o', OLD.budget), char(96 + length(printf('%o', OLD.budget)))),
                prefix(length) AS (SELECT 0 UNION ALL
                    SELECT length + 1 FROM prefix, octal WHERE length < length(text))
                SELECT group_concat(' ' || char(57345) || size || substr(text, 1, length), '')
                FROM prefix, octal)
        WHERE OLD.status <> 'deleted';
        INSERT INTO job_index (rowid, facets)
        SELECT NEW.seq, (WITH RECURSIVE octal(text, size) AS
                    (SELECT printf('%o', NEW.budget), char(96 + length(printf('%o', NEW.budget)))),
                prefix(length) AS (SELECT 0 UNION ALL
                    SELECT length + 1 FROM prefix, octal WHERE length < length(text))
                SELECT group_concat(' ' || char(57345) || size || substr(text, 1, length), '')
                FROM prefix, octal)
        WHERE NEW.status <> 'deleted';
        END;

CREATE TRIGGER jobs_skills_changed AFTER UPDATE OF skills, status ON jobs
        WHEN OLD.skills <> NEW.skills OR (OLD.status = 'deleted') <> (NEW.status = 'deleted') BEGIN
        UPDATE skills SET jobs = jobs - counted.times FROM
            (SELECT value COLLATE NOCASE AS name, count(*) AS times FROM json_each(OLD.skills) GROUP BY 1) AS counted
        WHERE skills.name = counted.name AND OLD.status <> 'deleted';
        DELETE FROM skills WHERE jobs = 0 AND name IN (SELECT value FROM json_each(OLD.skills));
        INSERT INTO skills (name, jobs) SELECT value, 1 FROM json_each(NEW.skills)
        WHERE NEW.status <> 'deleted' ON CONFLICT (name) DO UPDATE SET jobs = jobs + 1;
        END;

CREATE TRIGGER jobs_counted AFTER INSERT ON jobs BEGIN
        UPDATE statistics SET open_jobs = open_jobs + (NEW.status = 'open'),
            hires = hires + (NEW.hired_bid_id IS NOT NULL), completed = completed + (NEW.status = 'completed');
        END;

CREATE TRIGGER jobs_recounted AFTER UPDATE OF status, hired_bid_id ON jobs BEGIN
        UPDATE statistics SET open_jobs = open_jobs + (NEW.status = 'open') - (OLD.status = 'open'),
            hires = hires + (NEW.hired_bid_id IS NOT NULL) - (OLD.hired_bid_id IS NOT NULL),
            completed = completed + (NEW.status = 'completed') - (OLD.status = 'completed');
        END;

CREATE TRIGGER jobs_completed AFTER UPDATE OF status ON jobs
        WHEN NEW.status = 'completed' AND OLD.status <> 'completed' BEGIN
        UPDATE users SET jobs_done = jobs_done + 1
            WHERE id IN (NEW.owner_id, (SELECT freelancer_id FROM bids WHERE id = NEW.hired_bid_id));
        END;

CREATE TABLE conversations (
    id VARCHAR(36) NOT NULL,
    kind VARCHAR(8) NOT NULL CONSTRAINT ck_conversations_kind CHECK (kind IN ('direct','group')),
    title VARCHAR(80),
    direct_key VARCHAR(73),
    creator_id VARCHAR(36) NOT NULL,
    last_seq BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT pk_conversations PRIMARY KEY (id),
    CONSTRAINT ck_conversations_direct_key CHECK ((kind = 'direct') = (direct_key IS NOT NULL)),
    CONSTRAINT ck_conversations_title CHECK (kind = 'group' OR title IS NULL),
    CONSTRAINT uq_conversations_direct_key UNIQUE (direct_key),
    CONSTRAINT fk_conversations_creator_id FOREIGN KEY(creator_id) REFERENCES users (id)
);

CREATE TABLE blocks (
    user_id VARCHAR(36) NOT NULL,
    blocked_id VARCHAR(36) NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_blocks PRIMARY KEY (user_id, blocked_id),
    CONSTRAINT ck_blocks_not_self CHECK (user_id <> blocked_id),
    CONSTRAINT fk_blocks_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT fk_blocks_blocked_id FOREIGN KEY(blocked_id) REFERENCES users (id)
);

CREATE INDEX ix_blocks_blocked_id ON blocks (blocked_id);

CREATE TABLE presence_settings (
    user_id VARCHAR(36) NOT NULL,
    invisible BIGINT NOT NULL CONSTRAINT ck_presence_settings_invisible CHECK (invisible IN (0, 1)),
    last_seen_at BIGINT,
    CONSTRAINT pk_presence_settings PRIMARY KEY (user_id),
    CONSTRAINT fk_presence_settings_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE TABLE inboxes (
    user_id VARCHAR(36) NOT NULL,
    seq BIGINT NOT NULL,
    unread BIGINT NOT NULL CONSTRAINT ck_inboxes_unread CHECK (unread >= 0),
    unseen BIGINT NOT NULL CONSTRAINT ck_inboxes_unseen CHECK (unseen >= 0),
    CONSTRAINT pk_inboxes PRIMARY KEY (user_id),
    CONSTRAINT fk_inboxes_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

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
    previous_read_at BIGINT,
    previous_seen_at BIGINT,
    archive_change BIGINT,
    previous_archived_at BIGINT,
    hidden BIGINT DEFAULT '0' NOT NULL CONSTRAINT ck_notifications_hidden CHECK (hidden IN (0, 1)),
    push_decision VARCHAR(16),
    email_decision VARCHAR(16),
    CONSTRAINT pk_notifications PRIMARY KEY (id),
    CONSTRAINT ck_notifications_category CHECK (category = 'job' OR category = 'bid' OR category = 'hire' OR category = 'message' OR category = 'comment' OR category = 'payment' OR category = 'system'),
    CONSTRAINT ck_notifications_priority CHECK (priority = 'low' OR priority = 'normal' OR priority = 'high' OR priority = 'urgent'),
    CONSTRAINT uq_notifications_user_id_seq UNIQUE (user_id, seq),
    CONSTRAINT fk_notifications_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_notifications_collapse ON notifications (user_id, collapse_key, read_at, archived_at, expired_at) WHERE collapse_key IS NOT NULL;

CREATE INDEX ix_notifications_expiry ON notifications (expires_at) WHERE expires_at IS NOT NULL AND expired_at IS NULL;

CREATE INDEX ix_notifications_visible ON notifications (user_id, seq) WHERE archived_at IS NULL AND expired_at IS NULL;

CREATE INDEX ix_notifications_created_at ON notifications (created_at);

CREATE TABLE inbox_undos (
    id VARCHAR(36) NOT NULL,
    user_id VARCHAR(36) NOT NULL,
    verb VARCHAR(16) NOT NULL,
    change BIGINT NOT NULL,
    first_seq BIGINT NOT NULL,
    last_seq BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_inbox_undos PRIMARY KEY (id),
    CONSTRAINT fk_inbox_undos_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_inbox_undos_created_at ON inbox_undos (created_at);

CREATE TABLE accounts (
    id VARCHAR(48) NOT NULL,
    user_id VARCHAR(36),
    kind VARCHAR(16) NOT NULL CONSTRAINT ck_accounts_kind CHECK (kind = 'available' OR kind = 'held' OR kind = 'external'),
    balance BIGINT NOT NULL,
    CONSTRAINT pk_accounts PRIMARY KEY (id),
    CONSTRAINT ck_accounts_owner CHECK ((kind = 'external') = (user_id IS NULL)),
    CONSTRAINT ck_accounts_balance CHECK (CASE kind WHEN 'external' THEN balance BETWEEN -9007199254740991 AND 0 ELSE balance BETWEEN 0 AND 9007199254740991 END),
    CONSTRAINT ck_accounts_id CHECK (id = CASE WHEN user_id IS NULL THEN kind ELSE kind || ':' || user_id END),
    CONSTRAINT fk_accounts_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE TRIGGER accounts_create BEFORE INSERT ON accounts
            WHEN NEW.balance <> 0 OR EXISTS (SELECT 1 FROM accounts WHERE id = NEW.id)
            BEGIN SELECT RAISE(ABORT, 'an account is created once, with balance 0'); END;

CREATE TRIGGER accounts_no_delete BEFORE DELETE ON accounts
            BEGIN SELECT RAISE(ABORT, 'accounts are never deleted'); END;

CREATE TRIGGER accounts_balance BEFORE UPDATE ON accounts
            WHEN NEW.id <> OLD.id OR NEW.kind <> OLD.kind OR NEW.user_id IS NOT OLD.user_id OR NOT EXISTS (
                SELECT 1 FROM transfers WHERE seq = (SELECT max(seq) FROM transfers) AND (
                    from_account = OLD.id AND from_balance = NEW.balance AND OLD.balance - amount = NEW.balance
                    OR to_account = OLD.id AND to_balance = NEW.balance AND OLD.balance + amount = NEW.balance))
            BEGIN SELECT RAISE(ABORT, 'a balance changes only by a transfer'); END;

CREATE TABLE sessions (
    id VARCHAR(36) NOT NULL,
    user_id VARCHAR(36) NOT NULL,
    user_agent VARCHAR(200),
    address VARCHAR(64),
    created_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    CONSTRAINT pk_sessions PRIMARY KEY (id),
    CONSTRAINT fk_sessions_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_sessions_user_id ON sessions (user_id);

CREATE INDEX ix_sessions_used_at ON sessions (used_at);

CREATE TABLE push_subscriptions (
    id VARCHAR(36) NOT NULL,
    user_id VARCHAR(36) NOT NULL,
    session_id VARCHAR(36) NOT NULL,
    endpoint VARCHAR(1000) NOT NULL,
    p256dh VARCHAR(88) NOT NULL,
    auth VARCHAR(24) NOT NULL,
    resume_at BIGINT,
    created_at BIGINT NOT NULL,
    renewed_at BIGINT NOT NULL,
    CONSTRAINT pk_push_subscriptions PRIMARY KEY (id),
    CONSTRAINT fk_push_subscriptions_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT fk_push_subscriptions_session_id FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE,
    CONSTRAINT uq_push_subscriptions_endpoint UNIQUE (endpoint)
);

CREATE INDEX ix_push_subscriptions_user_id ON push_subscriptions (user_id);

CREATE INDEX ix_push_subscriptions_session_id ON push_subscriptions (session_id);

CREATE TABLE deliveries (
    id VARCHAR(36) NOT NULL,
    user_id VARCHAR(36) NOT NULL,
    notification_id VARCHAR(36),
    method VARCHAR(8) NOT NULL CONSTRAINT ck_deliveries_method CHECK (method IN ('push','email')),
    subscription_id VARCHAR(36),
    due_at BIGINT,
    tries BIGINT DEFAULT '0' NOT NULL,
    attention_checks BIGINT DEFAULT '0' NOT NULL,
    outcome VARCHAR(8) DEFAULT 'waiting' NOT NULL,
    reason VARCHAR(32),
    created_at BIGINT NOT NULL,
    done_at BIGINT,
    CONSTRAINT pk_deliveries PRIMARY KEY (id),
    CONSTRAINT ck_deliveries_outcome CHECK (outcome = 'waiting' OR outcome = 'sent' OR outcome = 'skipped' OR outcome = 'failed'),
    CONSTRAINT ck_deliveries_due CHECK ((outcome = 'waiting') = (due_at IS NOT NULL)),
    CONSTRAINT fk_deliveries_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT fk_deliveries_notification_id FOREIGN KEY(notification_id) REFERENCES notifications (id) ON DELETE CASCADE
);

CREATE INDEX ix_deliveries_notification_id ON deliveries (notification_id);

CREATE INDEX ix_deliveries_due_at ON deliveries (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE bids (
    seq INTEGER NOT NULL,
    id VARCHAR(36) NOT NULL,
    job_id VARCHAR(36) NOT NULL,
    freelancer_id VARCHAR(36) NOT NULL,
    message VARCHAR(5000) NOT NULL,
    price BIGINT NOT NULL CONSTRAINT ck_bids_price CHECK (price > 0),
    status VARCHAR(16) NOT NULL,
    created_at BIGINT NOT NULL,
    hired_at BIGINT,
    rejected_at BIGINT,
    hired_job_id VARCHAR(36) GENERATED ALWAYS AS (CASE WHEN status = 'hired' THEN job_id END) STORED,
    CONSTRAINT pk_bids PRIMARY KEY (seq),
    CONSTRAINT ck_bids_status CHECK (status = 'pending' OR status = 'hired' OR status = 'rejected' OR status = 'withdrawn'),
    CONSTRAINT ck_bids_hired_time CHECK ((status = 'hired') = (hired_at IS NOT NULL)),
    CONSTRAINT ck_bids_rejected_time CHECK ((status = 'rejected') = (rejected_at IS NOT NULL)),
    CONSTRAINT fk_bids_hired_job_id_id FOREIGN KEY(hired_job_id, id) REFERENCES jobs (id, hired_bid_id),
    CONSTRAINT uq_bids_job_id_id UNIQUE (job_id, id),
    CONSTRAINT uq_bids_id UNIQUE (id),
    CONSTRAINT fk_bids_job_id FOREIGN KEY(job_id) REFERENCES jobs (id),
    CONSTRAINT fk_bids_freelancer_id FOREIGN KEY(freelancer_id) REFERENCES users (id)
);

CREATE INDEX ix_bids_job_id_seq ON bids (job_id, seq);

CREATE INDEX ix_bids_freelancer_id_hired ON bids (freelancer_id) WHERE status = 'hired';

CREATE UNIQUE INDEX uq_bids_one_hired ON bids (job_id) WHERE status = 'hired';

CREATE INDEX ix_bids_job_id_freelancer_id_seq ON bids (job_id, freelancer_id, seq);

CREATE UNIQUE INDEX uq_bids_one_pending ON bids (job_id, freelancer_id) WHERE status = 'pending';

CREATE INDEX ix_bids_freelancer_id_seq ON bids (freelancer_id, seq);

CREATE TABLE comments (
    seq INTEGER NOT NULL,
    id VARCHAR(36) NOT NULL,
    job_id VARCHAR(36) NOT NULL,
    author_id VARCHAR(36) NOT NULL,
    text VARCHAR(2000) NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_comments PRIMARY KEY (seq),
    CONSTRAINT uq_comments_id UNIQUE (id),
    CONSTRAINT fk_comments_job_id FOREIGN KEY(job_id) REFERENCES jobs (id),
    CONSTRAINT fk_comments_author_id FOREIGN KEY(author_id) REFERENCES users (id)
);

CREATE INDEX ix_comments_job_id_seq_author_id ON comments (job_id, seq, author_id);

CREATE TABLE conversation_members (
    conversation_id VARCHAR(36) NOT NULL,
    user_id VARCHAR(36) NOT NULL,
    from_seq BIGINT NOT NULL,
    read_seq BIGINT NOT NULL,
    delivered_seq BIGINT NOT NULL,
    activity_seq BIGINT NOT NULL,
    unread BIGINT NOT NULL CONSTRAINT ck_conversation_members_unread CHECK (unread >= 0),
    muted BIGINT NOT NULL CONSTRAINT ck_conversation_members_muted CHECK (muted IN (0, 1)),
    last_active_at BIGINT NOT NULL,
    notify_at BIGINT,
    joined_at BIGINT NOT NULL,
    CONSTRAINT pk_conversation_members PRIMARY KEY (conversation_id, user_id),
    CONSTRAINT fk_conversation_members_conversation_id FOREIGN KEY(conversation_id) REFERENCES conversations (id),
    CONSTRAINT fk_conversation_members_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_conversation_members_notify_at ON conversation_members (notify_at) WHERE notify_at IS NOT NULL;

CREATE INDEX ix_conversation_members_unread ON conversation_members (user_id, unread) WHERE unread > 0 AND muted = 0;

CREATE INDEX ix_conversation_members_user_id_activity_seq ON conversation_members (user_id, activity_seq);

CREATE TABLE messages (
    id VARCHAR(36) NOT NULL,
    conversation_id VARCHAR(36) NOT NULL,
    seq BIGINT NOT NULL,
    sender_id VARCHAR(36) NOT NULL,
    type VARCHAR(8) NOT NULL CONSTRAINT ck_messages_type CHECK (type = 'text' OR type = 'image' OR type = 'file'),
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
);

CREATE UNIQUE INDEX uq_messages_client_message_id ON messages (conversation_id, sender_id, client_message_id) WHERE client_message_id IS NOT NULL;

CREATE TABLE transfers (
    seq INTEGER NOT NULL CONSTRAINT ck_transfers_seq CHECK (seq > 0),
    id VARCHAR(36) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    amount BIGINT NOT NULL CONSTRAINT ck_transfers_amount CHECK (amount BETWEEN 1 AND 1000000000000 AND amount = CAST(amount AS BIGINT)),
    from_account VARCHAR(48) NOT NULL,
    from_balance BIGINT NOT NULL,
    to_account VARCHAR(48) NOT NULL,
    to_balance BIGINT NOT NULL,
    job_id VARCHAR(36),
    payment_id VARCHAR(128),
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_transfers PRIMARY KEY (seq),
    CONSTRAINT ck_transfers_kind CHECK (CASE kind
        WHEN 'deposit' THEN from_account = 'external' AND to_account LIKE 'available:%'
        WHEN 'withdrawal' THEN from_account LIKE 'available:%' AND to_account = 'external'
        WHEN 'hold' THEN to_account LIKE 'held:%' AND from_account = 'available:' || substr(to_account, 6)
        WHEN 'release' THEN from_account LIKE 'held:%' AND to_account = 'available:' || substr(from_account, 6)
        WHEN 'refund' THEN from_account LIKE 'held:%' AND to_account = 'available:' || substr(from_account, 6)
        WHEN 'payment' THEN from_account LIKE 'held:%' AND to_account LIKE 'available:%'
            AND substr(from_account, 6) <> substr(to_account, 11)
        ELSE 1 = 0 END),
    CONSTRAINT ck_transfers_job CHECK ((kind IN ('deposit','withdrawal')) = (job_id IS NULL)),
    CONSTRAINT ck_transfers_payment_id CHECK (payment_id IS NULL OR kind = 'deposit'),
    CONSTRAINT uq_transfers_payment_id UNIQUE (payment_id),
    CONSTRAINT fk_transfers_from_account FOREIGN KEY(from_account) REFERENCES accounts (id),
    CONSTRAINT fk_transfers_to_account FOREIGN KEY(to_account) REFERENCES accounts (id),
    CONSTRAINT fk_transfers_job_id FOREIGN KEY(job_id) REFERENCES jobs (id)
);

CREATE INDEX ix_transfers_to_account_seq ON transfers (to_account, seq);

CREATE INDEX ix_transfers_job_id ON transfers (job_id) WHERE job_id IS NOT NULL;

CREATE INDEX ix_transfers_from_account_seq ON transfers (from_account, seq);

CREATE TRIGGER transfers_no_update BEFORE UPDATE ON transfers
            BEGIN SELECT RAISE(ABORT, 'transfers are append-only'); END;

CREATE TRIGGER transfers_no_delete BEFORE DELETE ON transfers
            BEGIN SELECT RAISE(ABORT, 'transfers are append-only'); END;

CREATE TRIGGER transfers_no_replace BEFORE INSERT ON transfers
            WHEN EXISTS (SELECT 1 FROM transfers WHERE seq = NEW.seq OR payment_id = NEW.payment_id)
            BEGIN SELECT RAISE(ABORT, 'transfers are append-only'); END;

CREATE TRIGGER transfers_frozen BEFORE INSERT ON transfers
            WHEN EXISTS (SELECT 1 FROM freezes)
            BEGIN SELECT RAISE(ABORT, 'payments are frozen'); END;

CREATE TRIGGER transfers_apply AFTER INSERT ON transfers BEGIN
            UPDATE accounts SET balance = balance - NEW.amount WHERE id = NEW.from_account;
            UPDATE accounts SET balance = balance + NEW.amount WHERE id = NEW.to_account;
            SELECT RAISE(ABORT, 'a transfer must state the balances after it') WHERE 2 <> (
                SELECT count(*) FROM accounts WHERE id = NEW.from_account AND balance = NEW.from_balance
                OR id = NEW.to_account AND balance = NEW.to_balance);
            END;

CREATE TRIGGER transfers_counted AFTER INSERT ON transfers WHEN NEW.kind = 'payment' BEGIN
        UPDATE statistics SET paid_out = paid_out + NEW.amount;
        END;

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
    position BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_attachments PRIMARY KEY (id),
    CONSTRAINT fk_attachments_owner_id FOREIGN KEY(owner_id) REFERENCES users (id),
    CONSTRAINT fk_attachments_message_id FOREIGN KEY(message_id) REFERENCES messages (id)
);

CREATE INDEX ix_attachments_hash ON attachments (hash);

CREATE INDEX ix_attachments_owner_id_size ON attachments (owner_id, size);

CREATE INDEX ix_attachments_message_id_position ON attachments (message_id, position) WHERE message_id IS NOT NULL;

CREATE INDEX ix_attachments_unsent ON attachments (created_at) WHERE message_id IS NULL;

INSERT INTO statistics (id, open_jobs, hires, completed, paid_out) VALUES (1, 0, 0, 0, 0);

INSERT INTO accounts (id, user_id, kind, balance) VALUES ('external', NULL, 'external', 0);
