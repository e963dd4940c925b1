"""Every table, index, constraint and trigger."""

from services.tables.columns import metadata
from services.tables.delivery import deliveries, preferences, push_subscriptions, verified_emails
from services.tables.events import event_counter, events, idempotent_responses, trim_marks
from services.tables.job_search import job_index, job_terms, skills
from services.tables.jobs import bids, comments, jobs
from services.tables.messages import (
    attachments,
    blocks,
    conversation_members,
    conversations,
    messages,
    presence_settings,
)
from services.tables.notifications import announcements, inbox_undos, inboxes, notifications
from services.tables.payments import accounts, freezes, ledger_settings, transfers
from services.tables.statistics import statistics
from services.tables.users import api_keys, sessions, users

__all__ = [
    "accounts",
    "announcements",
    "api_keys",
    "attachments",
    "bids",
    "blocks",
    "comments",
    "conversation_members",
    "conversations",
    "deliveries",
    "event_counter",
    "events",
    "freezes",
    "idempotent_responses",
    "inbox_undos",
    "inboxes",
    "job_index",
    "job_terms",
    "jobs",
    "ledger_settings",
    "messages",
    "metadata",
    "notifications",
    "preferences",
    "presence_settings",
    "push_subscriptions",
    "sessions",
    "skills",
    "statistics",
    "transfers",
    "trim_marks",
    "users",
    "verified_emails",
]
