"""Who is in a group: made, joined, left; who leaves loses its events too."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from services.accounts import users
from services.accounts.users import UserRef
from services.errors import Conflict, Forbidden, InvalidField
from services.ids import new_id
from services.messages import conversations, events, log_redaction, membership, notifications
from services.messages.events import MessageStateEvent
from services.messages.membership import MAX_MEMBERS, Unread
from services.messages.schemas import Conversation
from services.tables import conversation_members
from services.tables import conversations as conversation_rows

_c, _m = conversation_rows.c, conversation_members.c

_MAKE, _JOIN = insert(conversation_rows), insert(conversation_members)
_LEAVE = delete(conversation_members).where(_m.conversation_id == bindparam("which"), _m.user_id == bindparam("who"))
_OLDEST = select(_m.user_id).where(_m.conversation_id == bindparam("which")).order_by(_m.joined_at, _m.user_id).limit(1)
_HAND_OVER = update(conversation_rows).where(_c.id == bindparam("which")).values(maker_id=bindparam("to"))
_RENAME = (
    update(conversation_rows)
    .where(_c.id == bindparam("which"))
    .values(title=bindparam("called"), updated_at=bindparam("now"))
)
_TOUCH = update(conversation_rows).where(_c.id == bindparam("which")).values(updated_at=bindparam("now"))
_MUTE = (
    update(conversation_members)
    .where(_m.conversation_id == bindparam("which"), _m.user_id == bindparam("who"))
    .values(muted=bindparam("silent"), notify_at=None)
)


def create(
    tx: Connection, *, maker_id: str, member_ids: Sequence[str], title: str | None = None, now: int
) -> Conversation:
    """Make a group of its maker and these users, in which nothing was said yet. Raises InvalidField and Forbidden."""
    found = _resolve(tx, "/memberIds", member_ids)
    others = [user_id for user_id in found if user_id != maker_id]
    if not others:
        raise InvalidField("/memberIds", "length", "A group is for more than oneself.")
    if len(others) >= MAX_MEMBERS:
        raise _too_many("/memberIds")
    _refuse_blocked(tx, maker_id, others)
    conversation_id, activity = new_id(), membership.next_position(tx)
    row = {
        "id": conversation_id,
        "kind": "group",
        "title": title,
        "pair": None,
        "maker_id": maker_id,
        "last_seq": 0,
        "created_at": now,
        "updated_at": now,
    }
    tx.execute(_MAKE, row)
    everybody = [maker_id, *others]
    tx.execute(_JOIN, [member_row(conversation_id, user_id, now=now, activity=activity) for user_id in everybody])
    _tell_joined(tx, conversation_id, title, everybody, everybody, now)
    return conversations.get_conversation(tx, conversation_id=conversation_id, user_id=maker_id)


def add_members(
    tx: Connection, *, conversation_id: str, by: str, user_ids: Sequence[str], history: bool, now: int
) -> Conversation:
    """Take users into a group; with `history` they see what was said before. Those who are in it already stay so.

    Raises NotFound, Conflict (no group), Forbidden (not its maker; blocked) and InvalidField.
    """
    group = membership.get_as_creator(tx, conversation_id=conversation_id, user_id=by)
    present = membership.member_ids(tx, conversation_id)
    here = set(present)
    joining = [user_id for user_id in _resolve(tx, "/userIds", user_ids) if user_id not in here]
    if len(present) + len(joining) > MAX_MEMBERS:
        raise _too_many("/userIds")
    _refuse_blocked(tx, by, joining)
    if joining:
        past, read = (0, group.last_seq) if history else (group.last_seq, 0)
        activity = membership.next_position(tx)
        rows = [
            member_row(conversation_id, user_id, now=now, past=past, read=read, activity=activity)
            for user_id in joining
        ]
        tx.execute(_JOIN, rows)
        tx.execute(_TOUCH, {"which": conversation_id, "now": now})
        _tell_joined(tx, conversation_id, group.title, joining, [*present, *joining], now)
    return conversations.get_conversation(tx, conversation_id=conversation_id, user_id=by)


def remove_member(tx: Connection, *, conversation_id: str, by: str, user_id: str, now: int) -> None:
    """Take a user out of a group, or leave it; out of their log and their inbox, too, in the same transaction.

    A group whose maker leaves is from then on that of its oldest member. Raises NotFound, Conflict and Forbidden.
    """
    group = membership.get_membership(tx, conversation_id=conversation_id, user_id=by)
    if group.kind != "group":
        raise Conflict("A conversation of two cannot be left; it can be muted, and the other one blocked.")
    if user_id != by:
        membership.get_as_creator(tx, conversation_id=conversation_id, user_id=by)
        membership.get_membership(tx, conversation_id=conversation_id, user_id=user_id)
    tx.execute(_LEAVE, {"which": conversation_id, "who": user_id})
    notifications.retract_for_reader(tx, user_id=user_id, conversation_id=conversation_id, now=now)
    log_redaction.redact_conversation(tx, user_id=user_id, conversation_id=conversation_id)
    _go_on_without(tx, group, user_id, now)


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
    """Give a group the `title` if one is to `rename` it (its maker may), mute a conversation for oneself, or not.

    Raises NotFound, Conflict and Forbidden.
    """
    row = membership.get_membership(tx, conversation_id=conversation_id, user_id=user_id)
    if rename:
        row = membership.get_as_creator(tx, conversation_id=conversation_id, user_id=user_id)
    if rename and row.title != title:
        tx.execute(_RENAME, {"which": conversation_id, "called": title, "now": now})
        event = MessageStateEvent(conversation_id=conversation_id, kind="members", members=[], removed=[], title=title)
        events.publish_to_others(tx, event, membership.member_ids(tx, conversation_id), now=now)
    if muted is not None and bool(row.muted) != muted:
        tx.execute(_MUTE, {"which": conversation_id, "who": user_id, "silent": int(muted)})
        silent = MessageStateEvent(conversation_id=conversation_id, kind="muted", muted=muted)
        counts = Unread(row.unread, membership.total(tx, user_id))
        events.publish_changed(tx, silent, {user_id: counts}, now=now)
    return conversations.get_conversation(tx, conversation_id=conversation_id, user_id=user_id)


def member_row(
    conversation_id: str, user_id: str, *, now: int, past: int = 0, read: int = 0, activity: int = 0
) -> dict[str, Any]:
    """The row of somebody who joins: sees what comes after `past`, and is taken to have read up to `read`."""
    return {
        "conversation_id": conversation_id,
        "user_id": user_id,
        "from_seq": past,
        "read_seq": read,
        "delivered_seq": read,
        "activity": activity,
        "unread": 0,
        "muted": 0,
        "looked_at": 0,
        "notify_at": None,
        "joined_at": now,
    }


def _resolve(tx: Connection, pointer: str, user_ids: Sequence[str]) -> list[str]:
    found = users.resolve_refs(tx, refs=[UserRef(f"{pointer}/{at}", user_id) for at, user_id in enumerate(user_ids)])
    return list(dict.fromkeys(found))


def _refuse_blocked(tx: Connection, by: str, user_ids: Sequence[str]) -> None:
    if membership.blocked_with(tx, user_id=by, ids=user_ids):
        raise Forbidden("One of these people cannot be in a group of yours.")


def _too_many(pointer: str) -> InvalidField:
    return InvalidField(pointer, "length", f"A conversation has at most {MAX_MEMBERS} members.")


def _tell_joined(
    tx: Connection,
    conversation_id: str,
    title: str | None,
    joined: Sequence[str],
    everybody: Sequence[str],
    now: int,
) -> None:
    shown = conversations.load_members(tx, conversation_id=conversation_id, user_ids=joined)
    event = MessageStateEvent(conversation_id=conversation_id, kind="members", members=shown, removed=[], title=title)
    events.publish_to_others(tx, event, everybody, now=now)


def _go_on_without(tx: Connection, group: Row[*tuple[Any, ...]], user_id: str, now: int) -> None:
    heir = tx.execute(_OLDEST, {"which": group.id}).scalar_one_or_none()
    if group.maker_id == user_id and heir is not None:
        tx.execute(_HAND_OVER, {"which": group.id, "to": heir})
    tx.execute(_TOUCH, {"which": group.id, "now": now})
    event = MessageStateEvent(
        conversation_id=group.id, kind="members", members=[], removed=[user_id], title=group.title
    )
    events.publish_to_others(tx, event, membership.member_ids(tx, group.id), now=now)
    # The last that they hear of it: that it is gone.
    gone = MessageStateEvent(conversation_id=group.id, kind="members", members=[], removed=[user_id])
    events.publish_changed(tx, gone, {user_id: Unread(0, membership.total(tx, user_id))}, now=now)
