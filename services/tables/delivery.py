"""The ways out of the hub: what a user wants by which, the browsers that take push, and what is still to be sent."""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, String, Table, Text, text

from services.tables.columns import ID, TIME, id_column, metadata, one_of, user_column

# Who has no row has the defaults.
preferences = Table(
    "preferences",
    metadata,
    user_column(primary_key=True),
    # JSON: by category, what was chosen for each way; and the quiet hours, if there are any.
    Column("choices", Text, nullable=False),
    Column("quiet_hours", Text),
    Column("updated_at", TIME, nullable=False),
)

# A browser that takes push (Push API, PushSubscription). It is gone with the login that it was made in.
push_subscriptions = Table(
    "push_subscriptions",
    metadata,
    id_column(),
    user_column(),
    Column("session_id", ID, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    Column("endpoint", String(1000), nullable=False, unique=True),
    Column("p256dh", String(88), nullable=False),
    Column("auth", String(24), nullable=False),
    # Not to be asked before this time: its push service said so, or did not answer.
    Column("resume_at", TIME),
    Column("created_at", TIME, nullable=False),
    Column("renewed_at", TIME, nullable=False),
    Index("ix_push_subscriptions_user_id", "user_id"),
    Index("ix_push_subscriptions_session_id", "session_id"),
)

# An e-mail address that its owner has shown to be theirs; it counts while it is still the one of their account.
verified_emails = Table(
    "verified_emails",
    metadata,
    user_column(primary_key=True),
    Column("email", String(254), nullable=False),
    Column("confirmed_at", TIME, nullable=False),
)

# One notification on one way to one place, written in the notification's own transaction; a test has no notification.
# It goes with its notification: what was replaced or taken back is not sent any more.
deliveries = Table(
    "deliveries",
    metadata,
    id_column(),
    user_column(),
    Column("notification_id", ID, ForeignKey("notifications.id", ondelete="CASCADE")),
    Column("method", String(8), CheckConstraint("method IN ('push','email')", name="method"), nullable=False),
    # Not a foreign key: what became of it is worth knowing when the browser is gone.
    Column("subscription_id", ID),
    # When it is to be looked at next; none once its fate is known.
    Column("due_at", TIME),
    Column("tries", BigInteger, nullable=False, server_default="0"),
    # How often it was put off because its reader was looking.
    Column("attention_checks", BigInteger, nullable=False, server_default="0"),
    Column("outcome", String(8), nullable=False, server_default="waiting"),
    Column("reason", String(32)),
    Column("created_at", TIME, nullable=False),
    Column("done_at", TIME),
    CheckConstraint(one_of("outcome", "waiting", "sent", "skipped", "failed"), name="outcome"),
    CheckConstraint("(outcome = 'waiting') = (due_at IS NOT NULL)", name="due"),
    Index("ix_deliveries_due_at", "due_at", sqlite_where=text("due_at IS NOT NULL")),
    Index("ix_deliveries_notification_id", "notification_id"),
)
