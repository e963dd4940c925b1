"""`hub demo --live`: keeps a market running."""

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
from api.cli.client.hub_client import TIMEOUT_SECONDS, backoff_seconds, error_message, find_hub_url, may_use_proxy
from api.cli.console.output import print_message
from api.cli.live_demo.actors import Actor, Market, RequestRejected
from api.config.settings import Settings
from api.control.actions import KeyName, NewKey
from api.routes.demo import DemoUser
from services.accounts import api_keys
from services.accounts.schemas import ApiKey
from services.errors import DomainError


def run(settings: Settings, users: Sequence[DemoUser], rate: float) -> None:
    """Run `rate` actions per second until Ctrl-C; print one line for each to standard output."""
    base = find_hub_url(settings, None)
    deposit_key = _DepositKey(settings)
    try:
        with suppress(asyncio.CancelledError):
            asyncio.run(_run(base, users, rate, deposit_key))
    finally:
        deposit_key.revoke()


async def _run(base: str, users: Sequence[DemoUser], rate: float, deposit_key: "_DepositKey") -> None:
    # SIGTERM must revoke the key, too. SIGINT is set explicitly, because a shell ignores it for background processes.
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, _cancel, asyncio.current_task())
    async with httpx2.AsyncClient(base_url=base, timeout=TIMEOUT_SECONDS, trust_env=may_use_proxy(base)) as client:
        try:
            actors = [await _sign_in(client, user) for user in users if user.role != "admin"]
        except httpx2.TransportError as error:
            raise click.ClickException(f"No hub responds at {base}. Start it with hub serve or make run.") from error
        print_message(f"Simulating a market at {base}, {rate:g} actions per second; press Ctrl-C to stop.")
        market = Market(client, actors, deposit_key.headers, random.Random())  # noqa: S311  # not a secret
        failures = 0
        while True:
            await asyncio.sleep(market.dice.expovariate(rate))
            try:
                click.echo(await market.act())
                failures = 0
            except RequestRejected as rejected:
                print_message(str(rejected))
                await asyncio.sleep(rejected.wait_seconds)
            except httpx2.TransportError as error:
                print_message(f"{str(error).rstrip('.') or 'The hub did not respond'}; trying again.")
                failures += 1
                await asyncio.sleep(backoff_seconds(1.0, failures))


def _cancel(task: "asyncio.Task[None] | None") -> None:
    if task is not None:
        task.cancel()


async def _sign_in(client: httpx2.AsyncClient, user: DemoUser) -> Actor:
    response = await client.post("/api/auth/login", json={"email": user.email, "password": user.password})
    if response.is_error:
        raise click.ClickException(f"{user.name} cannot sign in: {error_message(response)}")
    session: Any = response.json()
    return Actor(user.name, user.role, session["user"]["id"], {"authorization": f"Bearer {session['token']}"})


class _DepositKey:
    """An API key for deposits, created when first needed and revoked at the end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._name = f"demo-live-{secrets.token_hex(4)}"
        self._key: str | None = None

    async def headers(self) -> dict[str, str]:
        """Return the headers that authorize a deposit."""
        if self._key is None:
            self._key = api_keys.PREFIX + secrets.token_urlsafe(32)
            new_key = NewKey(self._name, ["deposit"], api_keys.hash_key(self._key))
            await asyncio.to_thread(execute_action, self._settings, "keys.create", new_key, result=ApiKey)
        return {"authorization": f"Bearer {self._key}"}

    def revoke(self) -> None:
        """Revoke the key if it was created."""
        if self._key is not None:
            with suppress(DomainError):
                execute_action(self._settings, "keys.revoke", KeyName(self._name), result=type(None))
