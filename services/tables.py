"""Every table, with its constraints and indexes: the database refuses what the rules forbid."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Ids are uuid7 text; times are milliseconds since 1970, UTC; structured values are JSON text.
_ID = String(36)
_TIME = BigInteger


def _id(name: str = "id") -> Column[str]:
    return Column(name, _ID, primary_key=True)


def _user(name: str = "user_id", *, primary_key: bool = False) -> Column[str]:
    return Column(name, _ID, ForeignKey("users.id"), nullable=False, primary_key=primary_key)


def _flag(name: str) -> Column[int]:
    return Column(name, BigInteger, CheckConstraint(f"{name} IN (0, 1)", name=name), nullable=False)


# The log ----------------------------------------------------------------------------------

# One row. Its position is handed out last in every transaction, so commit order is position order.
counter = Table(
    "counter",
    metadata,
    Column("id", BigInteger, CheckConstraint("id = 1", name="one_row"), primary_key=True, autoincrement=False),
    Column("epoch", String(16), nullable=False),
    Column("position", BigInteger, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("channel", String(80), nullable=False),
    Column("type", String(64), nullable=False),
    Column("data", LargeBinary, nullable=False),
    # What the event is about (a notification, a message), so that the log can forget it.
    Column("subject", _ID),
    Column("created_at", _TIME, nullable=False),
    Index("ix_events_channel_position", "channel", "position"),
    Index("ix_events_subject", "subject", sqlite_where=text("subject IS NOT NULL")),
    Index("ix_events_created_at", "created_at"),
)

# How far a channel's log was cut: who stands before this has missed something for good.
trims = Table(
    "trims",
    metadata,
    Column("channel", String(80), primary_key=True),
    Column("position", BigInteger, nullable=False),
)

answers = Table(
    "answers",
    metadata,
    Column("caller", String(80), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("digest", LargeBinary(32), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Index("ix_answers_created_at", "created_at"),
)

# Who is asking ----------------------------------------------------------------------------------

users = Table(
    "users",
    metadata,
    _id(),
    Column("email", String(254), unique=True),  # as it was typed, but lower case
    Column("external_id", String(128), unique=True),
    Column("name", String(80), nullable=False),
    Column(
        "role",
        String(16),
        CheckConstraint("role IN ('client', 'freelancer', 'admin')", name="role"),
        nullable=False,
    ),
    Column("skills", Text, nullable=False, server_default="[]"),
    Column("password_hash", String(255)),
    Column("disabled_at", _TIME),
    Column("created_at", _TIME, nullable=False),
)

# A signed-in browser or program. The token carries only the id; the row is the truth.
logins = Table(
    "logins",
    metadata,
    _id(),
    _user(),
    Column("user_agent", String(200)),
    Column("address", String(64)),
    Column("created_at", _TIME, nullable=False),
    Column("used_at", _TIME, nullable=False),
    Index("ix_logins_user_id", "user_id"),
    Index("ix_logins_used_at", "used_at"),
)

api_keys = Table(
    "api_keys",
    metadata,
    _id(),
    Column("name", String(80), nullable=False),
    Column("hash", LargeBinary(32), nullable=False, unique=True),
    Column("scopes", Text, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("revoked_at", _TIME),
    Index("uq_api_keys_live_name", "name", unique=True, sqlite_where=text("revoked_at IS NULL")),
)

# The inbox ----------------------------------------------------------------------------------

# One row per user: `seq` orders their notifications, the counts are changed with the rows they count.
inboxes = Table(
    "inboxes",
    metadata,
    _user(primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("unread", BigInteger, CheckConstraint("unread >= 0", name="unread"), nullable=False),
    Column("unseen", BigInteger, CheckConstraint("unseen >= 0", name="unseen"), nullable=False),
)

notifications = Table(
    "notifications",
    metadata,
    _id(),
    _user(),
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
    Column("created_at", _TIME, nullable=False),
    Column("expires_at", _TIME),
    Column("seen_at", _TIME),
    Column("read_at", _TIME),
    Column("archived_at", _TIME),
    # Set once by the sweep that takes an expired row out of the counts and lists.
    Column("expired_at", _TIME),
    # Which change (of `undos`) last touched the read and the archived state, and what they were before it.
    Column("read_change", BigInteger),
    Column("read_before", _TIME),
    Column("seen_before", _TIME),
    Column("archive_change", BigInteger),
    Column("archived_before", _TIME),
    CheckConstraint("category IN ('job','bid','hire','message','comment','payment','system')", name="category"),
    CheckConstraint("priority IN ('low','normal','high','urgent')", name="priority"),
    UniqueConstraint("user_id", "seq"),
    # Not unique: somebody may put an older one with the same key back to unread.
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
        "ix_notifications_unread",
        "user_id",
        "seq",
        sqlite_where=text("read_at IS NULL AND archived_at IS NULL AND expired_at IS NULL"),
    ),
    Index(
        "ix_notifications_expiry",
        "expires_at",
        sqlite_where=text("expires_at IS NOT NULL AND expired_at IS NULL"),
    ),
    Index("ix_notifications_created_at", "created_at"),
)

# What one change of many rows did, for the 30 seconds in which it can be undone. The rows themselves carry `change`
# and what they were, so this stays small however many there are; they lie from `first_seq` to `last_seq`.
undos = Table(
    "undos",
    metadata,
    _id(),
    _user(),
    Column("verb", String(16), nullable=False),
    Column("change", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Index("ix_undos_created_at", "created_at"),
)

announcements = Table(
    "announcements",
    metadata,
    _id(),
    Column("title", String(200), nullable=False),
    Column("body", String(2000), nullable=False),
    Column("url", String(500)),
    Column("priority", String(8), nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("expires_at", _TIME),
)

# The marketplace ----------------------------------------------------------------------------------

_HIRED = "('assigned','in_progress','submitted','completed')"

jobs = Table(
    "jobs",
    metadata,
    _id(),
    _user("owner_id"),
    Column("title", String(120), nullable=False),
    Column("description", Text, nullable=False),
    Column("budget", BigInteger, CheckConstraint("budget > 0", name="budget"), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("category", String(40)),
    Column("skills", Text, nullable=False, server_default="[]"),
    Column("status", String(16), nullable=False),
    Column(
        "bid_count",
        BigInteger,
        CheckConstraint("bid_count >= 0", name="bid_count"),
        nullable=False,
        server_default="0",
    ),
    Column("hired_bid_id", _ID),
    Column("hired_at", _TIME),
    Column("expires_at", _TIME),
    _flag("instant_accept"),
    Column("created_at", _TIME, nullable=False),
    Column("updated_at", _TIME, nullable=False),
    # Until when bids that come and go are not told, and whether one did since the last telling.
    Column("quiet_until", _TIME, nullable=False, server_default="0"),
    _flag("untold"),
    CheckConstraint(
        "status IN ('open','assigned','in_progress','submitted','completed','cancelled','expired')",
        name="status",
    ),
    CheckConstraint("(hired_bid_id IS NULL) = (hired_at IS NULL)", name="hired_pair"),
    CheckConstraint(f"status NOT IN {_HIRED} OR hired_bid_id IS NOT NULL", name="hired_has_bid"),
    CheckConstraint("status NOT IN ('open','expired') OR hired_bid_id IS NULL", name="open_has_no_bid"),
    # The hired bid is one of this job's own (the bid says the rest: see `hired_for`).
    ForeignKeyConstraint(["id", "hired_bid_id"], ["bids.job_id", "bids.id"], use_alter=True),
    UniqueConstraint("id", "hired_bid_id"),
    Index("ix_jobs_status_id", "status", "id"),
    Index("ix_jobs_owner_id_id", "owner_id", "id"),
    Index("ix_jobs_category_id", "category", "id"),
    Index("ix_jobs_category_status_id", "category", "status", "id"),
    Index("ix_jobs_untold", "quiet_until", sqlite_where=text("untold = 1")),
)

bids = Table(
    "bids",
    metadata,
    _id(),
    Column("job_id", _ID, ForeignKey("jobs.id"), nullable=False),
    _user("freelancer_id"),
    Column("message", String(5000), nullable=False),
    Column("price", BigInteger, CheckConstraint("price > 0", name="price"), nullable=False),
    Column("status", String(16), nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("hired_at", _TIME),
    Column("rejected_at", _TIME),
    # The job, once this bid is the hired one. With the foreign key: a bid is hired only where its job names it, and
    # the job can then neither name another nor forget it.
    Column("hired_for", _ID, Computed("CASE WHEN status = 'hired' THEN job_id END", persisted=True)),
    CheckConstraint("status IN ('pending','hired','rejected','withdrawn')", name="status"),
    CheckConstraint("(status = 'hired') = (hired_at IS NOT NULL)", name="hired_time"),
    CheckConstraint("(status = 'rejected') = (rejected_at IS NOT NULL)", name="rejected_time"),
    ForeignKeyConstraint(["hired_for", "id"], ["jobs.id", "jobs.hired_bid_id"]),
    UniqueConstraint("job_id", "id"),
    Index("ix_bids_freelancer_id_id", "freelancer_id", "id"),
    Index("uq_bids_one_hired", "job_id", unique=True, sqlite_where=text("status = 'hired'")),
    Index("uq_bids_one_pending", "job_id", "freelancer_id", unique=True, sqlite_where=text("status = 'pending'")),
)
