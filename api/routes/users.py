"""Public profiles and external users."""

from typing import Literal

from api.http.bodies import Body, Line80
from api.operations.call import Call
from api.routes.auth import Email
from services import text
from services.accounts import profiles
from services.accounts.schemas import Me, Profile
from services.errors import InvalidField
from services.payments import registration

MAX_EXTERNAL_ID = 128
# The server decodes invalid UTF-8 in a path to this character, which would make different ids equal.
REPLACEMENT_CHARACTER = "\ufffd"


class ExternalUser(Body, frozen=True):
    """A user of another system; absent or null leaves a field unchanged. Only the `hub` command creates admins."""

    name: Line80
    role: Literal["client", "freelancer"] | None = None
    email: Email | None = None


async def upsert_external(call: Call[ExternalUser, None]) -> Me:
    """Create or update the user with this external id."""
    external_id = call.path("externalId")
    text.check_line(external_id, "externalId", MAX_EXTERNAL_ID)
    if REPLACEMENT_CHARACTER in external_id:
        raise InvalidField("externalId", "type", "The id in the path is not UTF-8.")
    return await call.write(
        registration.upsert_external_user,
        external_id=external_id,
        name=call.body.name,
        role=call.body.role,
        email=call.body.email,
        opening_balance=call.hub.settings.opening_balance,
    )


async def get_profile(call: Call[None, None]) -> Profile:
    """Get the public profile of a user."""
    return await call.read(profiles.get_profile, user_id=call.path("id"))
