"""Every table, with its constraints and indexes: the database refuses what the rules forbid."""

from services.tables.columns import metadata
from services.tables.delivery import addresses, preferences, pushes, subscriptions
from services.tables.events import answers, counter, events, trims
from services.tables.job_search import job_index, job_terms, skills
from services.tables.jobs import bids, comments, jobs
from services.tables.messages import attachments, blocks, conversations, members, messages, presences
from services.tables.notifications import announcements, inboxes, notifications, undos
from services.tables.payments import accounts, freezes, ledger, transfers
from services.tables.statistics import totals
from services.tables.users import api_keys, logins, users

__all__ = [
    "accounts",
    "addresses",
    "announcements",
    "answers",
    "api_keys",
    "attachments",
    "bids",
    "blocks",
    "comments",
    "conversations",
    "counter",
    "events",
    "freezes",
    "inboxes",
    "job_index",
    "job_terms",
    "jobs",
    "ledger",
    "logins",
    "members",
    "messages",
    "metadata",
    "notifications",
    "preferences",
    "presences",
    "pushes",
    "skills",
    "subscriptions",
    "totals",
    "transfers",
    "trims",
    "undos",
    "users",
]
