"""Limits against guessing: failed log-ins per account and per address, sign-ups per address."""

from collections.abc import Callable

from api.addresses import group
from api.settings import Settings
from realtime.limiter import Limit, Limiter, Verdict
from services.errors import RateLimited

# Accounts and addresses remembered by each limiter: 20 MB at the very most.
REMEMBERED = 100_000


class Attempts:
    """Counts what went wrong. `clock` gives seconds and does not go back; e-mail addresses are in lower case."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._account = _Counted("failed log-ins to this account", settings.login_rate_limit)
        self._address = _Counted("failed log-ins from your address", settings.login_address_rate_limit)
        self._sign_up = _Counted("sign-ups from your address", settings.signup_rate_limit)

    def check(self, email: str, address: str) -> None:
        """Raises RateLimited while this account or address has failed too often; counts nothing."""
        self._account.check(email, self._clock())
        self._address.check(group(address), self._clock())

    def failed(self, email: str, address: str) -> None:
        """A log-in has failed, whether or not there is such an account."""
        self._account.take(email, self._clock())
        self._address.take(group(address), self._clock())

    def sign_up(self, address: str) -> None:
        """Somebody signs up. Raises RateLimited when too many did from there."""
        self._sign_up.refuse(self._sign_up.take(group(address), self._clock()))


class _Counted:
    """One limiter, and what it is called."""

    def __init__(self, name: str, limit: Limit | None) -> None:
        self._name = name
        self._limit = limit
        self._limiter = Limiter(limit, REMEMBERED)

    def take(self, key: str, now: float) -> Verdict:
        return self._limiter.hit(key, now)

    def check(self, key: str, now: float) -> None:
        self.refuse(self._limiter.peek(key, now))

    def refuse(self, verdict: Verdict) -> None:
        if self._limit is None or verdict.allowed:
            return
        raise RateLimited(
            self._name,
            count=self._limit.count,
            window=self._limit.per_seconds,
            remaining=verdict.remaining,
            retry_after=verdict.retry_after,
        )
