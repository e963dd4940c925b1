"""The names of channels, and who may hear which; the only place that spells them."""

from collections.abc import Sequence

from services.errors import Forbidden, InvalidField

JOBS = "jobs"
ANNOUNCEMENTS = "announcements"
# Read by the hub itself (a log-out, a revoked key); no stream can ask for it.
CONTROL = "control"
ROLES = ("client", "freelancer", "admin")
_ROLE_CHANNELS = ("role:client", "role:freelancer")


def user_channel(user_id: str) -> str:
    """The private channel of one user."""
    return f"user:{user_id}"


def role_channel(role: str) -> str:
    """The channel that everybody of a role hears."""
    return f"role:{role}"


def user_of_channel(channel: str) -> str | None:
    """The user a private channel belongs to, None for a shared one."""
    return channel.removeprefix("user:") if channel.startswith("user:") else None


def allowed_channels(user_id: str, role: str) -> tuple[str, ...]:
    """Every channel this user may hear, their own first."""
    own, shared = user_channel(user_id), (JOBS, ANNOUNCEMENTS)
    return (own, *shared, role_channel(role)) if role_channel(role) in _ROLE_CHANNELS else (own, *shared)


def resolve_channels(user_id: str, role: str, asked: Sequence[str] | None) -> tuple[str, ...]:
    """The channels a stream listens to: all the user may hear, or those of them that were asked for.

    Raises InvalidField (unknown channel) and Forbidden.
    """
    allowed = allowed_channels(user_id, role)
    if asked is None:
        return allowed
    for name in asked:
        if name not in allowed and not is_channel(name):
            raise InvalidField("channels", "unknown channel", f"There is no channel called {name[:80]!r}.")
    for name in asked:
        if name not in allowed:
            raise Forbidden(f"You may not listen to {name}.")
    return tuple(name for name in allowed if name in asked)


def is_channel(name: str) -> bool:
    """Whether a name has the form of a channel that streams can listen to."""
    if name in (JOBS, ANNOUNCEMENTS) or name in _ROLE_CHANNELS:
        return True
    user_id = user_of_channel(name)
    return user_id is not None and 1 <= len(user_id) <= 64 and user_id.replace("-", "").isalnum()
