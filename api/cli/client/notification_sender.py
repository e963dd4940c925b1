"""The two ways of a notification from a command: over HTTP with an API key, or straight into the store."""

import secrets
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

import click
import httpx2
import msgspec

from api.cli.client.actions import ask_hub, execute_action
from api.cli.client.hub_client import SECONDS, error_message, hub_address, jittered, retry_after, through_proxy
from api.cli.console.errors import exit_on_refusal
from api.config.settings import Settings
from api.control.actions import NotificationToSend, UserName

Sender = Callable[[NotificationToSend], list[str]]

PATH: Final = "/api/realtime/notifications/send"
# Half a minute or so altogether; the same Idempotency-Key makes it one notification, however often it arrives.
TRIES: Final = 6
FIRST_WAIT: Final = 0.5
AGAIN: Final = frozenset({429, 502, 503, 504})


def through_store(settings: Settings) -> Sender:
    """Sends by way of the hub that serves from the data folder, or by itself."""

    def send(notice: NotificationToSend) -> list[str]:
        with exit_on_refusal():
            return execute_action(settings, "notifications.send", notice, answer=list[str])

    return send


@contextmanager
def through_http(settings: Settings, address: str | None, key: str) -> Generator[Sender, None, None]:
    """POSTs to the hub."""
    base = hub_address(settings, address)
    headers = {"authorization": f"Bearer {key}"}
    with httpx2.Client(base_url=base, headers=headers, timeout=SECONDS, trust_env=through_proxy(base)) as client:
        # Each address is looked up once, however many lines there are.
        known: dict[str, str] = {}

        def send(notice: NotificationToSend) -> list[str]:
            for each in notice.to:
                if each not in known:
                    known[each] = _id_of(settings, each)
            if notice.external_ids:
                return _post(client, _body(notice, {"externalIds": notice.external_ids}))
            return _post(client, _body(notice, {"userIds": [known[each] for each in notice.to]}))

        yield send


def _id_of(settings: Settings, user: str) -> str:
    if "@" not in user:
        return user
    try:
        with exit_on_refusal():
            return ask_hub(settings, "users.find", UserName(user), answer=str)
    except click.ClickException as error:
        raise click.ClickException(f"{error.message} Name the user by id.") from error


def _body(notice: NotificationToSend, to: dict[str, list[str]]) -> dict[str, Any]:
    words = {
        **to,
        "type": notice.type,
        "category": notice.category,
        "priority": notice.priority,
        "title": notice.title,
        "body": notice.body,
        "data": notice.data or None,
        "url": notice.url,
        "icon": notice.icon,
        "collapseKey": notice.collapse_key,
        "expiresAt": notice.expires_at,
        "actions": [action.to_json() for action in notice.actions] or None,
    }
    return {name: value for name, value in words.items() if value is not None}


def _post(client: httpx2.Client, body: dict[str, Any]) -> list[str]:
    headers = {"idempotency-key": secrets.token_urlsafe(16)}
    for failures in range(TRIES):
        wait, why = jittered(FIRST_WAIT, failures), ""
        try:
            answer = client.post(PATH, json=body, headers=headers)
        except httpx2.TransportError as error:
            why = f"{client.base_url} cannot be reached: {error}."
        else:
            if answer.status_code == 201:
                return msgspec.json.decode(answer.content, type=_Sent).ids
            why = error_message(answer)
            if answer.status_code not in AGAIN:
                break
            wait = retry_after(answer) or wait
        if failures < TRIES - 1:
            time.sleep(wait)
    raise click.ClickException(why)


class _Sent(msgspec.Struct):
    ids: list[str]
