"""Who may call an operation."""

from dataclasses import dataclass

from services.accounts.callers import Caller
from services.errors import Forbidden, Unauthenticated
from services.event_log.channels import ROLES


@dataclass(frozen=True)
class Policy:
    """Allowed roles, allowed scopes of services, and whether every caller is allowed; `name` is shown in errors."""

    name: str
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    public: bool = False

    def check(self, caller: Caller) -> None:
        """Raise Unauthenticated for an anonymous caller, and Forbidden for a wrong role or scope."""
        if self.public:
            return
        if caller.kind == "anonymous":
            raise Unauthenticated
        if caller.user is not None and caller.user.role in self.roles:
            return
        if caller.kind == "service" and caller.scopes & self.scopes:
            return
        if caller.kind == "service":
            raise Forbidden(f"This operation requires {self.name}.")
        raise Forbidden(
            f"This operation is for {self.name}; you are signed in as {caller.user.role if caller.user else '?'}."
        )


ANYBODY = Policy("anybody", public=True)
USER = Policy("a signed-in user", frozenset(ROLES))
CLIENT = Policy("clients", frozenset({"client"}))
FREELANCER = Policy("freelancers", frozenset({"freelancer"}))
ADMIN = Policy("admins", frozenset({"admin"}))


def service(*scopes: str, roles: frozenset[str] = frozenset()) -> Policy:
    """Return the policy for services with one of these scopes and for users of these roles."""
    name = "an API key with the scope " + " or ".join(scopes)
    return Policy(name, roles, frozenset(scopes))
