"""Who is asking: nobody, a signed-in user or an internal service; known before any handler runs."""

from dataclasses import dataclass
from typing import Literal

from services.shapes import Role


@dataclass(frozen=True, slots=True)
class User:
    """A user as their own requests know them. `created_at` is milliseconds since 1970."""

    id: str
    email: str | None
    name: str
    role: Role
    skills: tuple[str, ...]
    created_at: int


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who asks.

    `login` is the id of the signed-in session the request came with (None for a service's ticket), `scopes` and
    `service` belong to the API key of an internal service.
    """

    kind: Literal["anonymous", "user", "service"]
    user: User | None = None
    login: str | None = None
    scopes: frozenset[str] = frozenset()
    service: str | None = None

    @property
    def key(self) -> str:
        """Under which name this caller's idempotency keys are kept: `user:<id>` or `service:<name>`."""
        if self.user is not None:
            return f"user:{self.user.id}"
        return "anonymous" if self.service is None else f"service:{self.service}"

    @property
    def user_id(self) -> str | None:
        """The user's id, None for a service or nobody."""
        return None if self.user is None else self.user.id


ANONYMOUS = Caller("anonymous")
