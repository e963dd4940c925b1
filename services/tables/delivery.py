"""Preferences, push subscriptions, verified e-mail addresses and the delivery queue."""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, String, Table, Text, text

from services.tables.columns import ID, TIME, id_column, metadata, one_of, user_column

# A user without a row has the default preferences.
preferences = Table(
    "preferences",
    metadata,
    user_column(primary_key=True),
    # JSON: the chosen delivery methods by category, and the quiet hours if there are any.
    Column("choices", Text, nullable=False),
    Column("quiet_hours", Text),
    Column("updated_at", TIME, nullable=False),
)

# A browser that receives push (Push API, PushSubscription). It is deleted with the session that created it.
push_subscriptions = Table(
    "push_subscriptions",
    metadata,
    id_column(),
    user_column(),
    Column("session_id", ID, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    Column("endpoint", String(1000), nullable=False, unique=True),
    Column("p256dh", String(88), nullable=False),
    Column("auth", String(24), nullable=False),
    # No delivery before this time: the push service asked for it, or did not respond.
    Column("resume_at", TIME),
    Column("created_at", TIME, nullable=False),
    Column("renewed_at", TIME, nullable=False),
    Index("ix_push_subscriptions_user_id", "user_id"),
    Index("ix_push_subscriptions_session_id", "session_id"),
)

# An e-mail address that its owner has confirmed. It is used while it is the address of the account.
verified_emails = Table(
    "verified_emails",
    metadata,
    user_column(primary_key=True),
    Column("email", String(254), nullable=False),
    Column("confirmed_at", TIME, nullable=False),
)

# One notification by one delivery method to one browser or address, inserted in the notification's transaction. A test
# delivery has no notification. The row is deleted with its notification, so a replaced or retracted one is not sent.
deliveries = Table(
    "deliveries",
    metadata,
    id_column(),
    user_column(),
    Column("notification_id", ID, ForeignKey("notifications.id", ondelete="CASCADE")),
    Column("method", String(8), CheckConstraint("method IN ('push','email')", name="method"), nullable=False),
    # Not a foreign key: the outcome is kept after the subscription is deleted.
    Column("subscription_id", ID),
    # When the worker processes it next; NULL once the outcome is known.
    Column("due_at", TIME),
    Column("tries", BigInteger, nullable=False, server_default="0"),
    # How often it was postponed because the recipient was active.
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
