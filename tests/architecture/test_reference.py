"""The generated pages of docs/reference are current and complete."""

import ast

import pytest

from scripts.reference import EVENTS, FOLDER, PAGES
from services.event_log import channels
from tests.architecture.source_files import RINGS, modules

# Event types of the control channel, which no stream receives.
CONTROL = {"user_changed", "session_revoked", "user_revoked", "key_revoked"}


@pytest.mark.parametrize("name", PAGES)
def test_reference_page_is_current(name: str) -> None:
    assert (FOLDER / name).read_text() == PAGES[name](), "run: make reference"


def test_reference_folder_has_no_other_page() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(PAGES)


def test_every_published_event_type_is_in_the_reference() -> None:
    published = {name for source in modules(*RINGS).values() for name in published_types(source)}
    assert {"notification", "job_created", "typing"} <= published
    assert published - CONTROL - {event.type for event in EVENTS} == set()
    assert channels.CONTROL not in {event.channel for event in EVENTS}


def test_event_rule_finds_a_planted_event_type() -> None:
    assert published_types("outbox.append(tx, channels.JOBS, 'planted', data, now=now)") == {"planted"}
    assert published_types("Event.ephemeral(channel, 'planted', data)") == {"planted"}
    assert published_types("_publish(tx, 'planted', job, keys, now)") == {"planted"}


def published_types(source: str) -> set[str]:
    """Return the event types that a module names in calls that publish an event."""
    return {
        argument.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("outbox.append", "Event.ephemeral", "_publish")
        for argument in node.args[1:3]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
