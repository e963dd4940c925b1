"""Sends notifications over HTTP or through the store."""

import secrets
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

import click
import httpx2
import msgspec

from api.cli.client.actions import execute_action, execute_on_hub
from api.cli.client.hub_client import (
    TIMEOUT_SECONDS,
    backoff_seconds,
    error_message,
    find_hub_url,
    may_use_proxy,
    retry_after_seconds,
)
from api.cli.console.errors import exit_on_refusal
from api.config.settings import Settings
from api.control.actions import NotificationToSend, UserName

# Sends a notification and returns its ids, one for each recipient.
Sender = Callable[[NotificationToSend], list[str]]

PATH: Final = "/api/realtime/notifications/send"
# About 30 s altogether. All attempts have the same Idempotency-Key, so that the notification is created once.
MAX_ATTEMPTS: Final = 6
FIRST_RETRY_SECONDS: Final = 0.5
RETRY_STATUSES: Final = frozenset({429, 502, 503, 504})


def store_sender(settings: Settings) -> Sender:
    """Return a sender that uses the store in the data directory, through the running hub if there is one."""

    def send(notification: NotificationToSend) -> list[str]:
        with exit_on_refusal():
            return execute_action(settings, "notifications.send", notification, result=list[str])

    return send


@contextmanager
def http_sender(settings: Settings, url: str | None, key: str) -> Generator[Sender, None, None]:
    """Open a sender that POSTs to the hub with an API key."""
    base = find_hub_url(settings, url)
    headers = {"authorization": f"Bearer {key}"}
    with httpx2.Client(
        base_url=base, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=may_use_proxy(base)
    ) as client:
        # Each user is looked up once, however many notifications are sent.
        user_ids: dict[str, str] = {}

        def send(notification: NotificationToSend) -> list[str]:
            for user in notification.to:
                if user not in user_ids:
                    user_ids[user] = _find_user_id(settings, user)
            if notification.external_ids:
                return _post(client, _body(notification, {"externalIds": notification.external_ids}))
            return _post(client, _body(notification, {"userIds": [user_ids[user] for user in notification.to]}))

        yield send


def _find_user_id(settings: Settings, user: str) -> str:
    if "@" not in user:
        return user
    try:
        with exit_on_refusal():
            return execute_on_hub(settings, "users.find", UserName(user), result=str)
    except click.ClickException as error:
        raise click.ClickException(f"{error.message} Give the id of the user instead.") from error


def _body(notification: NotificationToSend, recipients: dict[str, list[str]]) -> dict[str, Any]:
    fields = {
        **recipients,
        "type": notification.type,
        "category": notification.category,
        "priority": notification.priority,
        "title": notification.title,
        "body": notification.body,
        "data": notification.data or None,
        "url": notification.url,
        "icon": notification.icon,
        "collapseKey": notification.collapse_key,
        "expiresAt": notification.expires_at,
        "actions": [action.to_json() for action in notification.actions] or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _post(client: httpx2.Client, body: dict[str, Any]) -> list[str]:
    headers = {"idempotency-key": secrets.token_urlsafe(16)}
    for failures in range(MAX_ATTEMPTS):
        wait, reason = backoff_seconds(FIRST_RETRY_SECONDS, failures), ""
        try:
            response = client.post(PATH, json=body, headers=headers)
        except httpx2.TransportError as error:
            reason = f"{client.base_url} cannot be reached: {error}."
        else:
            if response.status_code == 201:
                return msgspec.json.decode(response.content, type=_SendResponse).ids
            reason = error_message(response)
            if response.status_code not in RETRY_STATUSES:
                break
            wait = retry_after_seconds(response) or wait
        if failures < MAX_ATTEMPTS - 1:
            time.sleep(wait)
    raise click.ClickException(reason)


class _SendResponse(msgspec.Struct):
    ids: list[str]
