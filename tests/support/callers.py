"""One of each kind of caller, for tests that ask the same of everybody."""

import secrets
from dataclasses import dataclass
from typing import Final

from api.operations.policy import Policy
from services.accounts.api_keys import SCOPES
from tests.support.hub import PASSWORD, Hub, Person
from tests.support.server import Server

KINDS: Final = ("anonymous", "client", "freelancer", "admin", "service")


@dataclass(frozen=True, slots=True)
class Callers:
    """Nobody, a user of each role, and a service that may do everything."""

    client: Person
    freelancer: Person
    admin: Person
    service: str

    def credentials(self, kind: str) -> Person | str | None:
        """What `Hub.client` wants to know."""
        known: dict[str, Person | str] = {
            "client": self.client,
            "freelancer": self.freelancer,
            "admin": self.admin,
            "service": self.service,
        }
        return known.get(kind)


@dataclass(frozen=True, slots=True)
class Staff:
    """Who can only be made by command: an admin's e-mail address and a service's key."""

    admin: str
    service: str


def make_staff(server: Server) -> Staff:
    """New ones."""
    email = f"admin-{secrets.token_hex(4)}@example.org"
    made = server.cli("users", "create", email, "--role", "admin", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert made.returncode == 0, made.stderr
    return Staff(email, server.api_key(email, SCOPES))


async def make_callers(hub: Hub, staff: Staff) -> Callers:
    """New users and a new session of the admin's, so that whoever ends one ends nobody else's."""
    return Callers(
        client=await hub.signup("client"),
        freelancer=await hub.signup("freelancer"),
        admin=await hub.login(staff.admin),
        service=staff.service,
    )


def allowed(who: Policy) -> str:
    """A kind of caller that this policy lets through."""
    if who.anybody:
        return "anonymous"
    if who.scopes:
        return "service"
    return next(role for role in ("client", "freelancer", "admin") if role in who.roles)
