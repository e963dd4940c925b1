"""A session is one open stream: who listens to what, where it stands, and the sink it writes to."""

from typing import Literal

from realtime.options import RealtimeOptions, exceeds
from realtime.ports import Sink

State = Literal["live", "behind", "closed"]


class Stream:
    """One open stream.

    `live`: it is given what is published, as it is published. `behind`: nothing live is written, it is fed pages from
    `position` on until it has caught up. `closed`: nothing is written any more.
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
        """`opened_at` in monotonic seconds; `login` is the signed-in login it belongs to, if any.

        `number` tells it from all other streams of this process.
        """
        self.number = number
        self.user_id = user_id
        self.own_channel = own_channel if own_channel in channels else None
        self.shared = tuple(channel for channel in channels if channel != own_channel)
        self.session_id = session_id
        self.address = address
        self.sink = sink
        self.opened_at = opened_at
        # Read up to here; while live it only counts when it is past what has been published (see Flow.stands_at).
        self.position = position
        self.state: State = "behind"
        # The round of writing in which it was last given something, and the place in the queues at which it joined.
        self.last_round = 0
        self.joined_at = 0
        # Waits for a read of the log.
        self.waiting_for_read = False
        # Events handed over since the sink was last found empty.
        self.unflushed_events = 0
        # Bytes handed over in all; the most of them that were seen taken, and when (None while nothing waits).
        self.bytes_written = 0
        self.progress: tuple[int, float] | None = None
        # The wheel's slot it is in, and when it is to be sent round (monotonic seconds; None: never).
        self.wheel_slot: dict[Stream, None] | None = None
        self.rotate_at: float | None = None

    @property
    def channels(self) -> tuple[str, ...]:
        """All it listens to, the user's own first; not kept: it would be another tuple for each stream."""
        return self.shared if self.own_channel is None else (self.own_channel, *self.shared)

    def write(self, chunk: bytes) -> None:
        """Write, no matter what waits: for frames of the stream's own, and pages whose turn it is."""
        self.bytes_written += len(chunk)
        self.sink.write(chunk)

    def try_write_live(self, chunk: bytes, events: int, options: RealtimeOptions) -> bool:
        """Write live events, unless too much would wait then: False, and nothing is written."""
        sink, size = self.sink, len(chunk)
        if sink.is_drained:
            self.unflushed_events = events
        else:
            waiting = self.unflushed_events + events
            if exceeds(waiting, options.queue_events) or exceeds(sink.buffered_bytes() + size, options.queue_bytes):
                return False
            self.unflushed_events = waiting
        self.bytes_written += size
        sink.write(chunk)
        return True
