"""Users: their public profiles, and those that another system keeps, by their id there."""

from typing import Literal

from api.http.bodies import Body, Line80
from api.operations.call import Call
from api.routes.auth import Email
from services import text
from services.accounts import profiles
from services.accounts.schemas import Me, Profile
from services.errors import InvalidField
from services.payments import registration

EXTERNAL_ID_LENGTH = 128
# What the server writes where a path is not UTF-8; two such ids would be one.
UNREADABLE = "\ufffd"


class ExternalUser(Body, frozen=True):
    """What the other system knows of somebody; absent or null leaves it. Admins are made by the `hub` command alone."""

    name: Line80
    role: Literal["client", "freelancer"] | None = None
    email: Email | None = None


async def put_by_external_id(call: Call[ExternalUser, None]) -> Me:
    """Make a user of another system, or bring them up to date."""
    external_id = call.path("externalId")
    text.check_line(external_id, "externalId", EXTERNAL_ID_LENGTH)
    if UNREADABLE in external_id:
        raise InvalidField("externalId", "type", "The id in the path is not UTF-8.")
    return await call.write(
        registration.upsert_external_user,
        external_id=external_id,
        name=call.body.name,
        role=call.body.role,
        email=call.body.email,
        opening_balance=call.hub.settings.opening_balance,
    )


async def show(call: Call[None, None]) -> Profile:
    """Show what everybody may know of a user."""
    return await call.read(profiles.get_profile, user_id=call.path("id"))
