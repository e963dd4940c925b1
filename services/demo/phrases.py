"""Text templates of the demo, by trade."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec


@dataclass(frozen=True, slots=True)
class Trade:
    """A kind of work. Texts contain the placeholders `{company}`, `{city}`, `{dish}` and `{language}`.

    `price_range` is the lowest and highest budget in whole units of the currency.
    """

    category: str
    skills: tuple[str, ...]
    titles: tuple[str, ...]
    descriptions: tuple[str, ...]
    price_range: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Phrases:
    trades: tuple[Trade, ...]
    bid_messages: tuple[str, ...]
    comments: tuple[str, ...]
    replies: tuple[str, ...]
    change_notes: tuple[str, ...]


_PHRASES: Final = msgspec.json.decode((Path(__file__).parent / "data" / "phrases.json").read_bytes(), type=_Phrases)

TRADES: Final = _PHRASES.trades
BID_MESSAGES: Final = _PHRASES.bid_messages
COMMENTS: Final = _PHRASES.comments
REPLIES: Final = _PHRASES.replies
CHANGE_NOTES: Final = _PHRASES.change_notes
