"""How fast everything but sends may come: moves of jobs, readings, edits, the inbox, typing, presence, uploads."""

from collections.abc import Callable

from api.config.settings import Settings
from api.http.pace import NamedRateLimit
from realtime.rate_limiter import RateLimit


class RequestRateLimits:
    """All of them; a page that behaves never meets one."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        # By sender and recipient: what one person may say to another, whatever they may say in all.
        self.pair = NamedRateLimit("messages to one person", settings.pair_rate_limit, clock)
        # What all open pages hear of, or writes in the books, as often as one may send.
        self.market = NamedRateLimit("changes of jobs and withdrawals", settings.rate_limit, clock)
        # By reader and conversation: one a second, and some at once.
        self.read = NamedRateLimit("read receipts", RateLimit(60, 60.0), clock)
        self.change = NamedRateLimit("changes of messages, conversations and oneself", RateLimit(60, 60.0), clock)
        # Reading, archiving and the like: each is a commit, and an event for all of one's pages.
        self.inbox = NamedRateLimit("changes of the inbox", RateLimit(300, 60.0), clock)
        # By user and conversation: what comes faster is not told, and is no error. That one has stopped is another
        # thing than that one has begun, or it would wait for the next time one does.
        self.typing = NamedRateLimit("typing", RateLimit(1, 3.0), clock)
        self.stopped = NamedRateLimit("typing", RateLimit(1, 3.0), clock)
        self.presence = NamedRateLimit("reports of presence", RateLimit(60, 60.0), clock)
        self.upload = NamedRateLimit("uploads", RateLimit(60, 60.0), clock)
        self.push = NamedRateLimit("push subscriptions and tests", RateLimit(30, 60.0), clock)
        # E-mails asked for, to one account and from one address: nobody's inbox is filled by others.
        self.mail = NamedRateLimit("e-mails to this account", RateLimit(5, 3_600.0), clock)
        self.mail_address = NamedRateLimit("e-mails asked for from your address", settings.signup_rate_limit, clock)
