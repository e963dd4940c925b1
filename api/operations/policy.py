"""Who may call an operation: roles, a service's scope, or anybody."""

from dataclasses import dataclass

from services.accounts.callers import Caller
from services.errors import Forbidden, Unauthenticated
from services.event_log.channels import ROLES


@dataclass(frozen=True)
class Policy:
    """The roles that may call, the scope a service needs, and whether anybody may."""

    name: str
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    public: bool = False

    def check(self, caller: Caller) -> None:
        """Raises Unauthenticated for nobody, Forbidden for the wrong role or scope."""
        if self.public:
            return
        if caller.kind == "anonymous":
            raise Unauthenticated
        if caller.user is not None and caller.user.role in self.roles:
            return
        if caller.kind == "service" and caller.scopes & self.scopes:
            return
        if caller.kind == "service":
            raise Forbidden(f"This needs {self.name}.")
        raise Forbidden(f"This is for {self.name}; you are signed in as {caller.user.role if caller.user else '?'}.")


ANYBODY = Policy("anybody", public=True)
USER = Policy("a signed-in user", frozenset(ROLES))
CLIENT = Policy("clients", frozenset({"client"}))
FREELANCER = Policy("freelancers", frozenset({"freelancer"}))
ADMIN = Policy("admins", frozenset({"admin"}))


def service(*scopes: str, roles: frozenset[str] = frozenset()) -> Policy:
    """Services whose key has one of these scopes, and users of these roles."""
    name = "an API key with the scope " + " or ".join(scopes)
    return Policy(name, roles, frozenset(scopes))
