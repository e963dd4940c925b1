"""JSON objects of accounts."""

from services.schemas import Role, Schema


class Me(Schema, frozen=True):
    """A user as they see themselves."""

    id: str
    email: str | None
    name: str
    role: Role
    skills: list[str]
    created_at: str


class Profile(Schema, frozen=True):
    """A user as others see them."""

    id: str
    name: str
    role: Role
    skills: list[str]
    jobs_done: int
    member_since: str


class ListedUser(Schema, frozen=True):
    """A user as an operator sees them; `external_id` is what another system calls them."""

    id: str
    email: str | None
    external_id: str | None
    name: str
    role: Role
    created_at: str
    disabled_at: str | None


class SignInResult(Schema, frozen=True):
    """What signing up or in gives: who one is, and a token for programs (browsers get it as a cookie too)."""

    user: Me
    token: str


class Session(Schema, frozen=True):
    """A signed-in browser or program; `current` is the one that asks."""

    id: str
    user_agent: str | None
    address: str | None
    created_at: str
    used_at: str
    current: bool


class SessionList(Schema, frozen=True):
    """A page of logins; `next` goes into `after`."""

    items: list[Session]
    next: str | None


class ApiKey(Schema, frozen=True):
    """A service's key; what it is nobody can tell any more."""

    name: str
    scopes: list[str]
    created_at: str
    revoked_at: str | None


class Ticket(Schema, frozen=True):
    """What opens one stream, once, within `expires_in` seconds."""

    ticket: str
    expires_in: int
