"""Event, and the SSE frames it is encoded to once."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, Literal, Self

ByeReason = Literal["shutdown", "rotate", "logout", "revoked", "too_many_streams", "overloaded"]
ResetReason = Literal["trimmed", "epoch_changed", "ahead", "malformed"]

# How long a client waits before it reconnects after a bye frame, in milliseconds (minimum, maximum). The range
# prevents clients that were disconnected together from reconnecting together.
RETRY_MS: Final[Mapping[ByeReason, tuple[int, int]]] = {
    "rotate": (200, 1_000),
    "shutdown": (1_000, 5_000),
    "logout": (1_000, 5_000),
    "revoked": (1_000, 5_000),
    "overloaded": (5_000, 30_000),
    "too_many_streams": (60_000, 60_000),
}
# The same for a connection that breaks without a bye frame.
RECONNECT_MS: Final = (1_000, 3_000)

_LINE_END = re.compile(rb"\r\n|\n|\r")
# CR and LF would end the line; NUL makes a client ignore the id (HTML standard, 9.2.6; CWE-93).
_FORBIDDEN = re.compile(r"[\r\n\0]")


def encode(*, event: str | None, data: bytes, id: str | None = None, retry: int | None = None) -> bytes:
    """Return one block of the event stream format (WHATWG HTML, 9.2). `data` is UTF-8, `retry` is in milliseconds.

    A block always has data, because some clients dispatch an empty event for a block that has only `retry`.
    Raises ValueError for CR, LF or NUL in `event` or `id`, and for a negative `retry`.
    """
    head = "" if event is None else f"event: {_require_one_line(event)}\n"
    if id is not None:
        head += f"id: {_require_one_line(id)}\n"
    if retry is not None:
        if retry < 0:
            raise ValueError("retry must not be negative")
        head += f"retry: {retry}\n"
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(_LINE_END.split(data))
    return b"%bdata: %b\n\n" % (head.encode(), data)


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a channel. A durable event has a position and can be replayed; an ephemeral event has none."""

    channel: str
    type: str
    data: bytes
    position: int | None
    frame: bytes

    @classmethod
    def durable(cls, channel: str, type: str, data: bytes, position: int, epoch: str) -> Self:
        """Return an event of the log. The `id:` of its frame is the cursor after this event."""
        return cls(channel, type, data, position, encode(event=type, data=data, id=f"{epoch}.{position}"))

    @classmethod
    def ephemeral(cls, channel: str, type: str, data: bytes) -> Self:
        """Return an event for streams that are open now. Its frame has no `id:` and moves no cursor."""
        return cls(channel, type, data, None, encode(event=type, data=data))


def confirmation_frame(data: Mapping[str, object] | bytes, retry_ms: int, id: str | None) -> bytes:
    """Return the first frame of a stream. `id` is None when a reset follows. `data` may be encoded JSON."""
    return encode(event="connection_confirmed", data=_to_json(data), id=id, retry=retry_ms)


def reset_frame(data: Mapping[str, object] | bytes, id: str) -> bytes:
    """Return the frame that replaces a replay: the client fetches its data again and continues after `id`."""
    return encode(event="reset", data=_to_json(data), id=id)


def bye_frame(reason: ByeReason, retry_ms: int) -> bytes:
    """Return the last frame of a stream that the hub ends."""
    return encode(event="bye", data=_to_json({"reason": reason}), retry=retry_ms)


def heartbeat_frame(data: Mapping[str, object] | bytes, id: str) -> bytes:
    """Return a heartbeat. `id` is the stream's position, so that the cursor of a quiet stream stays recent."""
    return encode(event="heartbeat", data=_to_json(data), id=id)


def random_delay_ms(bounds: tuple[int, int], random: Random) -> int:
    """Return a random delay in milliseconds within `bounds`, both included."""
    return random.randint(*bounds)


def _require_one_line(text: str) -> str:
    if _FORBIDDEN.search(text):
        raise ValueError("an event's type and id must not contain CR, LF or NUL")
    return text


def _to_json(data: Mapping[str, object] | bytes) -> bytes:
    return data if isinstance(data, bytes) else json.dumps(data, separators=(",", ":")).encode()
