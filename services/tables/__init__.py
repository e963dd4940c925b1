"""Every table, with its constraints and indexes: the database refuses what the rules forbid."""

from services.tables.columns import metadata
from services.tables.counts import totals
from services.tables.inbox import announcements, inboxes, notifications, undos
from services.tables.log import answers, counter, events, trims
from services.tables.market import bids, comments, jobs
from services.tables.messages import attachments, blocks, conversations, members, messages, presences
from services.tables.money import accounts, freezes, ledger, transfers
from services.tables.people import api_keys, logins, users
from services.tables.push import addresses, preferences, pushes, subscriptions
from services.tables.search import job_index, job_terms, skills

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
