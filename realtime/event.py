"""Events, and the bytes they are on the wire: encoded once, written to every listener."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, Literal, Self

ByeReason = Literal["shutdown", "rotate", "logout", "revoked", "too_many_streams", "overloaded"]
ResetReason = Literal["trimmed", "epoch_changed", "ahead", "malformed"]

# How long a client waits before it comes back, in milliseconds (lowest, highest): spread out, so that those who were
# sent away together do not return together.
RETRY_MS: Final[Mapping[ByeReason, tuple[int, int]]] = {
    "rotate": (200, 1_000),
    "shutdown": (1_000, 5_000),
    "logout": (1_000, 5_000),
    "revoked": (1_000, 5_000),
    "overloaded": (5_000, 30_000),
    "too_many_streams": (60_000, 60_000),
}
# The same for a stream that breaks without a word.
RECONNECT_MS: Final = (1_000, 3_000)

_LINE_END = re.compile(rb"\r\n|\n|\r")
# They would end the line, or make a client ignore the id: HTML standard, 9.2.6; CWE-93.
_FORBIDDEN = re.compile(r"[\r\n\0]")


def encode(*, event: str | None, data: bytes, id: str | None = None, retry: int | None = None) -> bytes:
    """One block of the WHATWG event stream format; `data` is UTF-8, `retry` is in milliseconds.

    There is always data, so `retry` never stands in a block of its own (some clients hand out an empty event for such).
    Raises ValueError for CR, LF or NUL in `event` or `id`, and for a negative `retry`.
    """
    head = "" if event is None else f"event: {_checked(event)}\n"
    if id is not None:
        head += f"id: {_checked(id)}\n"
    if retry is not None:
        if retry < 0:
            raise ValueError("retry must not be negative")
        head += f"retry: {retry}\n"
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(_LINE_END.split(data))
    return b"%bdata: %b\n\n" % (head.encode(), data)


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a channel. Durable ones have a position and can be replayed, ephemeral ones have None."""

    channel: str
    type: str
    data: bytes
    position: int | None
    frame: bytes

    @classmethod
    def durable(cls, channel: str, type: str, data: bytes, position: int, epoch: str) -> Self:
        """An event of the log; its `id:` is the cursor of one who has read it."""
        return cls(channel, type, data, position, encode(event=type, data=data, id=f"{epoch}.{position}"))

    @classmethod
    def ephemeral(cls, channel: str, type: str, data: bytes) -> Self:
        """An event for those who listen now; it has no `id:` and moves no cursor."""
        return cls(channel, type, data, None, encode(event=type, data=data))


def confirmation_frame(data: Mapping[str, object] | bytes, retry_ms: int, id: str | None) -> bytes:
    """The first frame of a stream; `id` is None when a reset follows. `data` may be ready JSON."""
    return encode(event="connection_confirmed", data=_json(data), id=id, retry=retry_ms)


def reset_frame(data: Mapping[str, object] | bytes, id: str) -> bytes:
    """What a stream gets instead of a replay: fetch everything and go on from `id`."""
    return encode(event="reset", data=_json(data), id=id)


def bye_frame(reason: ByeReason, retry_ms: int) -> bytes:
    """The last frame of a stream that the hub ends."""
    return encode(event="bye", data=_json({"reason": reason}), retry=retry_ms)


def heartbeat_frame(data: Mapping[str, object] | bytes, id: str) -> bytes:
    """A sign of life; `id` is where the stream stands, so that a quiet one does not grow old."""
    return encode(event="heartbeat", data=_json(data), id=id)


def random_delay_ms(bounds: tuple[int, int], random: Random) -> int:
    """A random wait within `bounds`, both included, in milliseconds."""
    return random.randint(*bounds)


def _checked(text: str) -> str:
    if _FORBIDDEN.search(text):
        raise ValueError("an event's type and id must not contain CR, LF or NUL")
    return text


def _json(data: Mapping[str, object] | bytes) -> bytes:
    return data if isinstance(data, bytes) else json.dumps(data, separators=(",", ":")).encode()
