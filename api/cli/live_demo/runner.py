"""`hub demo --live`: keeps a market going at a chosen rate, as the demo's users and through the public interface."""

import asyncio
import random
import secrets
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click
import httpx2

from api.cli.client.actions import execute_action
from api.cli.client.hub_client import SECONDS, error_message, hub_address, jittered, through_proxy
from api.cli.console.output import say
from api.cli.live_demo.actors import Actor, Market, Refused
from api.config.settings import Settings
from api.control.actions import KeyName, NewKey
from api.routes.demo import DemoUser
from services.accounts import api_keys
from services.accounts.schemas import ApiKey
from services.errors import DomainError


def run(settings: Settings, people: Sequence[DemoUser], rate: float) -> None:
    """Act `rate` times a second, until Ctrl-C; a line on standard output for everything that was done."""
    base = hub_address(settings, None)
    deposits = _Deposits(settings)
    try:
        with suppress(asyncio.CancelledError):
            asyncio.run(_run(base, people, rate, deposits))
    finally:
        deposits.close()


async def _run(base: str, people: Sequence[DemoUser], rate: float, deposits: "_Deposits") -> None:
    # SIGTERM too must revoke the key, and a shell that starts us in the background has had Ctrl-C ignored.
    for ended_by in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(ended_by, _cancel, asyncio.current_task())
    async with httpx2.AsyncClient(base_url=base, timeout=SECONDS, trust_env=through_proxy(base)) as client:
        try:
            actors = [await _sign_in(client, person) for person in people if person.role != "admin"]
        except httpx2.TransportError as error:
            raise click.ClickException(f"No hub answers at {base}: start it with hub serve or make run.") from error
        say(f"A market at {base}, {rate:g} acts a second; Ctrl-C ends it.")
        market = Market(client, actors, deposits.headers, random.Random())  # noqa: S311  # no secret
        failures = 0
        while True:
            await asyncio.sleep(market.dice.expovariate(rate))
            try:
                click.echo(await market.act())
                failures = 0
            except Refused as refused:
                say(str(refused))
                await asyncio.sleep(refused.wait)
            except httpx2.TransportError as error:
                say(f"{str(error).rstrip('.') or 'The hub did not answer'}; trying again.")
                failures += 1
                await asyncio.sleep(jittered(1.0, failures))


def _cancel(task: "asyncio.Task[None] | None") -> None:
    if task is not None:
        task.cancel()


async def _sign_in(client: httpx2.AsyncClient, person: DemoUser) -> Actor:
    answer = await client.post("/api/auth/login", json={"email": person.email, "password": person.password})
    if answer.is_error:
        raise click.ClickException(f"{person.name} cannot sign in: {error_message(answer)}")
    signed: Any = answer.json()
    return Actor(person.name, person.role, signed["user"]["id"], {"authorization": f"Bearer {signed['token']}"})


class _Deposits:
    """An API key to pay money in with, made when first needed and revoked at the end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._name = f"demo-live-{secrets.token_hex(4)}"
        self._key: str | None = None

    async def headers(self) -> dict[str, str]:
        """What a deposit is authorized with."""
        if self._key is None:
            self._key = api_keys.PREFIX + secrets.token_urlsafe(32)
            told = NewKey(self._name, ["deposit"], api_keys.hash_key(self._key))
            await asyncio.to_thread(execute_action, self._settings, "keys.create", told, answer=ApiKey)
        return {"authorization": f"Bearer {self._key}"}

    def close(self) -> None:
        """Revoke it, if it came to be made."""
        if self._key is not None:
            with suppress(DomainError):
                execute_action(self._settings, "keys.revoke", KeyName(self._name), answer=type(None))
