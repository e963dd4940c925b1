"""Conversations, groups and blocks."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from api.http.bodies import Body, Id, Line80, PageQuery
from api.operations.call import Call
from services.messages import blocks, conversations, groups
from services.messages.membership import MAX_MEMBERS
from services.messages.schemas import BlockedUser, Conversation, Conversations
from services.pagination import Page
from services.presence import visibility

UserIds = Annotated[list[Id], Meta(min_length=1, max_length=MAX_MEMBERS)]


class NewGroup(Body, frozen=True):
    """A group of the current user and these users."""

    member_ids: UserIds
    title: Line80 | None = None


class ConversationUpdate(Body, frozen=True):
    """The new title of a group (null removes it), and whether the conversation is muted."""

    title: Line80 | UnsetType | None = UNSET
    muted: bool | None = None


class NewMembers(Body, frozen=True):
    """The users to add, and whether they see earlier messages."""

    user_ids: UserIds
    history: bool


async def list_conversations(call: Call[None, PageQuery]) -> Conversations:
    """List your conversations, last active first, with the unread total and a cursor to open the stream from."""
    return await call.read(
        conversations.list_conversations, user_id=call.user.id, limit=call.query.limit, after=call.query.after
    )


async def create(call: Call[NewGroup, None]) -> Conversation | bytes:
    """Create a group; the first message creates a direct conversation."""
    call.hub.rate_limits.changes.hit(call.user.id)
    return await call.write_idempotent(
        groups.create, creator_id=call.user.id, member_ids=call.body.member_ids, title=call.body.title
    )


async def get(call: Call[None, None]) -> Conversation:
    """Get one of your conversations."""
    return await call.read(conversations.get_conversation, conversation_id=call.path("id"), user_id=call.user.id)


async def update(call: Call[ConversationUpdate, None]) -> Conversation:
    """Rename a group that you created; mute or unmute a conversation for yourself."""
    call.hub.rate_limits.changes.hit(call.user.id)
    body = call.body
    return await call.write(
        groups.update_group,
        conversation_id=call.path("id"),
        user_id=call.user.id,
        rename=body.title is not UNSET,
        title=None if body.title is UNSET else body.title,
        muted=body.muted,
    )


async def add_members(call: Call[NewMembers, None]) -> Conversation | bytes:
    """Add users to a group that you created."""
    call.hub.rate_limits.changes.hit(call.user.id)
    return await call.write_idempotent(
        groups.add_members,
        conversation_id=call.path("id"),
        actor_id=call.user.id,
        user_ids=call.body.user_ids,
        history=call.body.history,
    )


async def remove_member(call: Call[None, None]) -> None:
    """Remove a user from a group that you created, or leave a group."""
    call.hub.rate_limits.changes.hit(call.user.id)
    await call.write(
        groups.remove_member, conversation_id=call.path("id"), actor_id=call.user.id, user_id=call.path("userId")
    )


async def block(call: Call[None, None]) -> None:
    """Block a user: no direct messages, typing or presence events in both directions."""
    call.hub.rate_limits.changes.hit(call.user.id)
    user_id, other_id = call.user.id, call.path("userId")
    visible = await call.read(visibility.load_visible, ids=[other_id], user_id=user_id)
    await call.write(blocks.block, user_id=user_id, other_id=other_id)
    if visible:
        call.hub.presence.publish_offline_to_each_other(user_id, other_id)


async def unblock(call: Call[None, None]) -> None:
    """Unblock a user."""
    call.hub.rate_limits.changes.hit(call.user.id)
    await call.write(blocks.unblock, user_id=call.user.id, other_id=call.path("userId"))


async def list_blocks(call: Call[None, PageQuery]) -> Page[BlockedUser]:
    """List blocked users."""
    return await call.read(blocks.list_blocks, user_id=call.user.id, limit=call.query.limit, after=call.query.after)
