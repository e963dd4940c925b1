"""Creates groups, adds and removes members, renames and mutes."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from services.accounts import users
from services.accounts.users import UserRef
from services.errors import Conflict, Forbidden, InvalidField
from services.ids import new_id
from services.messages import conversations, events, log_redaction, membership, notifications
from services.messages.events import MessageStateEvent
from services.messages.membership import MAX_MEMBERS, UnreadCounts
from services.messages.schemas import Conversation
from services.tables import conversation_members
from services.tables import conversations as conversation_rows

_c, _m = conversation_rows.c, conversation_members.c

_INSERT, _INSERT_MEMBERS = insert(conversation_rows), insert(conversation_members)
_DELETE_MEMBER = delete(conversation_members).where(
    _m.conversation_id == bindparam("conversation_id"), _m.user_id == bindparam("user_id")
)
_OLDEST_MEMBER = (
    select(_m.user_id)
    .where(_m.conversation_id == bindparam("conversation_id"))
    .order_by(_m.joined_at, _m.user_id)
    .limit(1)
)
# Bind names of an UPDATE's condition begin with `where_`: SQLAlchemy would take a column's name for a value to set.
_UPDATE = update(conversation_rows).where(_c.id == bindparam("where_id"))
_SET_CREATOR = _UPDATE.values(creator_id=bindparam("creator_id"))
_SET_TITLE = _UPDATE.values(title=bindparam("title"), updated_at=bindparam("updated_at"))
_SET_UPDATED_AT = _UPDATE.values(updated_at=bindparam("updated_at"))
_SET_MUTED = (
    update(conversation_members)
    .where(_m.conversation_id == bindparam("where_conversation_id"), _m.user_id == bindparam("where_user_id"))
    .values(muted=bindparam("muted"), notify_at=None)
)


def create(
    tx: Connection, *, creator_id: str, member_ids: Sequence[str], title: str | None = None, now: int
) -> Conversation:
    """Create an empty group of its creator and these users. Raises InvalidField and Forbidden (a block)."""
    resolved = _resolve(tx, "/memberIds", member_ids)
    others = [user_id for user_id in resolved if user_id != creator_id]
    if not others:
        raise InvalidField("/memberIds", "length", "A group needs at least one other member.")
    if len(others) >= MAX_MEMBERS:
        raise _too_many_members("/memberIds")
    _require_none_blocked(tx, creator_id, others)
    conversation_id, activity_seq = new_id(), membership.next_position(tx)
    row = {
        "id": conversation_id,
        "kind": "group",
        "title": title,
        "direct_key": None,
        "creator_id": creator_id,
        "last_seq": 0,
        "created_at": now,
        "updated_at": now,
    }
    tx.execute(_INSERT, row)
    user_ids = [creator_id, *others]
    rows = [member_row(conversation_id, user_id, now=now, activity_seq=activity_seq) for user_id in user_ids]
    tx.execute(_INSERT_MEMBERS, rows)
    _publish_joined(tx, conversation_id, title, user_ids, user_ids, now)
    return conversations.get_conversation(tx, conversation_id=conversation_id, user_id=creator_id)


def add_members(
    tx: Connection, *, conversation_id: str, actor_id: str, user_ids: Sequence[str], history: bool, now: int
) -> Conversation:
    """Add users to a group; with `history` they see earlier messages. Existing members are left as they are.

    Raises NotFound, Conflict (not a group), Forbidden (not the creator, or a block) and InvalidField.
    """
    group = membership.get_as_creator(tx, conversation_id=conversation_id, user_id=actor_id)
    present = membership.load_member_ids(tx, conversation_id)
    present_ids = set(present)
    new_ids = [user_id for user_id in _resolve(tx, "/userIds", user_ids) if user_id not in present_ids]
    if len(present) + len(new_ids) > MAX_MEMBERS:
        raise _too_many_members("/userIds")
    _require_none_blocked(tx, actor_id, new_ids)
    if new_ids:
        from_seq, read_seq = (0, group.last_seq) if history else (group.last_seq, 0)
        activity_seq = membership.next_position(tx)
        rows = [
            member_row(
                conversation_id, user_id, now=now, from_seq=from_seq, read_seq=read_seq, activity_seq=activity_seq
            )
            for user_id in new_ids
        ]
        tx.execute(_INSERT_MEMBERS, rows)
        tx.execute(_SET_UPDATED_AT, {"where_id": conversation_id, "updated_at": now})
        _publish_joined(tx, conversation_id, group.title, new_ids, [*present, *new_ids], now)
    return conversations.get_conversation(tx, conversation_id=conversation_id, user_id=actor_id)


def remove_member(tx: Connection, *, conversation_id: str, actor_id: str, user_id: str, now: int) -> None:
    """Remove a user from a group; members may remove themselves, its creator may remove anyone.

    The conversation leaves the user's event log and inbox in the same transaction. When the creator leaves, the
    oldest member becomes the creator. Raises NotFound, Conflict (not a group) and Forbidden.
    """
    group = membership.get_membership(tx, conversation_id=conversation_id, user_id=actor_id)
    if group.kind != "group":
        raise Conflict("You cannot leave a direct conversation. Mute it or block the other user instead.")
    if user_id != actor_id:
        membership.get_as_creator(tx, conversation_id=conversation_id, user_id=actor_id)
        membership.get_membership(tx, conversation_id=conversation_id, user_id=user_id)
    tx.execute(_DELETE_MEMBER, {"conversation_id": conversation_id, "user_id": user_id})
    notifications.retract_for_reader(tx, user_id=user_id, conversation_id=conversation_id, now=now)
    log_redaction.redact_conversation(tx, user_id=user_id, conversation_id=conversation_id)
    _replace_creator(tx, group, user_id)
    tx.execute(_SET_UPDATED_AT, {"where_id": group.id, "updated_at": now})
    _publish_removed(tx, group, user_id, now)


def update_group(
    tx: Connection,
    *,
    conversation_id: str,
    user_id: str,
    rename: bool = False,
    title: str | None = None,
    muted: bool | None = None,
    now: int,
) -> Conversation:
    """Set the `title` of a group if `rename` is true, and mute or unmute a conversation for this user.

    Only the creator may rename a group. Raises NotFound, Conflict (not a group) and Forbidden.
    """
    row = membership.get_membership(tx, conversation_id=conversation_id, user_id=user_id)
    if rename:
        row = membership.get_as_creator(tx, conversation_id=conversation_id, user_id=user_id)
    if rename and row.title != title:
        tx.execute(_SET_TITLE, {"where_id": conversation_id, "title": title, "updated_at": now})
        renamed = MessageStateEvent(
            conversation_id=conversation_id, kind="members", members=[], removed=[], title=title
        )
        events.publish_to_others(tx, renamed, membership.load_member_ids(tx, conversation_id), now=now)
    if muted is not None and bool(row.muted) != muted:
        parameters = {"where_conversation_id": conversation_id, "where_user_id": user_id, "muted": int(muted)}
        tx.execute(_SET_MUTED, parameters)
        event = MessageStateEvent(conversation_id=conversation_id, kind="muted", muted=muted)
        counts = UnreadCounts(row.unread, membership.load_unread_total(tx, user_id))
        events.publish_changed(tx, event, {user_id: counts}, now=now)
    return conversations.get_conversation(tx, conversation_id=conversation_id, user_id=user_id)


def member_row(
    conversation_id: str, user_id: str, *, now: int, from_seq: int = 0, read_seq: int = 0, activity_seq: int = 0
) -> dict[str, Any]:
    """Return the row of a new member who sees messages after `from_seq` and has read up to `read_seq`."""
    return {
        "conversation_id": conversation_id,
        "user_id": user_id,
        "from_seq": from_seq,
        "read_seq": read_seq,
        "delivered_seq": read_seq,
        "activity_seq": activity_seq,
        "unread": 0,
        "muted": 0,
        "last_active_at": 0,
        "notify_at": None,
        "joined_at": now,
    }


def _resolve(tx: Connection, pointer: str, user_ids: Sequence[str]) -> list[str]:
    refs = [UserRef(f"{pointer}/{index}", user_id) for index, user_id in enumerate(user_ids)]
    return list(dict.fromkeys(users.resolve_refs(tx, refs=refs)))


def _require_none_blocked(tx: Connection, actor_id: str, user_ids: Sequence[str]) -> None:
    if membership.find_blocked(tx, user_id=actor_id, ids=user_ids):
        raise Forbidden("You cannot add one of these users to a group.")


def _too_many_members(pointer: str) -> InvalidField:
    return InvalidField(pointer, "length", f"A conversation has at most {MAX_MEMBERS} members.")


def _publish_joined(
    tx: Connection,
    conversation_id: str,
    title: str | None,
    joined_ids: Sequence[str],
    member_ids: Sequence[str],
    now: int,
) -> None:
    members = conversations.load_members(tx, conversation_id=conversation_id, user_ids=joined_ids)
    event = MessageStateEvent(conversation_id=conversation_id, kind="members", members=members, removed=[], title=title)
    events.publish_to_others(tx, event, member_ids, now=now)


def _replace_creator(tx: Connection, group: Row[*tuple[Any, ...]], removed_id: str) -> None:
    oldest_id = tx.execute(_OLDEST_MEMBER, {"conversation_id": group.id}).scalar_one_or_none()
    if group.creator_id == removed_id and oldest_id is not None:
        tx.execute(_SET_CREATOR, {"where_id": group.id, "creator_id": oldest_id})


def _publish_removed(tx: Connection, group: Row[*tuple[Any, ...]], removed_id: str, now: int) -> None:
    event = MessageStateEvent(
        conversation_id=group.id, kind="members", members=[], removed=[removed_id], title=group.title
    )
    events.publish_to_others(tx, event, membership.load_member_ids(tx, group.id), now=now)
    # The removed user receives the removal without the title, as the last event of this conversation.
    own_event = MessageStateEvent(conversation_id=group.id, kind="members", members=[], removed=[removed_id])
    counts = UnreadCounts(0, membership.load_unread_total(tx, removed_id))
    events.publish_changed(tx, own_event, {removed_id: counts}, now=now)
