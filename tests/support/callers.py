"""Callers: one caller of each kind, for tests that send the same request as every kind."""

import secrets
from dataclasses import dataclass
from typing import Final

from api.operations.policy import Policy
from services.accounts.api_keys import SCOPES
from tests.support.hub import PASSWORD, HubClients, Person
from tests.support.server import Server

CALLER_KINDS: Final = ("anonymous", "client", "freelancer", "admin", "service")


@dataclass(frozen=True, slots=True)
class Callers:
    """A user of each role, and the API key of a service with all scopes."""

    client: Person
    freelancer: Person
    admin: Person
    service: str

    def credentials(self, kind: str) -> Person | str | None:
        """Return what `HubClients.client` takes as the caller: a Person, an API key, or None for `anonymous`."""
        by_kind: dict[str, Person | str] = {
            "client": self.client,
            "freelancer": self.freelancer,
            "admin": self.admin,
            "service": self.service,
        }
        return by_kind.get(kind)


@dataclass(frozen=True, slots=True)
class Staff:
    """The callers that only commands can create: the e-mail address of an admin and the API key of a service."""

    admin_email: str
    api_key: str


def create_staff(server: Server) -> Staff:
    """Create an admin and a service with all scopes."""
    email = f"admin-{secrets.token_hex(4)}@example.org"
    result = server.cli("users", "create", email, "--role", "admin", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert result.returncode == 0, result.stderr
    return Staff(email, server.api_key(email, SCOPES))


async def create_callers(hub: HubClients, staff: Staff) -> Callers:
    """Create new users and a new admin session, so that a test can revoke them without effect on other tests."""
    return Callers(
        client=await hub.signup("client"),
        freelancer=await hub.signup("freelancer"),
        admin=await hub.login(staff.admin_email),
        service=staff.api_key,
    )


def allowed_kind(policy: Policy) -> str:
    """Return one kind of caller that the policy admits."""
    if policy.public:
        return "anonymous"
    if policy.scopes:
        return "service"
    return next(role for role in ("client", "freelancer", "admin") if role in policy.roles)
