"""A process that hires with its own Database, for the test that runs several such processes on one file.

`python -m tests.support.processes.hires FILE OWNER TIMES` prints `ready` when the file is open. Each input line is
JOB BID… . For each line it starts TIMES concurrent hires, cycling through the bids, and prints one line of JSON: the
result of each hire, `hired` or the error's name with its details. It exits when its input ends.
"""

import asyncio
import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

from services.database.database import Database
from services.errors import DomainError
from services.jobs import hiring


async def hire(database: Database, bid_id: str, owner_id: str) -> dict[str, Any]:
    """One hire, and what came of it; whatever is no answer of the contract's is an answer of the test's."""
    try:
        made = await database.write(hiring.hire, bid_id=bid_id, owner_id=owner_id, now=time.time_ns() // 1_000_000)
    except DomainError as error:
        return {"error": type(error).__name__} | error.details
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)}
    return {"hired": made.answer.bid_id}


async def main(path: Path, owner_id: str, times: int) -> None:
    """Answer every line."""
    database = Database(path)
    await database.start()
    print("ready", flush=True)
    for line in sys.stdin:
        bids = itertools.islice(itertools.cycle(line.split()), times)
        print(json.dumps(await asyncio.gather(*(hire(database, bid, owner_id) for bid in bids))), flush=True)
    await database.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
