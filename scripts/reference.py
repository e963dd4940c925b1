"""Generates docs/reference from the code: `python -m scripts.reference`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from api.__main__ import COMMANDS
from api.config.settings import DEFINITIONS
from api.http.problems import STATUS_BY_CODE
from api.routes.presence import TypingEvent
from api.routes.stream import Confirmation
from api.routes.table import OPERATIONS
from services.errors import DomainError
from services.jobs.events import JobEvent
from services.jobs.lifecycle import TRANSITIONS, Precondition
from services.messages.events import MessageStateEvent
from services.messages.schemas import Message
from services.notifications.events import NotificationEvent, NotificationStateEvent
from services.notifications.schemas import Announcement
from services.presence.schemas import Presence

FOLDER: Final = Path(__file__).parents[1] / "docs" / "reference"

_PRECONDITIONS: Final[Mapping[Precondition | None, str]] = {
    None: "",
    "instant accept": ", the first one, if the job has `instantAccept`",
    "delivery over": ", `HUB_DELIVERY_DAYS` after acceptance",
    "review over": ", after `HUB_REVIEW_DAYS` (0: at once)",
    "expiry passed": ", within 5 s of `expiresAt`",
}


@dataclass(frozen=True)
class StreamEvent:
    """An event type of a stream. `data` is a struct of the JSON object, or the names of its fields."""

    type: str
    channel: str
    meaning: str
    data: Any

    @property
    def fields(self) -> str:
        """Return the JSON names of the fields of the data."""
        names = self.data
        if not isinstance(names, tuple):
            names = tuple(field.encode_name for field in msgspec.structs.fields(self.data))
        return ", ".join(f"`{name}`" for name in names)


_MESSAGE_FIELDS: Final = (*(field.encode_name for field in msgspec.structs.fields(Message)), "unread", "unreadTotal")

# A channel in parentheses: the event has no position and is not replayed.
EVENTS: Final = (
    StreamEvent("connection_confirmed", "(this stream)", "First event of every stream.", Confirmation),
    StreamEvent(
        "reset", "(this stream)", "The missed events cannot be replayed; fetch the state again.", ("reason", "cursor")
    ),
    StreamEvent("bye", "(this stream)", "The hub closes the stream; reconnect after `retry`.", ("reason",)),
    StreamEvent("heartbeat", "(this stream)", "The stream is alive; its `id` is the current cursor.", ("serverTime",)),
    StreamEvent("notification", "`user:ID`", "A notification arrived in the inbox.", NotificationEvent),
    StreamEvent("notification_state", "`user:ID`", "The state of notifications changed.", NotificationStateEvent),
    StreamEvent("message", "`user:ID`", "A message was sent to one of the user's conversations.", _MESSAGE_FIELDS),
    StreamEvent("message_state", "`user:ID`", "A message or a conversation changed, or was read.", MessageStateEvent),
    StreamEvent("typing", "(`user:ID`)", "Another member types or stopped typing.", TypingEvent),
    StreamEvent("presence", "(`user:ID`)", "The presence of another user changed.", Presence),
    StreamEvent("announcement", "`announcements`", "An announcement was published.", Announcement),
    StreamEvent("job_created", "`jobs`", "A job was posted.", JobEvent),
    StreamEvent("job_updated", "`jobs`", "A job changed; at most one event a second per job for edits.", JobEvent),
    StreamEvent("job_accepted", "`jobs`", "The hired freelancer accepted a job.", JobEvent),
    StreamEvent("job_completed", "`jobs`", "A job was completed and paid.", JobEvent),
    StreamEvent("job_refunded", "`jobs`", "A job ended and its held amount was refunded.", JobEvent),
    StreamEvent("job_deleted", "`jobs`", "A job was deleted.", JobEvent),
)


def routes() -> str:
    """Return the page of all routes."""
    rows = [(f"`{op.method} {op.path}`", op.policy.name, op.summary) for op in OPERATIONS]
    return _page(
        "Routes",
        "Request and response schemas: `/docs` on a running hub, generated from `/openapi.json`.",
        ("route", "allowed for", "summary"),
        rows,
    )


def settings() -> str:
    """Return the page of all settings."""
    rows = []
    for name, definition in DEFINITIONS.items():
        default = f"`{definition.default}`" if definition.default else "–"
        if definition.production_default is not None:
            default += f" (production: {definition.production_default or 'none'})"
        rows.append((f"`{name}`", default, definition.description))
    introduction = (
        "The hub reads these environment variables once, at start. It reports all invalid values together and\n"
        "refuses unknown `HUB_…` names."
    )
    return _page("Settings", introduction, ("setting", "default", "description"), rows)


def commands() -> str:
    """Return the page of all commands with their options."""
    parts = [
        "# Commands\n\nRun `.venv/bin/hub COMMAND` or `python -m api COMMAND`. Results go to standard output, all\n"
        "other text to standard error. Exit codes: 0 done, 1 refused or failed, 2 wrong usage.\n"
    ]
    for name in COMMANDS:
        command: click.Command = import_module(f"api.cli.{name}").command
        parts += _command(command, click.Context(command, info_name=f"hub {name}", terminal_width=100))
    return "\n".join(parts)


def _command(command: click.Command, context: click.Context) -> list[str]:
    text = command.get_help(context)
    parts = [f"## `{context.command_path}`\n\n```text\n{_without_trailing_spaces(text)}\n```\n"]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            member = command.get_command(context, name)
            if member is not None:
                parts += _command(member, click.Context(member, info_name=name, parent=context, terminal_width=100))
    return parts


def _without_trailing_spaces(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines())


def job_lifecycle() -> str:
    """Return the page of all transitions of a job."""
    rows = []
    for transition in TRANSITIONS:
        source = "–" if transition.source is None else f"`{transition.source}`"
        condition = ", by the hire" if transition.action == "hire" else _PRECONDITIONS[transition.precondition]
        rows.append((f"{source} → `{transition.target}`", f"{transition.actor}{condition}", transition.effect))
    introduction = (
        "The budget is held when a job is posted. `PATCH /api/jobs/{id}/status` names the target status; the hire and\n"
        "the deletion have their own routes. Every other transition is a `CONFLICT` with `currentStatus`. Each\n"
        "transition is one transaction: rows, payments, inboxes and events are stored together."
    )
    return _page("Job lifecycle", introduction, ("from → to", "by", "other effects"), rows)


def errors() -> str:
    """Return the page of all error codes."""
    messages: dict[str, list[str]] = {code: [] for code in STATUS_BY_CODE}
    for error in _subclasses(DomainError):
        message = (error.__doc__ or "").strip().splitlines()[0].rstrip(".")
        if message not in messages[error.code]:
            messages[error.code].append(message)
    rows = [
        (f"`{code}`", str(status), ". ".join(messages[code]) + "." if messages[code] else "–")
        for code, status in STATUS_BY_CODE.items()
    ]
    introduction = (
        "Errors are `application/problem+json` (RFC 9457) with a stable `code`, a `message` for people and a\n"
        "`requestId` that is also in the log. The messages below are the defaults."
    )
    return _page("Error codes", introduction, ("code", "status", "default message"), rows)


def _subclasses(base: type[DomainError]) -> list[type[DomainError]]:
    found = []
    for error in base.__subclasses__():
        # Tests define errors, too.
        if error.__module__.startswith(("services.", "api.")):
            found += [error, *_subclasses(error)]
    return found


def events() -> str:
    """Return the page of all stream events."""
    rows = [(f"`{event.type}`", event.channel, event.meaning, event.fields) for event in EVENTS]
    introduction = (
        "A stream is `text/event-stream` (WHATWG HTML, server-sent events). The `data` of each event is one JSON\n"
        "object. Events of a channel in parentheses have no position: a reconnecting client does not receive them\n"
        "again. A service can broadcast further event types to `jobs`, `announcements` and the channels of roles and\n"
        "users."
    )
    return _page("Stream events", introduction, ("event", "channel", "meaning", "fields of `data`"), rows)


def _page(title: str, introduction: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"# {title}", "", introduction, "", f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows]) + "\n"


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "routes.md": routes,
    "settings.md": settings,
    "commands.md": commands,
    "job-lifecycle.md": job_lifecycle,
    "errors.md": errors,
    "events.md": events,
}


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())


if __name__ == "__main__":
    main()
