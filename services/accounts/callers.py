"""Caller: the anonymous client, user or service behind a request."""

from collections.abc import Sequence
from sys import intern
from typing import Any, Literal, Self, cast

import msgspec

from services.schemas import Role


class User(msgspec.Struct, frozen=True, gc=False):
    """A user account. `created_at` is in milliseconds since 1970."""

    id: str
    email: str | None
    name: str
    role: Role
    skills: tuple[str, ...]
    created_at: int

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Self:
        """Return the user of a row that begins with id, email, name, role, skills (JSON) and created_at."""
        id, email, name, role, skills, created_at = row[:6]
        # Interned, so that cached users share one string per role.
        return cls(id, email, name, cast(Role, intern(role)), tuple(msgspec.json.decode(skills)), created_at)


class Caller(msgspec.Struct, frozen=True, gc=False):
    """The caller of a request.

    `session_id` is the session of a signed-in user; it is None for a stream ticket issued to a service. `scopes` and
    `service` belong to the API key of an internal service.
    """

    kind: Literal["anonymous", "user", "service"]
    user: User | None = None
    session_id: str | None = None
    scopes: frozenset[str] = frozenset()
    service: str | None = None

    @property
    def key(self) -> str:
        """The owner of this caller's idempotency keys: `user:<id>` or `service:<name>`."""
        if self.user is not None:
            return f"user:{self.user.id}"
        return "anonymous" if self.service is None else f"service:{self.service}"

    @property
    def session_key(self) -> str | None:
        """The key that closes this caller's streams: the session id, or `key:<name>` for a service's stream ticket."""
        return self.session_id if self.service is None else f"key:{self.service}"

    @property
    def user_id(self) -> str | None:
        """The id of the user; None for a service and for an anonymous caller."""
        return None if self.user is None else self.user.id


ANONYMOUS = Caller("anonymous")
