"""Sends what is due by push and e-mail while the hub runs: a few at once, tried again when that makes sense."""

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Final

import structlog

from services.database.database import Database
from services.delivery import push_payload, push_subscriptions, queue
from services.delivery.dns_resolver import ResolverBusy
from services.delivery.email_sender import EmailSender
from services.delivery.push_client import PushClient, PushMessage, PushResponse, Unreachable
from services.delivery.queue import Delivery, Postpone, Skip
from services.delivery.smtp_client import PermanentFailure, TemporaryFailure
from services.presence.attention import UserAttention
from services.scheduling.background import BackgroundTask
from services.times import HOUR, SECOND

TURN_SECONDS: Final = 0.5
STOP_SECONDS: Final = 2.0
# Under way at once, in all and for one user: nobody's slow browsers keep the others waiting.
AT_ONCE: Final = 32
AT_ONCE_PER_USER: Final = 4
# Tried again after 5 s, 15 s, 45 s …, at most an hour later, each give or take a fifth.
FIRST_MS: Final = 5 * SECOND
MOST_MS: Final = HOUR
MAX_ATTEMPTS: Final = 9
# What a push service asks for is believed up to here.
WAIT_MS: Final = 24 * HOUR


class DeliveryWorker:
    """Runs beside the streams. `clock` gives wall time in ms."""

    def __init__(
        self,
        database: Database,
        service: PushClient,
        post: EmailSender,
        onlookers: UserAttention,
        *,
        origin: str,
        clock: Callable[[], int],
        random: Random,
    ) -> None:
        self._database, self._service, self._post, self._onlookers = database, service, post, onlookers
        self._origin, self._clock, self._random = origin, clock, random
        self._background = BackgroundTask("push", self._run)
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._of_user: Counter[str] = Counter()
        self._log = structlog.get_logger("push")

    async def start(self) -> None:
        """From here on, send; the database must run."""
        self._background.start()

    async def stop(self) -> None:
        """Stop; what does not end in time is sent again after the next start."""
        await self._background.stop()
        await self.finish(STOP_SECONDS)
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._service.stop()

    async def finish(self, seconds: float) -> None:
        """Wait for what is under way, at most so long."""
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=seconds)

    async def run_once(self) -> bool:
        """Begin to send what is due, as far as there is room; whether there was more than that. Raises DomainError."""
        room = AT_ONCE - len(self._under_way)
        if room <= 0:
            return True
        busy = [user_id for user_id, count in self._of_user.items() if count >= AT_ONCE_PER_USER]
        limit = room + len(self._under_way)
        due = await self._database.read(queue.load_due, now=self._clock(), busy=busy, limit=limit)
        for order in due:
            if order.id not in self._under_way and self._of_user[order.user_id] < AT_ONCE_PER_USER:
                self._begin(order)
        return len(due) == limit

    async def _run(self) -> None:
        while True:
            try:
                more = await self.run_once()
            except Exception as error:
                # One bad turn must not end it.
                self._log.warning("push_turn_failed", error=repr(error))
                more = False
            if more and self._under_way:
                await asyncio.wait(self._under_way.values(), timeout=TURN_SECONDS, return_when="FIRST_COMPLETED")
            else:
                await asyncio.sleep(TURN_SECONDS)

    def _begin(self, order: Delivery) -> None:
        self._of_user[order.user_id] += 1
        task = asyncio.get_running_loop().create_task(self._one(order), name="push one")
        self._under_way[order.id] = task
        task.add_done_callback(lambda _: self._ended(order))

    def _ended(self, order: Delivery) -> None:
        del self._under_way[order.id]
        self._of_user[order.user_id] -= 1
        if not self._of_user[order.user_id]:
            del self._of_user[order.user_id]

    async def _one(self, order: Delivery) -> None:
        try:
            await self._try(order)
        except Exception as error:
            # The store does not take what became of it. It stays due; the pause keeps it from being tried without end.
            self._log.warning("push_not_noted", push=order.id, error=repr(error))
            await asyncio.sleep(FIRST_MS / 1_000)

    async def _try(self, order: Delivery) -> None:
        try:
            await self._process(order)
        except Exception as error:
            # One that cannot be sent for a reason nobody thought of counts its tries like any other: if it stayed due,
            # a few of them would take all the room there is.
            self._log.warning("push_not_sent", push=order.id, error=repr(error))
            await self._retry_later(order, "internal", None)

    async def _process(self, order: Delivery) -> None:
        now, reader = self._clock(), order.user_id
        looking, stored = self._onlookers.is_active(reader), self._onlookers.acknowledged_position(reader)
        verdict = queue.decide(order, now=now, looking=looking, stored=stored)
        if isinstance(verdict, Skip):
            await self._settle(order, "skipped", verdict.reason)
        elif isinstance(verdict, Postpone):
            await self._later(order, verdict.until, verdict.reason, looked=verdict.looked)
        elif push_payload.expires_at(order) <= now:
            await self._settle(order, "failed", "too late")
        elif order.way == "email":
            await self._mail(order, now)
        else:
            await self._push(order, now)

    async def _mail(self, order: Delivery, now: int) -> None:
        if not self._post.enabled:
            return await self._settle(order, "skipped", "nowhere")
        try:
            await self._post.send(order, now=now)
        except PermanentFailure as error:
            await self._settle(order, "failed", str(error))
        except TemporaryFailure as error:
            await self._retry_later(order, str(error), None)
        else:
            await self._settle(order, "sent", None)
        return None

    async def _push(self, order: Delivery, now: int) -> None:
        message = PushMessage(
            plain=push_payload.payload(order, origin=self._origin),
            ttl=max(1, (push_payload.expires_at(order) - now) // SECOND),
            urgency=push_payload.URGENCY[order.priority],
            topic=push_payload.topic(order.collapse_key),
        )
        try:
            answer = await self._service.send(
                order.endpoint or "", p256dh=order.p256dh, auth=order.auth, message=message, now=now
            )
        except Unreachable as error:
            await self._retry_later(order, str(error), None)
        except ResolverBusy:
            # Others' names that nobody answers are not held against this one.
            await self._later(order, now + FIRST_MS, "busy")
        else:
            await self._answered(order, answer)

    async def _answered(self, order: Delivery, answer: PushResponse) -> None:
        """RFC 8030, 5 and 7.3: 404 and 410 say that the browser is gone, and nothing else does."""
        status = answer.status
        if 200 <= status < 300:
            await self._settle(order, "sent", None)
        elif status in (404, 410):
            await self._database.write(
                push_subscriptions.delete_gone, ids=[order.subscription_id or ""], why="gone", now=self._clock()
            )
        elif status == 429 or status >= 500:
            await self._retry_later(order, f"status {status}", answer.retry_after)
        else:
            # A redirect is one of these: whoever answers must not choose where we go.
            self._log.warning("push_refused", push=order.id, status=status)
            await self._settle(order, "failed", f"status {status}")

    async def _retry_later(self, order: Delivery, reason: str, retry_after: float | None) -> None:
        now = self._clock()
        if order.tries + 1 >= MAX_ATTEMPTS:
            return await self._settle(order, "failed", reason)
        wait = min(FIRST_MS * 3**order.tries, MOST_MS) * self._random.uniform(0.8, 1.2)
        if retry_after is not None:
            wait = min(max(wait, retry_after * 1_000), WAIT_MS)
        until = now + round(wait)
        if order.subscription_id is not None:
            # All that is for this browser waits, not only this one.
            await self._database.write(
                push_subscriptions.pause, subscription_id=order.subscription_id, until=until, now=now
            )
        await self._later(order, until, reason, tried=True)
        return None

    async def _settle(self, order: Delivery, fate: queue.Outcome, reason: str | None) -> None:
        await self._database.write(queue.record_outcome, id=order.id, fate=fate, reason=reason, now=self._clock())

    async def _later(
        self, order: Delivery, until: int, reason: str, *, tried: bool = False, looked: bool = False
    ) -> None:
        await self._database.write(
            queue.postpone, id=order.id, until=until, reason=reason, tried=tried, looked=looked, now=self._clock()
        )
