"""Channel names, and which user may subscribe to which."""

from collections.abc import Sequence

from services.errors import Forbidden, InvalidField

JOBS = "jobs"
ANNOUNCEMENTS = "announcements"
# For the hub itself (sign-outs, revoked keys); no stream can subscribe to it.
CONTROL = "control"
ROLES = ("client", "freelancer", "admin")
_ROLE_CHANNELS = ("role:client", "role:freelancer")


def user_channel(user_id: str) -> str:
    """Return the private channel of a user."""
    return f"user:{user_id}"


def role_channel(role: str) -> str:
    """Return the channel of all users with a role."""
    return f"role:{role}"


def user_of_channel(channel: str) -> str | None:
    """Return the user of a private channel, or None for a shared channel."""
    return channel.removeprefix("user:") if channel.startswith("user:") else None


def allowed_channels(user_id: str, role: str) -> tuple[str, ...]:
    """Return every channel that this user may subscribe to, the private one first."""
    private, shared = user_channel(user_id), (JOBS, ANNOUNCEMENTS)
    return (private, *shared, role_channel(role)) if role_channel(role) in _ROLE_CHANNELS else (private, *shared)


def resolve_channels(user_id: str, role: str, requested: Sequence[str] | None) -> tuple[str, ...]:
    """Return the channels of a stream: all allowed ones, or the requested ones in the order of `allowed_channels`.

    Raises InvalidField (unknown channel) and Forbidden.
    """
    allowed = allowed_channels(user_id, role)
    if requested is None:
        return allowed
    for name in requested:
        if name not in allowed and not is_channel(name):
            raise InvalidField("channels", "unknown channel", f"There is no channel called {name[:80]!r}.")
    for name in requested:
        if name not in allowed:
            raise Forbidden(f"You may not subscribe to {name}.")
    return tuple(name for name in allowed if name in requested)


def is_channel(name: str) -> bool:
    """Return whether a name has the form of a channel that streams can subscribe to."""
    if name in (JOBS, ANNOUNCEMENTS) or name in _ROLE_CHANNELS:
        return True
    user_id = user_of_channel(name)
    return user_id is not None and 1 <= len(user_id) <= 64 and user_id.replace("-", "").isalnum()
