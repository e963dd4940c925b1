"""What lists and searches of jobs cost on a store of 100,000: each query's p50 and p99, in this process.

They are read as the hub reads: through `Database.read`, where each statement is a hop to a reader's thread and back.

`python -m bench.search` prints the table alone.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import uvloop
from sqlalchemy import insert

from bench.raw_client import percentile
from services import pagination
from services.database.database import Database
from services.database.sqlite import engine as sqlite_engine
from services.ids import new_id
from services.jobs import listing
from services.jobs.search_query import JobFilter
from services.store.migrate import upgrade
from services.tables import jobs, users

JOBS = 100_000
OWNERS = 2_000
TIMES = 200
DEEP = 1_000  # pages of 20

_CATEGORIES = ("Design", "Software", "Writing", "Data", "Video", "Photography", "Operations", "Marketing")
_STATES = ("open",) * 8 + ("cancelled", "expired")
_VERBS = (
    "Design",
    "Build",
    "Write",
    "Translate",
    "Photograph",
    "Test",
    "Move",
    "Review",
    "Draw",
    "Film",
    "Repair",
    "Plan",
)
_THINGS = ("logo", "website", "shop", "app", "database", "report", "dashboard", "menu", "poster", "map", "film", "form")
# A vocabulary of 8,000 words, a few of them in nearly every text, as words are.
_SYLLABLES = (
    "ka",
    "lo",
    "mi",
    "ren",
    "sta",
    "tor",
    "vel",
    "pri",
    "den",
    "hus",
    "bal",
    "cor",
    "fin",
    "ger",
    "jun",
    "nex",
)

COMMON, RARE = "please", "quixotic"


def rows(dice: random.Random, owners: list[str]) -> Iterator[dict[str, Any]]:
    """Jobs whose words, skills, categories and budgets are as uneven as people make them."""
    words = [COMMON, *dict.fromkeys("".join(dice.choices(_SYLLABLES, k=dice.randrange(2, 5))) for _ in range(9_000))]
    skills = [f"{word} {kind}" for kind in ("design", "writing", "coding") for word in words[1:80]]
    for number in range(JOBS):
        budget = max(500, round(dice.lognormvariate(11, 1.2)) // 500 * 500)
        named = list({skills[_uneven(dice, len(skills))] for _ in range(3)})
        title = f"{dice.choice(_VERBS)} a {dice.choice(_THINGS)} for {words[_uneven(dice, len(words))]}"
        text = " ".join(words[_uneven(dice, len(words))] for _ in range(70))
        few = number % 33_000 == 17
        status = dice.choice(_STATES)
        yield {
            "id": new_id(),
            "owner_id": dice.choice(owners),
            "title": title,
            "description": f"{COMMON} {text}" + (f" {RARE}" if few else ""),
            "budget": budget,
            "currency": "USD",
            "category": "Rare" if few else dice.choice(_CATEGORIES),
            "skills": msgspec.json.encode([*named, "Rare skill"] if few else named).decode(),
            "status": status,
            "bid_count": 0,
            "instant_accept": 0,
            "held": budget if status == "open" else 0,
            "created_at": number,
            "updated_at": number,
            "has_unpublished_changes": 0,
        }


def _uneven(dice: random.Random, count: int) -> int:
    return min(int(dice.paretovariate(0.5)) - 1, count - 1)


@asynccontextmanager
async def store() -> AsyncIterator[tuple[Database, str]]:
    """Such a store, and an owner in it."""
    dice = random.Random(7)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "hub.db"
        upgrade(path)
        engine = sqlite_engine.writer_engine(path)
        owners = [new_id() for _ in range(OWNERS)]
        with engine.begin() as tx:
            people = [{"id": owner, "name": "Ann", "role": "client", "created_at": 0} for owner in owners]
            tx.execute(insert(users), people)
        made = list(rows(dice, owners))
        for start in range(0, JOBS, 1_000):
            with engine.begin() as tx:
                tx.execute(insert(jobs), made[start : start + 1_000])
        engine.dispose()
        database = Database(path)
        await database.start()
        yield database, owners[3]
        await database.stop()


def queries(owner: str) -> dict[str, JobFilter]:
    """Usual and unusual lists; the unusual ones find few jobs far apart, or none."""
    return {
        "all jobs": JobFilter(),
        "open": JobFilter(status="open"),
        "open, a category": JobFilter(status="open", category="Design"),
        "one owner's": JobFilter(owner_id=owner),
        "a skill 3 of 100,000 have": JobFilter(skills=["rare SKILL"]),
        "a word in all": JobFilter(text=COMMON),
        "a word 4 of 100,000 have": JobFilter(text=RARE),
        "a word in all, a rare category": JobFilter(text=COMMON, category="Rare"),
        "three words, open": JobFilter(text="design logo please", status="open"),
        "three letters": JobFilter(text="des"),
        "four letters of many words": JobFilter(text="stak"),
        "a budget from, to": JobFilter(min_budget=50_000, max_budget=90_001),
        "a budget at least": JobFilter(min_budget=12_345),
        "a budget nobody has": JobFilter(min_budget=50_001, max_budget=50_499),
        "a budget nobody has, a word in all": JobFilter(min_budget=50_001, max_budget=50_499, text=COMMON),
        "everything, common": JobFilter(
            status="open", category="Data", min_budget=20_000, max_budget=900_000, text=f"{COMMON} des"
        ),
        "everything, of one owner": JobFilter(
            status="open", category="Data", owner_id=owner, min_budget=20_000, text=COMMON
        ),
        "nothing: a rare skill, another category": JobFilter(skills=["Rare skill"], category="Data", text=COMMON),
    }


async def milliseconds(database: Database, wanted: JobFilter, after: str | None = None) -> tuple[float, float, int]:
    """p50 and p99 of a page, and how many jobs are on it."""
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        page = await database.read(listing.list_jobs, job_filter=wanted, after=after)
        times.append(time.perf_counter() - began)
    return percentile(times, 0.5), percentile(times, 0.99), len(page.items)


async def page_1000(database: Database, wanted: JobFilter) -> str | None:
    """What `after` is for the thousandth page."""
    after = None
    for _ in range(DEEP * pagination.DEFAULT_LIMIT // pagination.MAX_LIMIT):
        page = await database.read(listing.list_jobs, job_filter=wanted, limit=pagination.MAX_LIMIT, after=after)
        after = page.next
        if after is None:
            return None
    return after


async def _measure() -> list[tuple[str, str, str, str]]:
    found = []
    async with store() as (database, owner):
        for name, wanted in queries(owner).items():
            p50, p99, count = await milliseconds(database, wanted)
            deep = await page_1000(database, wanted)
            far = "–"
            if deep is not None:
                far = "page 1,000: p50 {:.2f} ms, p99 {:.2f} ms".format(*await milliseconds(database, wanted, deep))
            found.append((f"{name} ({count} of {JOBS:,} jobs)", f"p50 {p50:.2f} ms", f"p99 {p99:.2f} ms", far))
    return found


def measure() -> list[tuple[str, str, str, str]]:
    """A row for each query: what, p50, p99, and the same of its thousandth page where it has one."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure())


if __name__ == "__main__":
    for row in measure():
        print(" · ".join(row))
