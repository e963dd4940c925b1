"""`hub send`."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final, get_args

import click
import msgspec

from api.cli.client.notification_sender import Sender, http_sender, store_sender
from api.cli.console.output import print_json
from api.cli.console.progress import progress
from api.config.settings import Settings
from api.control.actions import NotificationToSend
from services.notifications.draft import Action
from services.notifications.schemas import Category, Priority

# Longer than the longest body, in characters.
MAX_LINE_LENGTH: Final = 8_192


@click.command("send")
@click.option("--to", "to", multiple=True, metavar="EMAIL|ID", help="Recipient; repeatable.")
@click.option(
    "--external-id", "external_ids", multiple=True, metavar="ID", help="Recipient by external id; repeatable."
)
@click.option("--title", show_default="with --lines, the line", help="Title.")
@click.option("--body", show_default="standard input, or the title if that is empty", help="Text.")
@click.option("--lines", is_flag=True, help="Send one notification for each line of standard input.")
@click.option("--type", "type_", default="note", show_default=True, help="Type of the notification, for clients.")
@click.option("--category", type=click.Choice(get_args(Category)), default="system", show_default=True)
@click.option("--priority", type=click.Choice(get_args(Priority)), default="normal", show_default=True)
@click.option("--link", metavar="URL", help="Target of a click: a path on the hub or an https address.")
@click.option("--icon", help="An emoji.")
@click.option("--data", default="{}", metavar="JSON", help="JSON object for clients.")
@click.option("--collapse-key", help="Replace the unread notification with the same key.")
@click.option("--expires-at", metavar="TIME", help="Time of removal from the inbox, such as 2026-01-31T12:00:00Z.")
@click.option("--action", "actions", multiple=True, metavar="ID=LABEL[=URL]", help="Button; repeatable.")
@click.option("--key", envvar="HUB_API_KEY", show_envvar=True, help="API key with the scope notify; sends over HTTP.")
@click.option("--hub", "url", metavar="URL", show_default="the hub of these settings", help="Address of the hub.")
@click.option("--json", "as_json", is_flag=True, help="Print the ids as JSON.")
def command(
    title: str | None,
    body: str | None,
    lines: bool,
    key: str | None,
    url: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Send a notification and print its id.

    With an API key, POST it to the hub. Otherwise write it to the store in HUB_DATA_DIR, through the running hub if
    there is one.
    """
    if url and not key:
        raise click.UsageError("--hub requires an API key: set HUB_API_KEY or --key.")
    template = _template(**options)
    texts = _read_lines(title) if lines else iter([_read_text(title, body)])
    with ExitStack() as stack:
        settings = Settings.read()
        send = stack.enter_context(http_sender(settings, url, key)) if key else store_sender(settings)
        # On a terminal the printed ids show the progress.
        show_progress = lines and not sys.stdout.isatty()
        update = stack.enter_context(progress("Sending")) if show_progress else None
        for count, (line, text) in enumerate(texts, start=1):
            _print_ids(_send(send, msgspec.structs.replace(template, **text), line), as_json)
            if update is not None:
                update(count, 0)


def _template(
    *,
    to: tuple[str, ...],
    external_ids: tuple[str, ...],
    type_: str,
    data: str,
    link: str | None,
    actions: tuple[str, ...],
    **options: Any,
) -> NotificationToSend:
    """Return the notification of the options, without title and body."""
    if bool(to) == bool(external_ids):
        raise click.UsageError("Name the recipients with either --to or --external-id.")
    try:
        data_object = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise click.BadParameter(f"is not a JSON object: {error}.", param_hint="'--data'") from error
    return NotificationToSend(
        to=list(dict.fromkeys(to)),
        external_ids=list(dict.fromkeys(external_ids)),
        type=type_,
        title="",
        body="",
        data=data_object,
        url=link,
        actions=[_parse_action(action) for action in actions],
        **options,
    )


def _parse_action(text: str) -> Action:
    """Return the button of a text such as `yes=Accept=/jobs/1`; the link may contain further `=`."""
    id, separator, rest = text.partition("=")
    label, _, url = rest.partition("=")
    if not separator:
        raise click.BadParameter(f"must be ID=LABEL or ID=LABEL=URL, not {text!r}.", param_hint="'--action'")
    return Action(id=id, label=label, url=url or None)


def _read_text(title: str | None, body: str | None) -> tuple[int, dict[str, str]]:
    """Return line number 0, and the title and body of the only notification."""
    if title is None:
        raise click.UsageError("--title is required unless --lines is set.")
    if body is None and not sys.stdin.isatty():
        body = sys.stdin.read(MAX_LINE_LENGTH).strip("\r\n")
    return 0, {"title": title, "body": body or title}


def _read_lines(title: str | None) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number, and the title and body, of each line of standard input that is not empty."""
    for number, line in enumerate(iter(lambda: sys.stdin.readline(MAX_LINE_LENGTH), ""), start=1):
        if text := line.strip():
            yield number, {"title": title or text, "body": text}


def _send(send: Sender, notification: NotificationToSend, line: int) -> list[str]:
    """Send one notification. An error names its line, because the lines before it are already sent."""
    try:
        return send(notification)
    except click.ClickException as error:
        if line:
            raise click.ClickException(f"line {line}: {error.message}") from error
        raise


def _print_ids(ids: list[str], as_json: bool) -> None:
    if as_json:
        print_json({"ids": ids})
        return
    for id in ids:
        click.echo(id)
