"""RealtimeManager: who is listening, from the first frame of a stream to the last; all parts of this ring meet here."""

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
from realtime.rate_limiter import RateLimitResult as LimiterVerdict
from realtime.resume import ResumeDecision, ResumePolicy
from realtime.stalled_streams import StallDetector
from realtime.stream import Stream
from realtime.stream_registry import RegistrySnapshot, StreamRegistry
from realtime.stream_timers import TimerWheel

Confirm = Callable[[Stream, Cursor | None], bytes]


class RealtimeManager:
    """Everything runs on one event loop and, unless it says `async`, in one step."""

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
        """`clock` gives monotonic seconds, `wall` milliseconds since the epoch, `process` is a
        name that no other process has or had; `on_gone` is called with users who have had no stream
        for `idle_seconds`, once each time they leave."""
        self.options = options
        self._clock, self._wall, self._random = clock, wall_clock, random
        self._process, self._numbers = process_id, count(1)
        backlog = Backlog(options.backlog_events, options.backlog_bytes)
        self._fan_out = FanOut(options, backlog, lambda session: self._catch_up.resume_on_drain(session))
        self._catch_up = CatchUp(self._fan_out, history, options, self.end_stream)
        self._judge = ResumePolicy(options, backlog, history)
        self._wheel = TimerWheel(self._fan_out, options, random, wall_clock, partial(self.end_stream, reason="rotate"))
        self._stalls = StallDetector(options.stall_seconds)
        self._registry = StreamRegistry()
        self.presence = PresenceTracker()
        self._admission = AdmissionControl(options, self._registry)
        self._absent = IdleUsers(options.idle_seconds)
        self._upkeep = Housekeeping(
            options,
            self._wheel,
            self._stalls,
            self._registry,
            self._admission,
            self._absent,
            on_stalled=self.stream_closed,
            on_users_idle=on_users_idle,
        )
        self._started_at = clock()
        self._hand: asyncio.Task[None] | None = None

    # Life

    async def start(self) -> None:
        """Bind to the running loop and set the wheel in motion. `seed` before or after, but before streams open."""
        loop = asyncio.get_running_loop()
        self._fan_out.bind_loop(loop)
        self._catch_up.bind_loop(loop)
        self._started_at = self._clock()
        self._hand = loop.create_task(self._upkeep.run(self._clock), name="realtime-upkeep")

    async def stop(self) -> None:
        """End every stream and all that runs; no harm if it was never started."""
        self.shutdown()
        await self._catch_up.stop()
        if self._hand is not None:
            self._hand.cancel()
            await asyncio.gather(self._hand, return_exceptions=True)
            self._hand = None

    def seed(self, events: Sequence[Event], floor: int, head: int) -> None:
        """Fill the ring from the log: all its events past `floor`, in order, up to `head`, its last position."""
        self._fan_out.seed(events, floor, head)

    def tick(self, now: float) -> None:
        """What time brings at `now` (seconds of the clock): heartbeats, rotation, stalls, forgetting."""
        self._upkeep.tick(now)

    # Events

    @property
    def head(self) -> int:
        """The last position published."""
        return self._fan_out.head

    def last_position(self, channel: str) -> int:
        """The last position of this channel that memory holds, 0 if it holds none."""
        return self._fan_out.backlog.last_position(channel)

    def publish(self, events: Sequence[Event]) -> None:
        """Give events to their listeners, in order of position; durable ones must be on disk.

        Raises ValueError, and does nothing, when a position is not later than all before it.
        """
        self._fan_out.publish(events)

    def forget(self, positions: Iterable[int]) -> None:
        """Take events back that are no longer in the log: nobody who comes or is behind gets them."""
        taken_back = tuple(positions)
        self._fan_out.forget(taken_back)
        self._catch_up.forget(taken_back)

    # Streams

    def admit(self, user_id: str, address: str, now: float | None = None) -> ByeReason | None:
        """Why this user may not open a stream from there now, or None; a yes counts as one connect.

        `now` in seconds of the manager's clock (None: now). Call it with no await between it and `open`.
        """
        return self._admission.stream_rejection(user_id, address, self._clock() if now is None else now)

    def decide_resume_from_memory(
        self, cursor: Cursor | None, malformed: bool, channels: Sequence[str], own_channel: str
    ) -> ResumeDecision | None:
        """How a stream with this cursor begins, if memory can tell; None: ask `judge_log`."""
        return self._judge.from_memory(cursor, malformed, channels, own_channel, self._fan_out.head)

    async def decide_resume_from_log(self, cursor: Cursor, channels: Sequence[str], own_channel: str) -> ResumeDecision:
        """How a stream with this cursor of our epoch begins, by the log; raises what the log raises."""
        return await self._judge.from_log(cursor, channels, own_channel)

    async def decide_resume(
        self, cursor: Cursor | None, malformed: bool, channels: Sequence[str], own_channel: str
    ) -> ResumeDecision:
        """`judge_now`, and `judge_log` if it must be."""
        verdict = self.decide_resume_from_memory(cursor, malformed, channels, own_channel)
        if verdict is not None or cursor is None:
            return verdict or ResumeDecision.fresh()
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
        """Open a stream: confirmation, then `reset` or what was missed, then live; no gap and no repeat at the seams.

        `confirm` builds the first frame from the session and the cursor it reads on from, None when a reset follows.
        """
        now = self._clock()
        position = self._fan_out.head if decision.position is None else decision.position
        session = Stream(
            number=next(self._numbers),
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
        first = confirm(session, cursor)
        self._registry.add(session)
        self._absent.connected(user_id)
        self._wheel.add(session, now)
        self.presence.connected(user_id, now)
        if decision.reason:
            self._catch_up.send_reset(session, decision.reason, first)
        else:
            # A fresh stream too: one that has missed nothing since the cursor it was just told.
            self._catch_up.feed(session, first)
        return session

    def end_stream(self, session: Stream, reason: ByeReason) -> None:
        """Say goodbye to a stream, and why; no harm if it is closed."""
        if session.state != "closed":
            self.reject(session.sink, reason)
            self.stream_closed(session)

    def reject(self, sink: Sink, reason: ByeReason) -> None:
        """Say goodbye on a sink, and why; it may take as long to finish as a stream may stall."""
        sink.end(self.bye_frame(reason))
        self._stalls.watch_closing(sink, self._clock())

    def end_session_streams(self, session_id: str, reason: ByeReason, *, user_id: str | None) -> None:
        """End the streams of one signed-in login of a user, or of one API key (no user)."""
        for session in self._registry.for_session(session_id, user_id):
            self.end_stream(session, reason)

    def end_user_streams(self, user_id: str, reason: ByeReason) -> None:
        """End the streams of one user."""
        for session in self._registry.for_user(user_id):
            self.end_stream(session, reason)

    def shutdown(self, max_streams: int | None = None) -> None:
        """Write what waits, then end every stream, or so many of them."""
        self._fan_out.flush()
        for session in islice(self._registry, max_streams):
            self.end_stream(session, "shutdown")

    def stream_closed(self, session: Stream) -> None:
        """The transport is gone: undo all that `open` did. The one place for it; no harm if it is called again."""
        if session.state == "closed":
            return
        if session.state == "live":
            self._fan_out.suspend(session)
        session.state = "closed"
        self._wheel.remove(session)
        self._registry.remove(session)
        if not self._registry.for_user(session.user_id):
            now = self._clock()
            self._absent.disconnected(session.user_id, now)
            self.presence.disconnected(session.user_id, now)

    def stream_id(self, session: Stream) -> str:
        """What a stream is called outside: no other ever had that name."""
        return f"{self._process}-{session.number}"

    def opened_at(self, session: Stream) -> int:
        """When it was opened, in milliseconds since the epoch."""
        return self._wall() - round((self._clock() - session.opened_at) * 1_000)

    def stream_cursor(self, session: Stream) -> Cursor:
        """How far a stream has been given everything."""
        self._fan_out.flush()
        return Cursor(self.options.epoch, self._fan_out.delivered_position(session))

    def bye_frame(self, reason: ByeReason) -> bytes:
        """A `bye` frame with its own wait; for those who were not admitted, too."""
        return bye_frame(reason, random_delay_ms(RETRY_MS[reason], self._random))

    def reconnect_delay_ms(self) -> int:
        """How long a client waits after its stream broke, in milliseconds: the `retry:` of the confirmation."""
        return random_delay_ms(RECONNECT_MS, self._random)

    def allow_send(self, user_id: str) -> LimiterVerdict:
        """Count one send of a user, if the limit allows it."""
        return self._admission.send_rejection(user_id, self._clock())

    # Numbers

    @property
    def connections(self) -> int:
        """Open streams."""
        return len(self._registry)

    @property
    def users_online(self) -> int:
        """Users with at least one open stream."""
        return self._registry.users_online

    @property
    def queued(self) -> int:
        """Events that wait for the end of this turn of the loop."""
        return self._fan_out.queues.total_queued()

    @property
    def delivered(self) -> int:
        """Events written to streams, each counted once per stream."""
        return self._fan_out.delivered

    @property
    def dropped(self) -> int:
        """Events not written live because a stream was too slow; it reads the durable ones from the log."""
        return self._fan_out.dropped

    @property
    def uptime_seconds(self) -> int:
        """Since the start."""
        return int(self._clock() - self._started_at)

    def is_online(self, user_id: str) -> bool:
        """Whether a user has an open stream."""
        return bool(self._registry.for_user(user_id))

    def snapshot(self) -> RegistrySnapshot:
        """Listeners per channel and all sessions, for admins."""
        return self._registry.snapshot()
