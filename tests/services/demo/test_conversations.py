"""Demo conversations: created once, with attachments, and with one unread message each."""

from pathlib import Path

from sqlalchemy import Connection

from services.accounts import users
from services.attachments.file_store import FileStore
from services.demo import conversations as demo_conversations
from services.messages import conversations, history
from services.schemas import Person
from services.times import DAY_MS

NOW = 100 * DAY_MS


def test_demo_creates_conversations_once(tx: Connection, tmp_path: Path) -> None:
    store = FileStore(tmp_path / "hub.files")
    files = demo_conversations.create_files(store)
    users_by_name = [
        Person(users.create(tx, email=None, password_hash=None, name=name, role="client", now=0).id, name)
        for name in ("Ann", "Bob", "Eve")
    ]
    arguments = {
        "owner": users_by_name[0],
        "hired": users_by_name[1],
        "applicant": users_by_name[2],
        "files": files,
        "now": NOW,
    }
    assert demo_conversations.fill(tx, **arguments) == 3  # type: ignore[arg-type]  # the types of single arguments are lost
    assert demo_conversations.fill(tx, **arguments) == 0  # type: ignore[arg-type]
    listed = conversations.list_conversations(tx, user_id=users_by_name[0].id)
    assert [conversation.title for conversation in listed.items] == [demo_conversations.GROUP_TITLE, None, None]
    assert [conversation.unread for conversation in listed.items] == [1, 1, 1]
    messages = [
        message
        for conversation in listed.items
        for message in history.list_messages(tx, conversation_id=conversation.id, user_id=users_by_name[0].id).items
    ]
    attached = [file for message in messages for file in message.attachments]
    assert {file.name for file in attached} == {demo_conversations.NOTES_FILE, demo_conversations.SKETCH_FILE}
    assert all(store.path(file.hash).exists() for file in files.values())
