"""Every table, with its constraints and indexes: the database refuses what the rules forbid."""

from services.tables.columns import metadata
from services.tables.inbox import announcements, inboxes, notifications, undos
from services.tables.log import answers, counter, events, trims
from services.tables.market import bids, jobs
from services.tables.money import accounts, transfers
from services.tables.people import api_keys, logins, users

__all__ = [
    "accounts",
    "announcements",
    "answers",
    "api_keys",
    "bids",
    "counter",
    "events",
    "inboxes",
    "jobs",
    "logins",
    "metadata",
    "notifications",
    "transfers",
    "trims",
    "undos",
    "users",
]
