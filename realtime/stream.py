"""A session is one open stream: who listens to what, where it stands, and the sink it writes to."""

from typing import Literal

from realtime.options import RealtimeOptions, exceeds
from realtime.ports import Sink

State = Literal["live", "behind", "closed"]


class Session:
    """One open stream.

    `live`: it is given what is published, as it is published. `behind`: nothing live is written, it is fed pages from
    `position` on until it has caught up. `closed`: nothing is written any more.
    """

    __slots__ = (
        "address",
        "asked",
        "login",
        "number",
        "opened_at",
        "own_channel",
        "position",
        "progress",
        "pushed",
        "rotate_at",
        "round",
        "shared",
        "sink",
        "slot",
        "state",
        "turn",
        "user_id",
        "waiting",
    )

    def __init__(
        self,
        *,
        number: int,
        user_id: str,
        channels: tuple[str, ...],
        own_channel: str,
        login: str | None,
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
        self.login = login
        self.address = address
        self.sink = sink
        self.opened_at = opened_at
        # Read up to here; while live it only counts when it is past what has been published (see Flow.stands_at).
        self.position = position
        self.state: State = "behind"
        # The round of writing in which it was last given something, and the place in the queues at which it joined.
        self.round = 0
        self.turn = 0
        # Waits for a read of the log.
        self.asked = False
        # Events handed over since the sink was last found empty.
        self.waiting = 0
        # Bytes handed over in all; the most of them that were seen taken, and when (None while nothing waits).
        self.pushed = 0
        self.progress: tuple[int, float] | None = None
        # The wheel's slot it is in, and when it is to be sent round (monotonic seconds; None: never).
        self.slot: dict[Session, None] | None = None
        self.rotate_at: float | None = None

    @property
    def channels(self) -> tuple[str, ...]:
        """All it listens to, the user's own first; not kept: it would be another tuple for each stream."""
        return self.shared if self.own_channel is None else (self.own_channel, *self.shared)

    def push(self, chunk: bytes) -> None:
        """Write, no matter what waits: for frames of the stream's own, and pages whose turn it is."""
        self.pushed += len(chunk)
        self.sink.write(chunk)

    def offer(self, chunk: bytes, events: int, options: RealtimeOptions) -> bool:
        """Write live events, unless too much would wait then: False, and nothing is written."""
        sink, size = self.sink, len(chunk)
        if sink.clear:
            self.waiting = events
        else:
            waiting = self.waiting + events
            if exceeds(waiting, options.queue_events) or exceeds(sink.pressure() + size, options.queue_bytes):
                return False
            self.waiting = waiting
        self.pushed += size
        sink.write(chunk)
        return True
