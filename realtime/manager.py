"""RealtimeManager: the public face of the in-memory delivery layer."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import count, islice
from random import Random

from realtime.admission import AdmissionControl
from realtime.backlog import Backlog
from realtime.catch_up import CatchUp
from realtime.cursor import Cursor
from realtime.event import RECONNECT_MS, RETRY_MS, ByeReason, Event, bye_frame, random_delay_ms
from realtime.fan_out import FanOut
from realtime.housekeeping import Housekeeping
from realtime.idle_users import IdleUsers
from realtime.options import RealtimeOptions
from realtime.ports import History, Sink
from realtime.presence import PresenceTracker
from realtime.rate_limiter import RateLimitResult
from realtime.resume import ResumeDecision, ResumePolicy
from realtime.stalled_streams import StallDetector
from realtime.stream import Stream
from realtime.stream_registry import RegistrySnapshot, StreamRegistry
from realtime.stream_timers import TimerWheel

Confirm = Callable[[Stream, Cursor | None], bytes]


class RealtimeManager:
    """Opens, feeds and ends streams. All methods run on one event loop; those without `async` are atomic."""

    def __init__(
        self,
        options: RealtimeOptions,
        *,
        history: History,
        clock: Callable[[], float],
        wall_clock: Callable[[], int],
        random: Random,
        process_id: str,
        on_users_idle: Callable[[Sequence[str]], None] = lambda user_ids: None,
    ) -> None:
        """`clock` returns monotonic seconds, `wall_clock` milliseconds since 1970. `process_id` is unique forever.

        `on_users_idle` is called with users who had no stream for `idle_seconds`.
        """
        self.options = options
        self._clock, self._wall_clock, self._random = clock, wall_clock, random
        self._process_id, self._stream_numbers = process_id, count(1)
        backlog = Backlog(options.backlog_events, options.backlog_bytes)
        self._fan_out = FanOut(options, backlog, lambda stream: self._catch_up.resume_on_drain(stream))
        self._catch_up = CatchUp(self._fan_out, history, options, self.end_stream)
        self._resume_policy = ResumePolicy(options, backlog, history)
        self._timers = TimerWheel(self._fan_out, options, random, wall_clock, partial(self.end_stream, reason="rotate"))
        self._stall_detector = StallDetector(options.stall_seconds)
        self._registry = StreamRegistry()
        self.presence = PresenceTracker()
        self._admission = AdmissionControl(options, self._registry)
        self._idle_users = IdleUsers(options.idle_seconds)
        self._housekeeping = Housekeeping(
            options,
            self._timers,
            self._stall_detector,
            self._registry,
            self._admission,
            self._idle_users,
            on_stalled=self.stream_closed,
            on_users_idle=on_users_idle,
        )
        self._started_at = clock()
        self._housekeeping_task: asyncio.Task[None] | None = None

    # Lifecycle

    async def start(self) -> None:
        """Bind to the running loop and start housekeeping. Call `seed` before the first stream opens."""
        loop = asyncio.get_running_loop()
        self._fan_out.bind_loop(loop)
        self._catch_up.bind_loop(loop)
        self._started_at = self._clock()
        self._housekeeping_task = loop.create_task(self._housekeeping.run(self._clock), name="realtime-housekeeping")

    async def stop(self) -> None:
        """End every stream and all tasks; harmless if `start` was never called."""
        self.shutdown()
        await self._catch_up.stop()
        if self._housekeeping_task is not None:
            self._housekeeping_task.cancel()
            await asyncio.gather(self._housekeeping_task, return_exceptions=True)
            self._housekeeping_task = None

    def seed(self, events: Sequence[Event], floor: int, head: int) -> None:
        """Fill the backlog from the log: all events after position `floor`, in order; `head` is the last position."""
        self._fan_out.seed(events, floor, head)

    def tick(self, now: float) -> None:
        """Run housekeeping for `now` (monotonic seconds): heartbeats, rotation, stalled streams, idle users."""
        self._housekeeping.tick(now)

    # Events

    @property
    def head(self) -> int:
        """The last published position."""
        return self._fan_out.head

    def last_position(self, channel: str) -> int:
        """Return the last position of a channel in the backlog, or 0 if the backlog holds none."""
        return self._fan_out.backlog.last_position(channel)

    def publish(self, events: Sequence[Event]) -> None:
        """Publish events to their subscribers in order of position. Durable events must be on disk.

        Raises ValueError and does nothing when a position is not after all previous ones.
        """
        self._fan_out.publish(events)

    def forget(self, positions: Iterable[int]) -> None:
        """Remove events that are no longer in the log, so that no stream receives them any more."""
        forgotten = tuple(positions)
        self._fan_out.forget(forgotten)
        self._catch_up.forget(forgotten)

    # Streams

    def admit(self, user_id: str, address: str, now: float | None = None) -> ByeReason | None:
        """Return why this user may not open a stream from this address, or None. None counts as one connect.

        `now` is in monotonic seconds (None: the current time). Do not await between this call and `open_stream`.
        """
        return self._admission.stream_rejection(user_id, address, self._clock() if now is None else now)

    def decide_resume_from_memory(
        self, cursor: Cursor | None, malformed: bool, channels: Sequence[str], own_channel: str
    ) -> ResumeDecision | None:
        """Return how a stream with this cursor starts. None: only `decide_resume_from_log` can decide."""
        return self._resume_policy.from_memory(cursor, malformed, channels, own_channel, self._fan_out.head)

    async def decide_resume_from_log(self, cursor: Cursor, channels: Sequence[str], own_channel: str) -> ResumeDecision:
        """Return how a stream with this cursor of the current epoch starts. Raises what the history raises."""
        return await self._resume_policy.from_log(cursor, channels, own_channel)

    async def decide_resume(
        self, cursor: Cursor | None, malformed: bool, channels: Sequence[str], own_channel: str
    ) -> ResumeDecision:
        """Decide from memory, and from the log if memory cannot decide."""
        decision = self.decide_resume_from_memory(cursor, malformed, channels, own_channel)
        if decision is not None or cursor is None:
            return decision or ResumeDecision.fresh()
        return await self.decide_resume_from_log(cursor, channels, own_channel)

    def open_stream(
        self,
        sink: Sink,
        *,
        user_id: str,
        channels: tuple[str, ...],
        own_channel: str,
        decision: ResumeDecision,
        session_id: str | None,
        address: str,
        confirm: Confirm,
    ) -> Stream:
        """Open a stream: it receives the confirmation, then a reset or the missed events, then live events.

        No event is missing or repeated between these parts. `confirm` returns the first frame; its arguments are the
        stream and its cursor, or None when a reset follows.
        """
        now = self._clock()
        position = self._fan_out.head if decision.position is None else decision.position
        stream = Stream(
            number=next(self._stream_numbers),
            user_id=user_id,
            channels=channels,
            own_channel=own_channel,
            session_id=session_id,
            address=address,
            sink=sink,
            position=position,
            opened_at=now,
        )
        cursor = None if decision.reason else Cursor(self.options.epoch, position)
        first = confirm(stream, cursor)
        self._registry.add(stream)
        self._idle_users.connected(user_id)
        self._timers.add(stream, now)
        self.presence.connected(user_id, now)
        if decision.reason:
            self._catch_up.send_reset(stream, decision.reason, first)
        else:
            # A fresh stream too: it has missed nothing since the cursor in its confirmation.
            self._catch_up.feed(stream, first)
        return stream

    def end_stream(self, stream: Stream, reason: ByeReason) -> None:
        """Send a bye frame and close the stream; harmless if it is closed."""
        if stream.state != "closed":
            self.reject(stream.sink, reason)
            self.stream_closed(stream)

    def reject(self, sink: Sink, reason: ByeReason) -> None:
        """Send a bye frame and end the sink; it is aborted if it does not drain within the stall time."""
        sink.end(self.bye_frame(reason))
        self._stall_detector.watch_closing(sink, self._clock())

    def end_session_streams(self, session_id: str, reason: ByeReason, *, user_id: str | None) -> None:
        """End the streams of one session of a user, or of one API key (`user_id` is None)."""
        for stream in self._registry.for_session(session_id, user_id):
            self.end_stream(stream, reason)

    def end_user_streams(self, user_id: str, reason: ByeReason) -> None:
        """End all streams of a user."""
        for stream in self._registry.for_user(user_id):
            self.end_stream(stream, reason)

    def shutdown(self, max_streams: int | None = None) -> None:
        """Write all queued events, then end all streams, or at most `max_streams` of them."""
        self._fan_out.flush()
        for stream in islice(self._registry, max_streams):
            self.end_stream(stream, "shutdown")

    def stream_closed(self, stream: Stream) -> None:
        """Undo everything that `open_stream` did, because the transport is closed. Further calls do nothing."""
        if stream.state == "closed":
            return
        if stream.state == "live":
            self._fan_out.suspend(stream)
        stream.state = "closed"
        self._timers.remove(stream)
        self._registry.remove(stream)
        if not self._registry.for_user(stream.user_id):
            now = self._clock()
            self._idle_users.disconnected(stream.user_id, now)
            self.presence.disconnected(stream.user_id, now)

    def stream_id(self, stream: Stream) -> str:
        """Return the public id of a stream. It is unique over all processes."""
        return f"{self._process_id}-{stream.number}"

    def opened_at(self, stream: Stream) -> int:
        """Return when the stream was opened, in milliseconds since 1970."""
        return self._wall_clock() - round((self._clock() - stream.opened_at) * 1_000)

    def stream_cursor(self, stream: Stream) -> Cursor:
        """Write all queued events, and return the cursor up to which the stream has received every event."""
        self._fan_out.flush()
        return Cursor(self.options.epoch, self._fan_out.delivered_position(stream))

    def bye_frame(self, reason: ByeReason) -> bytes:
        """Return a bye frame with a random reconnect delay for its reason."""
        return bye_frame(reason, random_delay_ms(RETRY_MS[reason], self._random))

    def reconnect_delay_ms(self) -> int:
        """Return the `retry:` of a confirmation: how long a client waits after its connection broke."""
        return random_delay_ms(RECONNECT_MS, self._random)

    def allow_send(self, user_id: str) -> RateLimitResult:
        """Count one send of a user if the rate limit allows it, and return the result."""
        return self._admission.send_rejection(user_id, self._clock())

    # Statistics

    @property
    def connections(self) -> int:
        """The number of open streams."""
        return len(self._registry)

    @property
    def users_online(self) -> int:
        """The number of users with at least one open stream."""
        return self._registry.users_online

    @property
    def queued(self) -> int:
        """The number of events that wait for the next round of writes."""
        return self._fan_out.queues.total_queued()

    @property
    def delivered(self) -> int:
        """The number of events written to streams, counted once per stream."""
        return self._fan_out.delivered

    @property
    def dropped(self) -> int:
        """The number of events not written live to slow streams, which read the durable ones later."""
        return self._fan_out.dropped

    @property
    def uptime_seconds(self) -> int:
        """Whole seconds since the start."""
        return int(self._clock() - self._started_at)

    def is_online(self, user_id: str) -> bool:
        """Return whether a user has an open stream."""
        return bool(self._registry.for_user(user_id))

    def snapshot(self) -> RegistrySnapshot:
        """Return the number of streams per channel and all streams, for administrators."""
        return self._registry.snapshot()
