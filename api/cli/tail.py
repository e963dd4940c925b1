"""`hub tail`."""

import asyncio
from contextlib import aclosing, suppress
from typing import Any

import click
import httpx2
import msgspec

from api.cli.client.actions import execute_on_hub
from api.cli.client.hub_client import TIMEOUT_SECONDS, error_message, find_hub_url, may_use_proxy
from api.cli.client.stream_follower import Connector, Follower
from api.cli.console.event_line import format_event
from api.cli.console.output import print_json, print_message
from api.config.settings import Settings
from api.control.actions import StreamOwner
from services.accounts import api_keys


@click.command("tail")
@click.option("--user", metavar="EMAIL|ID", show_default="the user of --token", help="Owner of the stream.")
@click.option("--channel", "channels", multiple=True, help="Receive only this channel, such as jobs; repeatable.")
@click.option("--since", metavar="CURSOR", help="Start after this cursor instead of now.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Exit after N events.")
@click.option("--token", envvar="HUB_TOKEN", show_envvar=True, help="Session token, or API key with the scope tickets.")
@click.option("--hub", "url", metavar="URL", show_default="the hub of these settings", help="Address of the hub.")
@click.option("--json", "as_json", is_flag=True, help="Print each event except heartbeats as a line of JSON.")
def command(
    user: str | None,
    channels: tuple[str, ...],
    since: str | None,
    count: int | None,
    token: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Follow a stream until Ctrl-C, and reconnect when it breaks.

    Without a token, the hub that uses HUB_DATA_DIR accepts its operator. Without --json, events about the connection
    are printed to standard error.
    """
    if url and not token:
        raise click.UsageError("--hub requires a token: set HUB_TOKEN or --token.")
    if not user and not channels and not token:
        raise click.UsageError("Name the stream with --user, --channel or --token.")
    settings = Settings.read()
    base = find_hub_url(settings, url)
    with suppress(KeyboardInterrupt):
        asyncio.run(_follow(settings, base, user, token, channels, since=since, count=count, as_json=as_json))


async def _follow(
    settings: Settings,
    base: str,
    user: str | None,
    token: str | None,
    channels: tuple[str, ...],
    *,
    since: str | None,
    count: int | None,
    as_json: bool,
) -> None:
    async with httpx2.AsyncClient(base_url=base, timeout=TIMEOUT_SECONDS, trust_env=may_use_proxy(base)) as client:
        access = _StreamAccess(settings, client, user, token, channels)
        follower = Follower(client, access.get_connector, cursor=since, print_message=print_message)
        printed = 0
        async with aclosing(follower.events()) as events:
            async for event in events:
                printed += _print_event(event, as_json)
                if printed == count:
                    return


class _StreamAccess:
    """Authenticates the stream: with a session token, or with a ticket from an API key or the local hub."""

    def __init__(
        self,
        settings: Settings,
        client: httpx2.AsyncClient,
        user: str | None,
        token: str | None,
        channels: tuple[str, ...],
    ) -> None:
        self._settings, self._client = settings, client
        self._user, self._token = user, token
        self._params = {"channels": ",".join(channels)} if channels else {}

    async def get_connector(self) -> Connector:
        """Return parameters and headers for the next connection. Raises OSError if no hub responds."""
        if self._token is None:
            owner = StreamOwner(self._user)
            ticket = await asyncio.to_thread(execute_on_hub, self._settings, "hub.ticket", owner, result=str)
        elif self._token.startswith(api_keys.PREFIX):
            ticket = await self._create_ticket(self._token)
        else:
            user = {"userId": self._user} if self._user else {}
            return Connector(self._params | user, {"authorization": f"Bearer {self._token}"})
        return Connector(self._params | {"ticket": ticket})

    async def _create_ticket(self, key: str) -> str:
        response = await self._client.post(
            "/api/realtime/tickets", json={"userId": self._user}, headers={"authorization": f"Bearer {key}"}
        )
        if response.status_code >= 500:
            raise OSError(error_message(response))
        if response.is_error:
            raise click.ClickException(error_message(response))
        ticket: str = response.json()["ticket"]
        return ticket


def _print_event(event: httpx2.ServerSentEvent, as_json: bool) -> bool:
    """Print the event; return whether it counts for --count, as events about the connection do not."""
    about_connection = event.event in ("connection_confirmed", "reset", "bye", "heartbeat")
    if event.event == "heartbeat":
        return False
    data: Any = msgspec.json.decode(event.data)
    if as_json:
        print_json({"event": event.event, "id": event.id or None, "data": data})
    elif about_connection:
        print_message(format_event(event.event, data))
    else:
        click.echo(format_event(event.event, data))
    return not about_connection
