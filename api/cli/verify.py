"""`hub verify`: adds the books up again; money is frozen where they do not add up, and let go where they do."""

import click
import msgspec

from api.cli.client.actions import execute_action, now_ms
from api.cli.console.output import print_json
from api.cli.console.progress import progress
from api.config.settings import Settings
from api.control.actions import ReconciliationResult
from services.payments.reconciliation import ReconciliationRun
from services.store import preparation


class Verdict(msgspec.Struct, frozen=True):
    """What `--json` prints: rows looked at, and what does not add up (`frozen` while there is anything)."""

    ok: bool
    frozen: bool
    accounts: int
    jobs: int
    transfers: int
    faults: list[str]


@click.command("verify")
@click.option("--json", "as_json", is_flag=True, help="Say as JSON what was found.")
def command(as_json: bool) -> None:
    """Add up the books again, account by account, job by job, transfer by transfer; the hub may be serving.

    Where they do not add up, exit code 1, and no money moves until they do and this has seen it.
    """
    settings = Settings.read()
    # Brings an older store to its present form, too, where nobody serves.
    execute_action(settings, "ledger.freeze_reason", answer=object)
    look = _look(settings)
    result = ReconciliationResult(look.started_at, look.faults)
    execute_action(settings, "ledger.record_result", result, answer=type(None))
    why = execute_action(settings, "ledger.freeze_reason", answer=object)
    if as_json:
        print_json(Verdict(not look.faults, why is not None, **look.rows, faults=look.faults))
    if look.faults:
        more = f" And {len(look.faults) - 1} more." if len(look.faults) > 1 else ""
        raise click.ClickException(f"The books do not add up, money is frozen. {look.faults[0]}{more}")
    if not as_json:
        counts = ", ".join(f"{count:,} {part}" for part, count in look.rows.items())
        click.echo(f"The books add up: {counts}.")


def _look(settings: Settings) -> ReconciliationRun:
    look = ReconciliationRun(started_at=now_ms())
    with progress("Adding up") as told, preparation.open_read_only(settings.database_file) as tx:
        while look.checkpoint is not None:
            with tx.begin():
                look.run_step(tx)
            told(sum(look.rows.values()), 0)
    return look
