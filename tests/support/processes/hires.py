"""A process that hires with its own Database, for the test of concurrent hires.

`python -m tests.support.processes.hires FILE OWNER` prints `ready` when the file is open. Each input line is a number
and a list of bid ids. For each line it starts that number of concurrent hires, cycling through the bids, and prints
one line of JSON: the result of each hire, `hired` or the error's name with its details. It exits when its input ends.
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
    """Hire once and return the result. Unexpected errors are returned too, so that the test can show them."""
    try:
        result = await database.write(hiring.hire, bid_id=bid_id, owner_id=owner_id, now=time.time_ns() // 1_000_000)
    except DomainError as error:
        return {"error": type(error).__name__} | error.details
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)}
    return {"hired": result.response.bid_id}


async def main(path: Path, owner_id: str) -> None:
    """Process every input line."""
    database = Database(path)
    await database.start()
    print("ready", flush=True)
    for line in sys.stdin:
        hires, *ids = line.split()
        bids = itertools.islice(itertools.cycle(ids), int(hires))
        print(json.dumps(await asyncio.gather(*(hire(database, bid, owner_id) for bid in bids))), flush=True)
    await database.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
