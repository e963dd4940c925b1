"""Tickets: what opens one stream of a page of another origin, which can send neither cookie nor header."""

from api.http.bodies import Body, Id
from api.operations.call import Call
from services.accounts import users
from services.accounts.schemas import Ticket
from services.accounts.tokens import TICKET_SECONDS
from services.errors import Forbidden, InvalidField


class TicketFor(Body, frozen=True):
    """Whose stream; a user may leave it out, a service names them by our id or its own."""

    user_id: Id | None = None
    external_id: Id | None = None


async def take(call: Call[TicketFor | None, None]) -> Ticket:
    """Take a ticket for one stream: single use, 30 seconds."""
    ticket = call.hub.identities.ticket_for(await _whose(call, call.body or TicketFor()), call.caller)
    return Ticket(ticket=ticket, expires_in=TICKET_SECONDS)


async def _whose(call: Call[TicketFor | None, None], asked: TicketFor) -> str:
    if call.caller.user is not None:
        if asked.external_id is not None or asked.user_id not in (None, call.caller.user.id):
            raise Forbidden("A stream can only be opened for yourself.")
        return call.caller.user.id
    if (asked.user_id is None) == (asked.external_id is None):
        raise InvalidField("/userId", "type", "Name the user, by userId or by externalId.")
    pointer = "/externalId" if asked.user_id is None else "/userId"
    ref = users.UserRef(pointer, asked.user_id, asked.external_id)
    return (await call.read(users.resolve_refs, refs=[ref]))[0]
