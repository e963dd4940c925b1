"""Rate limits of requests.

Sends are limited by the realtime layer. Every other limit of a request is here, with the error that names it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from api.config.settings import Settings
from api.http.client_address import rate_limit_group
from realtime.rate_limiter import RateLimit, RateLimiter, RateLimitResult
from services.errors import RateLimited

# Keys that each limiter remembers: at most 20 MB, and only while that many keys are in use.
MAX_KEYS: Final = 100_000


class NamedRateLimit:
    """A rate limiter with the name that its errors show. `clock` returns monotonic seconds."""

    def __init__(self, name: str, limit: RateLimit | None, clock: Callable[[], float]) -> None:
        self._name, self._limit, self._clock = name, limit, clock
        self._limiter = RateLimiter(limit, MAX_KEYS)

    def try_hit(self, key: str) -> bool:
        """Count one hit if the limit allows it; return whether it did."""
        return self._limiter.hit(key, self._clock()).allowed

    def hit(self, key: str) -> None:
        """Count one hit. Raises RateLimited when the limit is exceeded."""
        raise_if_exceeded(self._name, self._limit, self._limiter.hit(key, self._clock()))

    def check(self, key: str) -> None:
        """Raise RateLimited if the next hit would exceed the limit; count nothing."""
        raise_if_exceeded(self._name, self._limit, self._limiter.peek(key, self._clock()))


class LoginAttempts:
    """Limits failed log-ins per account and address, and sign-ups per address.

    `clock` returns monotonic seconds. E-mail addresses must be in lower case.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._account = NamedRateLimit("failed log-ins to this account", settings.login_rate_limit, clock)
        self._address = NamedRateLimit("failed log-ins from your address", settings.login_address_rate_limit, clock)
        self._sign_up = NamedRateLimit("sign-ups from your address", settings.signup_rate_limit, clock)

    def check(self, email: str, address: str) -> None:
        """Raise RateLimited while this account or address has too many failed log-ins; count nothing."""
        self._account.check(email)
        self._address.check(rate_limit_group(address))

    def record_failure(self, email: str, address: str) -> None:
        """Count a failed log-in, whether or not the account exists."""
        self._account.try_hit(email)
        self._address.try_hit(rate_limit_group(address))

    def hit_sign_up(self, address: str) -> None:
        """Count a sign-up. Raises RateLimited after too many sign-ups from this address."""
        self._sign_up.hit(rate_limit_group(address))


class RecipientRateLimit:
    """Limits the notifications that services send to one recipient; all services share it.

    `limit` is None where HUB_SERVICE_RATE_LIMIT is off. `clock` returns monotonic seconds.
    """

    def __init__(self, limit: RateLimit | None, clock: Callable[[], float]) -> None:
        self._limit, self._clock = limit, clock
        self._limiter = RateLimiter(limit, MAX_KEYS)

    @property
    def is_unlimited(self) -> bool:
        """Return whether no limit is set."""
        return self._limit is None

    def hit(self, user_ids: Sequence[str]) -> None:
        """Count one notification per entry. Raises RateLimited, and then counts none of them."""
        if self._limit is None:
            return
        now, counts = self._clock(), Counter(user_ids)
        for user_id, count in counts.items():
            result = self._limiter.peek(user_id, now)
            if result.remaining < count:
                raise rate_limited("notifications to one recipient", self._limit, result)
        for user_id in user_ids:
            self._limiter.hit(user_id, now)


class RequestRateLimits:
    """Every rate limit of requests except sends. The names are part of the responses."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self.login_attempts = LoginAttempts(settings, clock)
        self.recipients = RecipientRateLimit(settings.service_rate_limit, clock)
        # Keyed by sender and recipient.
        self.direct_messages = NamedRateLimit("messages to one person", settings.direct_message_rate_limit, clock)
        # As many as sends: these write ledger rows or events for every open page.
        self.job_changes = NamedRateLimit("changes of jobs and withdrawals", settings.rate_limit, clock)
        # Keyed by reader and conversation.
        self.read_receipts = NamedRateLimit("read receipts", RateLimit(60, 60.0), clock)
        self.changes = NamedRateLimit("changes of messages, conversations and your account", RateLimit(60, 60.0), clock)
        # Each change is one commit and one event for every page of the user.
        self.inbox_changes = NamedRateLimit("changes of the inbox", RateLimit(300, 60.0), clock)
        # Keyed by user and conversation. A report over the limit is not published and is no error. Starting and
        # stopping have separate limits, so that a stop is published directly after a start.
        self.typing_started = NamedRateLimit("typing", RateLimit(1, 3.0), clock)
        self.typing_stopped = NamedRateLimit("typing", RateLimit(1, 3.0), clock)
        self.presence_reports = NamedRateLimit("reports of presence", RateLimit(60, 60.0), clock)
        self.uploads = NamedRateLimit("uploads", RateLimit(60, 60.0), clock)
        self.push = NamedRateLimit("push subscriptions and tests", RateLimit(30, 60.0), clock)
        # Requested e-mails are limited per account, so that others cannot fill a user's mailbox, and per address.
        self.emails_to_account = NamedRateLimit("e-mails to this account", RateLimit(5, 3_600.0), clock)
        self.emails_from_address = NamedRateLimit(
            "e-mail requests from your address", settings.signup_rate_limit, clock
        )


def raise_if_exceeded(name: str, limit: RateLimit | None, result: RateLimitResult) -> None:
    """Raise RateLimited if the result is not allowed."""
    if limit is not None and not result.allowed:
        raise rate_limited(name, limit, result)


def rate_limited(name: str, limit: RateLimit, result: RateLimitResult) -> RateLimited:
    """Return the error for a request that exceeded this limit."""
    return RateLimited(
        name,
        count=limit.count,
        window=limit.per_seconds,
        remaining=result.remaining,
        retry_after=result.retry_after or limit.per_seconds / limit.count,
    )
