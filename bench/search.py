"""Measures lists and searches on a store with 100,000 jobs: p50 and p99 of each query.

The queries run in this process through `Database.read`, like those of the hub: each statement runs in a reader
thread. `python -m bench.search` prints the figures.
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

from bench.raw_client import get_percentile_ms
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
REPETITIONS = 200
DEEP_PAGE = 1_000  # pages of 20

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
# For a vocabulary of about 8,000 words, some of which occur in nearly every text.
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


def generate_jobs(dice: random.Random, owners: list[str]) -> Iterator[dict[str, Any]]:
    """Yield jobs with unevenly distributed words, skills, categories and budgets."""
    words = [COMMON, *dict.fromkeys("".join(dice.choices(_SYLLABLES, k=dice.randrange(2, 5))) for _ in range(9_000))]
    skills = [f"{word} {kind}" for kind in ("design", "writing", "coding") for word in words[1:80]]
    for number in range(JOBS):
        budget = max(500, round(dice.lognormvariate(11, 1.2)) // 500 * 500)
        job_skills = list({skills[_choose_unevenly(dice, len(skills))] for _ in range(3)})
        title = f"{dice.choice(_VERBS)} a {dice.choice(_THINGS)} for {words[_choose_unevenly(dice, len(words))]}"
        text = " ".join(words[_choose_unevenly(dice, len(words))] for _ in range(70))
        is_rare = number % 33_000 == 17
        status = dice.choice(_STATES)
        yield {
            "id": new_id(),
            "owner_id": dice.choice(owners),
            "title": title,
            "description": f"{COMMON} {text}" + (f" {RARE}" if is_rare else ""),
            "budget": budget,
            "currency": "USD",
            "category": "Rare" if is_rare else dice.choice(_CATEGORIES),
            "skills": msgspec.json.encode([*job_skills, "Rare skill"] if is_rare else job_skills).decode(),
            "status": status,
            "bid_count": 0,
            "instant_accept": 0,
            "held": budget if status == "open" else 0,
            "created_at": number,
            "updated_at": number,
            "has_unpublished_changes": 0,
        }


def _choose_unevenly(dice: random.Random, count: int) -> int:
    return min(int(dice.paretovariate(0.5)) - 1, count - 1)


@asynccontextmanager
async def open_store() -> AsyncIterator[tuple[Database, str]]:
    """Open a store with these jobs; yields the database and the id of one owner."""
    dice = random.Random(7)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "hub.db"
        upgrade(path)
        engine = sqlite_engine.writer_engine(path)
        owners = [new_id() for _ in range(OWNERS)]
        with engine.begin() as tx:
            owner_rows = [{"id": owner, "name": "Ann", "role": "client", "created_at": 0} for owner in owners]
            tx.execute(insert(users), owner_rows)
        rows = list(generate_jobs(dice, owners))
        for start in range(0, JOBS, 1_000):
            with engine.begin() as tx:
                tx.execute(insert(jobs), rows[start : start + 1_000])
        engine.dispose()
        database = Database(path)
        await database.start()
        yield database, owners[3]
        await database.stop()


def build_queries(owner: str) -> dict[str, JobFilter]:
    """Return common and rare queries; the rare ones find jobs that are far apart, or none."""
    return {
        "all jobs": JobFilter(),
        "open": JobFilter(status="open"),
        "open, a category": JobFilter(status="open", category="Design"),
        "of one owner": JobFilter(owner_id=owner),
        "a skill 3 of 100,000 have": JobFilter(skills=["rare SKILL"]),
        "a word in all": JobFilter(text=COMMON),
        "a word 4 of 100,000 have": JobFilter(text=RARE),
        "a word in all, a rare category": JobFilter(text=COMMON, category="Rare"),
        "three words, open": JobFilter(text="design logo please", status="open"),
        "three letters": JobFilter(text="des"),
        "four letters of many words": JobFilter(text="stak"),
        "a budget from, to": JobFilter(min_budget=50_000, max_budget=90_001),
        "a budget at least": JobFilter(min_budget=12_345),
        "a budget of no job": JobFilter(min_budget=50_001, max_budget=50_499),
        "a budget of no job, a word in all": JobFilter(min_budget=50_001, max_budget=50_499, text=COMMON),
        "everything, common": JobFilter(
            status="open", category="Data", min_budget=20_000, max_budget=900_000, text=f"{COMMON} des"
        ),
        "everything, of one owner": JobFilter(
            status="open", category="Data", owner_id=owner, min_budget=20_000, text=COMMON
        ),
        "nothing: a rare skill, another category": JobFilter(skills=["Rare skill"], category="Data", text=COMMON),
    }


async def measure_query(
    database: Database, job_filter: JobFilter, after: str | None = None
) -> tuple[float, float, int]:
    """Return p50 and p99 of a page in milliseconds, and the number of jobs on it."""
    times = []
    for _ in range(REPETITIONS):
        began = time.perf_counter()
        page = await database.read(listing.list_jobs, job_filter=job_filter, after=after)
        times.append(time.perf_counter() - began)
    return get_percentile_ms(times, 0.5), get_percentile_ms(times, 0.99), len(page.items)


async def find_deep_cursor(database: Database, job_filter: JobFilter) -> str | None:
    """Return the cursor of the thousandth page; None if there are fewer pages."""
    after = None
    for _ in range(DEEP_PAGE * pagination.DEFAULT_LIMIT // pagination.MAX_LIMIT):
        page = await database.read(listing.list_jobs, job_filter=job_filter, limit=pagination.MAX_LIMIT, after=after)
        after = page.next
        if after is None:
            return None
    return after


async def _measure() -> list[tuple[str, str, str, str]]:
    rows = []
    async with open_store() as (database, owner):
        for name, job_filter in build_queries(owner).items():
            p50, p99, count = await measure_query(database, job_filter)
            deep = await find_deep_cursor(database, job_filter)
            deep_figures = "–"
            if deep is not None:
                deep_figures = "page 1,000: p50 {:.2f} ms, p99 {:.2f} ms".format(
                    *await measure_query(database, job_filter, deep)
                )
            rows.append((f"{name} ({count} of {JOBS:,} jobs)", f"p50 {p50:.2f} ms", f"p99 {p99:.2f} ms", deep_figures))
    return rows


def measure() -> list[tuple[str, str, str, str]]:
    """Return a row for each query: name, p50, p99, and the same for its thousandth page if there is one."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure())


if __name__ == "__main__":
    for row in measure():
        print(" · ".join(row))
