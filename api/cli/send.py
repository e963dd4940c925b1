"""`hub send`: notifications from a shell or a pipe."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final, get_args

import click
import msgspec

from api.cli.client.notification_sender import Sender, through_http, through_store
from api.cli.console.output import print_json
from api.cli.console.progress import progress
from api.config.settings import Settings
from api.control.actions import NotificationToSend
from services.notifications.draft import Action
from services.notifications.schemas import Category, Priority

# Longer than any body may be, in characters.
LONGEST_LINE: Final = 8_192


@click.command("send")
@click.option("--to", "to", multiple=True, metavar="EMAIL|ID", help="For whom; may be repeated.")
@click.option("--external-id", "external_ids", multiple=True, metavar="ID", help="The same, by another system's ids.")
@click.option("--title", help="The title; with --lines, each line's own text unless given.")
@click.option("--body", help="The text; standard input unless given; the title when there is neither.")
@click.option("--lines", is_flag=True, help="One notification for each line of standard input.")
@click.option("--type", "type_", default="note", show_default=True, help="What kind it is, for pages.")
@click.option("--category", type=click.Choice(get_args(Category)), default="system", show_default=True)
@click.option("--priority", type=click.Choice(get_args(Priority)), default="normal", show_default=True)
@click.option("--link", metavar="URL", help="Where it leads: a path of the hub's own or an https address.")
@click.option("--icon", help="An emoji.")
@click.option("--data", default="{}", metavar="JSON", help="An object for pages.")
@click.option("--collapse-key", help="Replaces the unread one with the same key.")
@click.option("--expires-at", metavar="TIME", help="When it leaves the inbox by itself: 2026-01-31T12:00:00Z.")
@click.option("--action", "actions", multiple=True, metavar="ID=LABEL[=URL]", help="A button; may be repeated.")
@click.option("--key", envvar="HUB_API_KEY", show_envvar=True, help="An API key with the scope notify: by HTTP.")
@click.option("--hub", "address", metavar="URL", help="The hub's address; the one that the settings name unless given.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, not the ids alone.")
def command(title: str | None, body: str | None, lines: bool, **given: Any) -> None:
    """Send a notification and print its id.

    With an API key it is POSTed to the hub, wherever that is. Without one it goes into the store in HUB_DATA_DIR, by
    way of the hub that serves from there.
    """
    as_json, key, address = given.pop("as_json"), given.pop("key"), given.pop("address")
    if address and not key:
        raise click.UsageError("A hub elsewhere wants an API key: HUB_API_KEY or --key.")
    draft = _draft(given)
    texts = _lines(title) if lines else iter([_text(title, body)])
    with ExitStack() as stack:
        settings = Settings.read()
        send = stack.enter_context(through_http(settings, address, key)) if key else through_store(settings)
        told = stack.enter_context(progress("Sending")) if lines else None
        for count, (line, words) in enumerate(texts, start=1):
            _print(_send(send, msgspec.structs.replace(draft, **words), line), as_json)
            if told is not None:
                told(count, 0)


def _draft(given: dict[str, Any]) -> NotificationToSend:
    """All but title and body."""
    if bool(given["to"]) == bool(given["external_ids"]):
        raise click.UsageError("Say for whom: with --to, or with --external-id.")
    try:
        data = msgspec.json.decode(given["data"], type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise click.BadParameter(f"is not a JSON object: {error}.", param_hint="'--data'") from error
    return NotificationToSend(
        to=list(dict.fromkeys(given["to"])),
        external_ids=list(dict.fromkeys(given["external_ids"])),
        type=given["type_"],
        category=given["category"],
        priority=given["priority"],
        title="",
        body="",
        data=data,
        url=given["link"],
        icon=given["icon"],
        collapse_key=given["collapse_key"],
        expires_at=given["expires_at"],
        actions=[_action(each) for each in given["actions"]],
    )


def _action(text: str) -> Action:
    """`yes=Accept=/jobs/1` → a button; what follows the second `=` is the address as it is."""
    id, given, rest = text.partition("=")
    label, _, url = rest.partition("=")
    if not given:
        raise click.BadParameter(f"must be ID=LABEL or ID=LABEL=URL, but is {text!r}.", param_hint="'--action'")
    return Action(id=id, label=label, url=url or None)


def _text(title: str | None, body: str | None) -> tuple[int, dict[str, str]]:
    """Title and body of the only one."""
    if title is None:
        raise click.UsageError("It needs a --title (or --lines).")
    if body is None and not sys.stdin.isatty():
        body = sys.stdin.read(LONGEST_LINE).strip("\r\n")
    return 0, {"title": title, "body": body or title}


def _lines(title: str | None) -> Iterator[tuple[int, dict[str, str]]]:
    """Title and body from each line of standard input that is not empty."""
    for number, line in enumerate(iter(lambda: sys.stdin.readline(LONGEST_LINE), ""), start=1):
        if text := line.strip():
            yield number, {"title": title or text, "body": text}


def _send(send: Sender, notice: NotificationToSend, line: int) -> list[str]:
    """Say at which line it was refused: those before it are sent."""
    try:
        return send(notice)
    except click.ClickException as error:
        if line:
            raise click.ClickException(f"line {line}: {error.message}") from error
        raise


def _print(ids: list[str], as_json: bool) -> None:
    if as_json:
        print_json({"ids": ids})
        return
    for id in ids:
        click.echo(id)
