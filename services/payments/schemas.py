"""JSON objects of payments."""

from typing import Literal

from services.schemas import Schema

EntryKind = Literal["deposit", "hold", "release", "payment", "refund", "withdrawal"]


class Wallet(Schema, frozen=True):
    """The available amount of a user and the amount held for their jobs, in minor units."""

    available: int
    held: int
    currency: str


class WalletEntry(Schema, frozen=True):
    """An entry of a user's statement; `balance` is the available amount after it."""

    id: str
    kind: EntryKind
    amount: int
    balance: int
    job_id: str | None
    created_at: str
