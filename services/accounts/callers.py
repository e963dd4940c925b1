"""Who is asking: nobody, a signed-in user or an internal service; known before any handler runs."""

from collections.abc import Sequence
from sys import intern
from typing import Any, Literal, Self, cast

import msgspec

from services.schemas import Role


class User(msgspec.Struct, frozen=True, gc=False):
    """A user as their own requests know them. `created_at` is milliseconds since 1970."""

    id: str
    email: str | None
    name: str
    role: Role
    skills: tuple[str, ...]
    created_at: int

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Self:
        """From a row that begins with id, email, name, role, skills (JSON) and created_at."""
        id, email, name, role, skills, created_at = row[:6]
        # One string for each role, not one for each user who is kept at hand.
        return cls(id, email, name, cast(Role, intern(role)), tuple(msgspec.json.decode(skills)), created_at)


class Caller(msgspec.Struct, frozen=True, gc=False):
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
    def session_key(self) -> str | None:
        """What this caller's streams end with: the login's id, or `key:<name>` for a ticket that a service took."""
        return self.login if self.service is None else f"key:{self.service}"

    @property
    def user_id(self) -> str | None:
        """The user's id, None for a service or nobody."""
        return None if self.user is None else self.user.id


ANONYMOUS = Caller("anonymous")
