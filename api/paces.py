"""How fast the small things of conversations may come: readings, edits, typing, reports of presence, uploads."""

from collections.abc import Callable

from api.settings import Settings
from realtime.limiter import Limit, Limiter
from services.errors import RateLimited

# Keys remembered by each limiter: 20 MB at the very most.
REMEMBERED = 100_000


class Pace:
    """One limiter, and what it counts is called. `clock` gives seconds and does not go back."""

    def __init__(self, name: str, limit: Limit | None, clock: Callable[[], float]) -> None:
        self._name, self._limit, self._clock = name, limit, clock
        self._limiter = Limiter(limit, REMEMBERED)

    def allows(self, key: str) -> bool:
        """Count one, if there is room."""
        return self._limiter.hit(key, self._clock()).allowed

    def count(self, key: str) -> None:
        """Count one. Raises RateLimited."""
        verdict = self._limiter.hit(key, self._clock())
        if self._limit is None or verdict.allowed:
            return
        raise RateLimited(
            self._name,
            count=self._limit.count,
            window=self._limit.per_seconds,
            remaining=verdict.remaining,
            retry_after=verdict.retry_after,
        )


class Paces:
    """All of them; a page that behaves never meets one."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        # By sender and recipient: what one person may say to another, whatever they may say in all.
        self.pair = Pace("messages to one person", settings.pair_rate_limit, clock)
        # By reader and conversation: one a second, and some at once.
        self.read = Pace("read receipts", Limit(60, 60.0), clock)
        self.change = Pace("changes of messages and conversations", Limit(60, 60.0), clock)
        # By user and conversation: what comes faster is not told, and is no error. That one has stopped is another
        # thing than that one has begun, or it would wait for the next time one does.
        self.typing = Pace("typing", Limit(1, 3.0), clock)
        self.stopped = Pace("typing", Limit(1, 3.0), clock)
        self.presence = Pace("reports of presence", Limit(60, 60.0), clock)
        self.upload = Pace("uploads", Limit(60, 60.0), clock)
        self.push = Pace("push subscriptions and tests", Limit(30, 60.0), clock)
        # E-mails asked for, to one account and from one address: nobody's inbox is filled by others.
        self.mail = Pace("e-mails to this account", Limit(5, 3_600.0), clock)
        self.mail_address = Pace("e-mails asked for from your address", settings.signup_rate_limit, clock)
