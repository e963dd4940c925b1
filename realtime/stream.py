"""Stream: one open SSE connection, its channels and its position."""

from typing import Literal

from realtime.options import RealtimeOptions, exceeds
from realtime.ports import Sink

State = Literal["live", "catching_up", "closed"]


class Stream:
    """One open stream.

    `live`: receives events as they are published. `catching_up`: receives no live events, but pages of events after
    `position` until it reaches the head. `closed`: nothing is written any more.
    """

    __slots__ = (
        "address",
        "bytes_written",
        "joined_at",
        "last_round",
        "number",
        "opened_at",
        "own_channel",
        "position",
        "progress",
        "rotate_at",
        "session_id",
        "shared",
        "sink",
        "state",
        "unflushed_events",
        "user_id",
        "waiting_for_read",
        "wheel_slot",
    )

    def __init__(
        self,
        *,
        number: int,
        user_id: str,
        channels: tuple[str, ...],
        own_channel: str,
        session_id: str | None,
        address: str,
        sink: Sink,
        position: int,
        opened_at: float,
    ) -> None:
        """`number` is unique in this process. `opened_at` is in monotonic seconds.

        `session_id` is the key of the session or API key that the stream ends with, if any.
        """
        self.number = number
        self.user_id = user_id
        self.own_channel = own_channel if own_channel in channels else None
        self.shared = tuple(channel for channel in channels if channel != own_channel)
        self.session_id = session_id
        self.address = address
        self.sink = sink
        self.opened_at = opened_at
        # Everything up to here was written. For a live stream see FanOut.delivered_position.
        self.position = position
        self.state: State = "catching_up"
        # The last round of writes that included this stream, and the sequence number of the queues when it went live.
        self.last_round = 0
        self.joined_at = 0
        # Whether the stream waits for a page of the log.
        self.waiting_for_read = False
        # Events written since the sink was last drained.
        self.unflushed_events = 0
        # All bytes written. `progress` holds the largest number of bytes that the client had read, and when that was
        # recorded in monotonic seconds; None while nothing is buffered.
        self.bytes_written = 0
        self.progress: tuple[int, float] | None = None
        # The slot of the timer wheel, and when the stream is rotated in monotonic seconds (None: never).
        self.wheel_slot: dict[Stream, None] | None = None
        self.rotate_at: float | None = None

    @property
    def channels(self) -> tuple[str, ...]:
        """All channels of the stream, the user channel first. Not stored, to save one tuple per stream."""
        return self.shared if self.own_channel is None else (self.own_channel, *self.shared)

    def write(self, chunk: bytes) -> None:
        """Write without a limit: for the stream's own frames and for pages of a replay."""
        self.bytes_written += len(chunk)
        self.sink.write(chunk)

    def try_write_live(self, chunk: bytes, events: int, options: RealtimeOptions) -> bool:
        """Write live events. Return False and write nothing if the sink would buffer too much."""
        sink, size = self.sink, len(chunk)
        if sink.is_drained:
            self.unflushed_events = events
        else:
            unflushed = self.unflushed_events + events
            if exceeds(unflushed, options.queue_events) or exceeds(sink.buffered_bytes() + size, options.queue_bytes):
                return False
            self.unflushed_events = unflushed
        self.bytes_written += size
        sink.write(chunk)
        return True
