"""`hub verify`."""

import click
import msgspec

from api.cli.client.actions import execute_action, now_ms
from api.cli.console.output import print_json
from api.cli.console.progress import progress
from api.config.settings import Settings
from api.control.actions import ReconciliationResult
from services.payments.reconciliation import ReconciliationRun
from services.store import preparation


class VerifyResult(msgspec.Struct, frozen=True):
    """The JSON output: rows checked, faults found, and whether payments are frozen now."""

    ok: bool
    frozen: bool
    accounts: int
    jobs: int
    transfers: int
    faults: list[str]


@click.command("verify")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(as_json: bool) -> None:
    """Check that the ledger balances.

    Checks each account, job and transfer; the hub may be running. If the ledger does not balance, payments are frozen
    and the exit code is 1. If it balances, a freeze ends.
    """
    settings = Settings.read()
    # Without a hub, this action also upgrades an older store.
    execute_action(settings, "ledger.freeze_reason", result=object)
    reconciliation = _reconcile(settings)
    faults = reconciliation.faults
    result = ReconciliationResult(reconciliation.started_at, faults)
    execute_action(settings, "ledger.record_result", result, result=type(None))
    freeze_reason = execute_action(settings, "ledger.freeze_reason", result=object)
    if as_json:
        print_json(VerifyResult(not faults, freeze_reason is not None, **reconciliation.rows, faults=faults))
    if faults:
        more = f" And {len(faults) - 1} more." if len(faults) > 1 else ""
        raise click.ClickException(f"The ledger does not balance; payments are frozen. {faults[0]}{more}")
    if not as_json:
        counts = ", ".join(f"{count:,} {part}" for part, count in reconciliation.rows.items())
        click.echo(f"The ledger balances: {counts}.")


def _reconcile(settings: Settings) -> ReconciliationRun:
    run = ReconciliationRun(started_at=now_ms())
    with progress("Checking") as update, preparation.open_read_only(settings.database_file) as tx:
        while run.checkpoint is not None:
            with tx.begin():
                run.run_step(tx)
            update(sum(run.rows.values()), 0)
    return run
