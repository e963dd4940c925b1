"""The demo's conversations: made once, read but for what was said last, with their files."""

from pathlib import Path

from sqlalchemy import Connection

from services.accounts import users
from services.attachments.file_store import FileStore
from services.demo import conversations as demo_conversations
from services.messages import conversations, history
from services.schemas import Person
from services.times import DAY_MS

NOW = 100 * DAY_MS


def test_the_demo_talks_once_and_believably(tx: Connection, tmp_path: Path) -> None:
    store = FileStore(tmp_path / "hub.files")
    files = demo_conversations.create_files(store)
    people = [
        Person(users.create(tx, email=None, password_hash=None, name=name, role="client", now=0).id, name)
        for name in ("Ann", "Bob", "Eve")
    ]
    cast = {"owner": people[0], "hired": people[1], "applicant": people[2], "files": files, "now": NOW}
    assert demo_conversations.fill(tx, **cast) == 3  # type: ignore[arg-type]  # by name
    assert demo_conversations.fill(tx, **cast) == 0  # type: ignore[arg-type]
    listed = conversations.list_conversations(tx, user_id=people[0].id)
    assert [each.title for each in listed.items] == [demo_conversations.GROUP_TITLE, None, None]
    assert [each.unread for each in listed.items] == [1, 1, 1]
    sent = [
        m
        for each in listed.items
        for m in history.list_messages(tx, conversation_id=each.id, user_id=people[0].id).items
    ]
    attached = [file for message in sent for file in message.attachments]
    assert {file.name for file in attached} == {demo_conversations.NOTES_FILE, demo_conversations.SKETCH_FILE}
    assert all(store.path(file.hash).exists() for file in files.values())
