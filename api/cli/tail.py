"""`hub tail`: a user's or a channel's stream at the terminal, or in a pipe."""

import asyncio
from contextlib import aclosing, suppress
from typing import Any

import click
import httpx2
import msgspec

from api.cli.client.actions import ask_hub
from api.cli.client.hub_client import SECONDS, error_message, hub_address, through_proxy
from api.cli.client.stream_follower import Connector, Follower
from api.cli.console.event_line import human_line
from api.cli.console.output import print_json, say
from api.config.settings import Settings
from api.control.actions import StreamOwner
from services.accounts import api_keys


@click.command("tail")
@click.option("--user", metavar="EMAIL|ID", help="Whose stream; with --token, the token's own.")
@click.option("--channel", "channels", multiple=True, help="Only this channel, such as jobs; may be repeated.")
@click.option("--since", metavar="CURSOR", help="Begin with what came after this cursor, not with what comes.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N events.")
@click.option("--token", envvar="HUB_TOKEN", show_envvar=True, help="A session's token, or an API key (scope tickets).")
@click.option("--hub", "address", metavar="URL", help="The hub's address; the one that the settings name unless given.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for every event but heartbeats.")
def command(user: str | None, address: str | None, as_json: bool, **given: Any) -> None:
    """Follow a stream, and come back to it when it breaks, until Ctrl-C.

    Without a token, the hub that serves from HUB_DATA_DIR lets its own operator in. Everything the stream says is an
    event in JSON; else what only concerns the connection goes to standard error.
    """
    if address and not given["token"]:
        raise click.UsageError("A hub elsewhere wants a token: HUB_TOKEN or --token.")
    if not user and not given["channels"] and not given["token"]:
        raise click.UsageError("Say whom (--user) or what (--channel) to listen to.")
    settings = Settings.read()
    base = hub_address(settings, address)
    with suppress(KeyboardInterrupt):
        asyncio.run(_tail(settings, base, user, as_json, **given))


async def _tail(
    settings: Settings,
    base: str,
    user: str | None,
    as_json: bool,
    *,
    token: str | None,
    channels: tuple[str, ...],
    since: str | None,
    count: int | None,
) -> None:
    async with httpx2.AsyncClient(base_url=base, timeout=SECONDS, trust_env=through_proxy(base)) as client:
        way = _Way(settings, client, user, token, channels)
        shown = 0
        async with aclosing(Follower(client, way.approach, cursor=since, say=say).events()) as events:
            async for event in events:
                shown += _show(event, as_json)
                if shown == count:
                    return


class _Way:
    """How this command is let in: a token of the user's, or a ticket from the service's key or the local hub."""

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

    async def approach(self) -> Connector:
        """Raises OSError when nobody answers."""
        if self._token is None:
            ticket = await asyncio.to_thread(ask_hub, self._settings, "hub.ticket", StreamOwner(self._user), answer=str)
        elif self._token.startswith(api_keys.PREFIX):
            ticket = await self._buy_ticket(self._token)
        else:
            named = {"userId": self._user} if self._user else {}
            return Connector(self._params | named, {"authorization": f"Bearer {self._token}"})
        return Connector(self._params | {"ticket": ticket})

    async def _buy_ticket(self, key: str) -> str:
        answer = await self._client.post(
            "/api/realtime/tickets", json={"userId": self._user}, headers={"authorization": f"Bearer {key}"}
        )
        if answer.status_code >= 500:
            raise OSError(error_message(answer))
        if answer.is_error:
            raise click.ClickException(error_message(answer))
        ticket: str = answer.json()["ticket"]
        return ticket


def _show(event: httpx2.ServerSentEvent, as_json: bool) -> bool:
    """Print it; whether it counts."""
    ours = event.event in ("connection_confirmed", "reset", "bye", "heartbeat")
    if event.event == "heartbeat":
        return False
    data: Any = msgspec.json.decode(event.data)
    if as_json:
        print_json({"event": event.event, "id": event.id or None, "data": data})
    elif ours:
        say(human_line(event.event, data))
    else:
        click.echo(human_line(event.event, data))
    return not ours
