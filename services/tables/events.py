"""The event log, its trim marks and stored idempotent responses."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, LargeBinary, String, Table, text

from services.tables.columns import ID, TIME, metadata

# One row. Each transaction takes its positions last, so the order of positions is the order of commits.
event_counter = Table(
    "event_counter",
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
    # The notification or message that the event is about. Its events can be deleted from the log.
    Column("subject", ID),
    Column("created_at", TIME, nullable=False),
    Index("ix_events_channel_position", "channel", "position"),
    Index("ix_events_subject", "subject", sqlite_where=text("subject IS NOT NULL")),
    Index("ix_events_created_at", "created_at"),
)

# The position up to which a channel's log was trimmed. A cursor before it has missed events for good.
trim_marks = Table(
    "trim_marks",
    metadata,
    Column("channel", String(80), primary_key=True),
    Column("position", BigInteger, nullable=False),
)

idempotent_responses = Table(
    "idempotent_responses",
    metadata,
    Column("caller", String(80), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("digest", LargeBinary(32), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", TIME, nullable=False),
    Index("ix_idempotent_responses_created_at", "created_at"),
)
