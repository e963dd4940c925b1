"""JSON objects of accounts."""

from services.schemas import Role, Schema


class Me(Schema, frozen=True):
    """The current user."""

    id: str
    email: str | None
    name: str
    role: Role
    skills: list[str]
    created_at: str


class Profile(Schema, frozen=True):
    """The public profile of a user."""

    id: str
    name: str
    role: Role
    skills: list[str]
    jobs_done: int
    member_since: str


class ListedUser(Schema, frozen=True):
    """A user in the list for operators; `external_id` is the id in another system."""

    id: str
    email: str | None
    external_id: str | None
    name: str
    role: Role
    created_at: str
    disabled_at: str | None


class SignInResult(Schema, frozen=True):
    """The result of sign-up and log-in: the current user and a session token, which browsers also get as a cookie."""

    user: Me
    token: str


class Session(Schema, frozen=True):
    """A signed-in browser or program; `current` marks the session of this request."""

    id: str
    user_agent: str | None
    address: str | None
    created_at: str
    used_at: str
    current: bool


class SessionList(Schema, frozen=True):
    """A page of sessions; pass `next` as `after`."""

    items: list[Session]
    next: str | None


class ApiKey(Schema, frozen=True):
    """An API key of a service, without the key itself."""

    name: str
    scopes: list[str]
    created_at: str
    revoked_at: str | None


class Ticket(Schema, frozen=True):
    """A stream ticket; it opens one stream once within `expires_in` seconds."""

    ticket: str
    expires_in: int
