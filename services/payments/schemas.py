"""JSON objects of payments."""

from typing import Literal

from services.schemas import Schema

EntryKind = Literal["deposit", "hold", "release", "payment", "refund", "withdrawal"]


class Wallet(Schema, frozen=True):
    """A user's money in minor units: what can be spent, and what is held for their jobs."""

    available: int
    held: int
    currency: str


class WalletEntry(Schema, frozen=True):
    """A line of a user's statement; `balance` is what could be spent after it."""

    id: str
    kind: EntryKind
    amount: int
    balance: int
    job_id: str | None
    created_at: str
