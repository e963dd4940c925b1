"""Limits against guessing: failed log-ins per account and per address, sign-ups per address."""

from collections.abc import Callable

from api.config.settings import Settings
from api.http.client_address import rate_limit_group
from api.http.pace import NamedRateLimit


class LoginAttempts:
    """Counts what went wrong. `clock` gives seconds and does not go back; e-mail addresses are in lower case."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._account = NamedRateLimit("failed log-ins to this account", settings.login_rate_limit, clock)
        self._address = NamedRateLimit("failed log-ins from your address", settings.login_address_rate_limit, clock)
        self._sign_up = NamedRateLimit("sign-ups from your address", settings.signup_rate_limit, clock)

    def check(self, email: str, address: str) -> None:
        """Raises RateLimited while this account or address has failed too often; counts nothing."""
        self._account.check(email)
        self._address.check(rate_limit_group(address))

    def failed(self, email: str, address: str) -> None:
        """A log-in has failed, whether or not there is such an account."""
        self._account.try_hit(email)
        self._address.try_hit(rate_limit_group(address))

    def sign_up(self, address: str) -> None:
        """Somebody signs up. Raises RateLimited when too many did from there."""
        self._sign_up.hit(rate_limit_group(address))
