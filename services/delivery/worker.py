"""DeliveryWorker: sends due deliveries, a bounded number at a time, with retries."""

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
from services.times import HOUR_MS, SECOND_MS

POLL_SECONDS: Final = 0.5
STOP_TIMEOUT_SECONDS: Final = 2.0
# Concurrent deliveries, in all and for one user, so that slow push services of one user do not delay the others.
MAX_CONCURRENT: Final = 32
MAX_CONCURRENT_PER_USER: Final = 4
# Retries follow after 5 s, 15 s, 45 s and so on, at most one hour, each varied at random by up to 20 %.
FIRST_RETRY_MS: Final = 5 * SECOND_MS
MAX_RETRY_MS: Final = HOUR_MS
MAX_ATTEMPTS: Final = 9
# Upper limit of a push service's Retry-After.
MAX_RETRY_AFTER_MS: Final = 24 * HOUR_MS


class DeliveryWorker:
    """Sends due deliveries in the background. `clock` returns wall time in milliseconds."""

    def __init__(
        self,
        database: Database,
        push: PushClient,
        email: EmailSender,
        attention: UserAttention,
        *,
        origin: str,
        clock: Callable[[], int],
        random: Random,
    ) -> None:
        self._database, self._push, self._email, self._attention = database, push, email, attention
        self._origin, self._clock, self._random = origin, clock, random
        self._background = BackgroundTask(
            "delivery", interval_seconds=POLL_SECONDS, run_once=self._poll, on_error=self._log_failed_poll
        )
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._tasks_by_user: Counter[str] = Counter()
        self._log = structlog.get_logger("push")

    async def start(self) -> None:
        """Start to send; the database must be running."""
        self._background.start()

    async def stop(self) -> None:
        """Stop. Deliveries that do not finish in time are sent again after the next start."""
        await self._background.stop()
        await self.finish(STOP_TIMEOUT_SECONDS)
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._push.stop()

    async def finish(self, seconds: float) -> None:
        """Wait for the current deliveries, at most `seconds`."""
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=seconds)

    async def run_once(self) -> bool:
        """Start as many due deliveries as the limits allow; return whether more may be due. Raises DomainError."""
        free_slots = MAX_CONCURRENT - len(self._tasks)
        if free_slots <= 0:
            return True
        busy = [user_id for user_id, count in self._tasks_by_user.items() if count >= MAX_CONCURRENT_PER_USER]
        limit = free_slots + len(self._tasks)
        due = await self._database.read(queue.load_due, now=self._clock(), busy_user_ids=busy, limit=limit)
        for delivery in due:
            if delivery.id not in self._tasks and self._tasks_by_user[delivery.user_id] < MAX_CONCURRENT_PER_USER:
                self._start_delivery(delivery)
        return len(due) == limit

    async def _poll(self) -> bool:
        """Start due deliveries. Return True, after a delivery has finished, when more may be due."""
        more = await self.run_once()
        if not more or not self._tasks:
            return False
        await asyncio.wait(self._tasks.values(), timeout=POLL_SECONDS, return_when="FIRST_COMPLETED")
        return True

    def _log_failed_poll(self, error: Exception) -> None:
        self._log.warning("delivery_poll_failed", error=repr(error))

    def _start_delivery(self, delivery: Delivery) -> None:
        self._tasks_by_user[delivery.user_id] += 1
        task = asyncio.get_running_loop().create_task(self._run_delivery(delivery), name="delivery")
        self._tasks[delivery.id] = task
        task.add_done_callback(lambda _: self._remove_task(delivery))

    def _remove_task(self, delivery: Delivery) -> None:
        del self._tasks[delivery.id]
        self._tasks_by_user[delivery.user_id] -= 1
        if not self._tasks_by_user[delivery.user_id]:
            del self._tasks_by_user[delivery.user_id]

    async def _run_delivery(self, delivery: Delivery) -> None:
        try:
            await self._process_or_retry(delivery)
        except Exception as error:
            # The store did not save the outcome, so the delivery is still due. The pause prevents a busy loop.
            self._log.warning("delivery_outcome_not_saved", delivery=delivery.id, error=repr(error))
            await asyncio.sleep(FIRST_RETRY_MS / 1_000)

    async def _process_or_retry(self, delivery: Delivery) -> None:
        try:
            await self._process(delivery)
        except Exception as error:
            # An unexpected error counts as an attempt. Otherwise such deliveries would stay due and occupy all slots.
            self._log.warning("delivery_failed", delivery=delivery.id, error=repr(error))
            await self._retry_later(delivery, "internal", None)

    async def _process(self, delivery: Delivery) -> None:
        now, user_id = self._clock(), delivery.user_id
        decision = queue.decide(
            delivery,
            now=now,
            user_active=self._attention.is_active(user_id),
            acknowledged_position=self._attention.acknowledged_position(user_id),
        )
        if isinstance(decision, Skip):
            await self._record_outcome(delivery, "skipped", decision.reason)
        elif isinstance(decision, Postpone):
            await self._postpone(delivery, decision.until, decision.reason, user_active=decision.user_active)
        elif push_payload.expires_at(delivery) <= now:
            await self._record_outcome(delivery, "failed", "too late")
        elif delivery.method == "email":
            await self._send_email(delivery, now)
        else:
            await self._send_push(delivery, now)

    async def _send_email(self, delivery: Delivery, now: int) -> None:
        if not self._email.enabled:
            return await self._record_outcome(delivery, "skipped", "nowhere")
        try:
            await self._email.send(delivery, now=now)
        except PermanentFailure as error:
            await self._record_outcome(delivery, "failed", str(error))
        except TemporaryFailure as error:
            await self._retry_later(delivery, str(error), None)
        else:
            await self._record_outcome(delivery, "sent", None)
        return None

    async def _send_push(self, delivery: Delivery, now: int) -> None:
        message = PushMessage(
            payload=push_payload.payload(delivery, origin=self._origin),
            ttl=max(1, (push_payload.expires_at(delivery) - now) // SECOND_MS),
            urgency=push_payload.URGENCY[delivery.priority],
            topic=push_payload.topic(delivery.collapse_key),
        )
        try:
            response = await self._push.send(
                delivery.endpoint or "", p256dh=delivery.p256dh, auth=delivery.auth, message=message, now=now
            )
        except Unreachable as error:
            await self._retry_later(delivery, str(error), None)
        except ResolverBusy:
            # Lookups of other hosts are the reason, so this is not counted as an attempt.
            await self._postpone(delivery, now + FIRST_RETRY_MS, "busy")
        else:
            await self._handle_response(delivery, response)

    async def _handle_response(self, delivery: Delivery, response: PushResponse) -> None:
        """Record the outcome of a response; only 404 and 410 mean that the subscription is gone (RFC 8030, 7.3)."""
        status = response.status
        if 200 <= status < 300:
            await self._record_outcome(delivery, "sent", None)
        elif status in (404, 410):
            await self._database.write(
                push_subscriptions.delete_gone, ids=[delivery.subscription_id or ""], reason="gone", now=self._clock()
            )
        elif status == 429 or status >= 500:
            await self._retry_later(delivery, f"status {status}", response.retry_after)
        else:
            # Redirects are rejected too: the push service must not choose where the hub connects.
            self._log.warning("push_rejected", delivery=delivery.id, status=status)
            await self._record_outcome(delivery, "failed", f"status {status}")

    async def _retry_later(self, delivery: Delivery, reason: str, retry_after: float | None) -> None:
        now = self._clock()
        if delivery.tries + 1 >= MAX_ATTEMPTS:
            return await self._record_outcome(delivery, "failed", reason)
        delay_ms = min(FIRST_RETRY_MS * 3**delivery.tries, MAX_RETRY_MS) * self._random.uniform(0.8, 1.2)
        if retry_after is not None:
            delay_ms = min(max(delay_ms, retry_after * 1_000), MAX_RETRY_AFTER_MS)
        until = now + round(delay_ms)
        if delivery.subscription_id is not None:
            # All deliveries to this browser wait, not only this one.
            await self._database.write(
                push_subscriptions.pause, subscription_id=delivery.subscription_id, until=until, now=now
            )
        await self._postpone(delivery, until, reason, attempted=True)
        return None

    async def _record_outcome(self, delivery: Delivery, outcome: queue.Outcome, reason: str | None) -> None:
        await self._database.write(
            queue.record_outcome, id=delivery.id, outcome=outcome, reason=reason, now=self._clock()
        )

    async def _postpone(
        self, delivery: Delivery, until: int, reason: str, *, attempted: bool = False, user_active: bool = False
    ) -> None:
        await self._database.write(
            queue.postpone,
            id=delivery.id,
            until=until,
            reason=reason,
            attempted=attempted,
            user_active=user_active,
            now=self._clock(),
        )
