"""Conversations over HTTP: the list, groups and who is in them, and whom one does not want to hear of."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from api.http.bodies import Body, Id, Line80, PageQuery
from api.operations.call import Call
from services.messages import blocks, conversations, groups
from services.messages.membership import MAX_MEMBERS
from services.messages.schemas import BlockedUser, Conversation, Conversations
from services.pagination import Page
from services.presence import visibility

People = Annotated[list[Id], Meta(min_length=1, max_length=MAX_MEMBERS)]


class NewGroup(Body, frozen=True):
    """A group of oneself and these users."""

    member_ids: People
    title: Line80 | None = None


class Changes(Body, frozen=True):
    """Another title of a group (null: none), or whether one wants to be told of what is said."""

    title: Line80 | UnsetType | None = UNSET
    muted: bool | None = None


class Joining(Body, frozen=True):
    """Who joins, and whether they see what was said before."""

    user_ids: People
    history: bool


async def page(call: Call[None, PageQuery]) -> Conversations:
    """One's conversations, the last active first, with what is unread in all and the cursor to open the stream from."""
    return await call.read(
        conversations.list_conversations, user_id=call.user.id, limit=call.query.limit, after=call.query.after
    )


async def make(call: Call[NewGroup, None]) -> Conversation | bytes:
    """Make a group; a conversation of two begins with its first message."""
    call.hub.paces.change.hit(call.user.id)
    return await call.write_idempotent(
        groups.create, maker_id=call.user.id, member_ids=call.body.member_ids, title=call.body.title
    )


async def show(call: Call[None, None]) -> Conversation:
    """One of one's conversations."""
    return await call.read(conversations.get_conversation, conversation_id=call.path("id"), user_id=call.user.id)


async def change(call: Call[Changes, None]) -> Conversation:
    """Rename a group of one's own; mute a conversation for oneself, or not."""
    call.hub.paces.change.hit(call.user.id)
    body = call.body
    return await call.write(
        groups.update_group,
        conversation_id=call.path("id"),
        user_id=call.user.id,
        rename=body.title is not UNSET,
        title=None if body.title is UNSET else body.title,
        muted=body.muted,
    )


async def add(call: Call[Joining, None]) -> Conversation | bytes:
    """Take users into a group of one's own."""
    call.hub.paces.change.hit(call.user.id)
    return await call.write_idempotent(
        groups.add_members,
        conversation_id=call.path("id"),
        by=call.user.id,
        user_ids=call.body.user_ids,
        history=call.body.history,
    )


async def remove(call: Call[None, None]) -> None:
    """Take somebody out of a group of one's own, or leave one."""
    call.hub.paces.change.hit(call.user.id)
    await call.write(
        groups.remove_member, conversation_id=call.path("id"), by=call.user.id, user_id=call.path("userId")
    )


async def block(call: Call[None, None]) -> None:
    """Block somebody: no direct messages, no typing, no presence, in both directions."""
    call.hub.paces.change.hit(call.user.id)
    me, other = call.user.id, call.path("userId")
    seen = await call.read(visibility.load_visible, ids=[other], user_id=me)
    await call.write(blocks.block, user_id=me, other_id=other)
    if seen:
        call.hub.presence.publish_offline_to_each_other(me, other)


async def unblock(call: Call[None, None]) -> None:
    """Take a block back."""
    call.hub.paces.change.hit(call.user.id)
    await call.write(blocks.unblock, user_id=call.user.id, other_id=call.path("userId"))


async def blocked(call: Call[None, PageQuery]) -> Page[BlockedUser]:
    """Whom one has blocked."""
    return await call.read(blocks.list_blocks, user_id=call.user.id, limit=call.query.limit, after=call.query.after)
