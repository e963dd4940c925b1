"""Every filter and every combination finds what it says, page after page, whatever happens meanwhile."""

import itertools
import random
import sqlite3
import unicodedata
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, insert, text

from services.database.database import Database
from services.database.sqlite import engine as sqlite_engine
from services.errors import InvalidField
from services.jobs import editing, listing, search_query
from services.jobs.editing import JobEdit
from services.jobs.schemas import Job
from services.jobs.search_query import JobFilter
from services.schemas import Person
from services.tables import skills as skill_rows
from services.tables.job_search import BUDGET
from tests.services.database.query_plans import plan
from tests.services.jobs.bare_market import NOW, person, post, set_status

TITLES = ("Logo for a bakery", "Paint the kitchen", "Translate a menu", "Logo and menu", "Kitchen logo, painted")
SKILLS = ("Python", "C++", "C#", "video editing", "Éclairage", "sql")
BUDGETS = (1, 7, 8, 9, 63, 64, 500, 511, 512, 513, 50_000, 999_999, 10**12)
STATES = ("open", "open", "cancelled", "expired", "deleted")


def found(tx: Connection, **wanted: Any) -> list[str]:
    return [job.title for job in listing.list_jobs(tx, job_filter=JobFilter(**wanted), limit=100).items]


def ids(tx: Connection, wanted: JobFilter, limit: int) -> list[str]:
    """All jobs of a list, read page by page."""
    seen: list[str] = []
    after = None
    while True:
        page = listing.list_jobs(tx, job_filter=wanted, limit=limit, after=after)
        seen += [job.id for job in page.items]
        if page.next is None:
            return seen
        after = page.next


def fits(job: Job, status: str, wanted: JobFilter) -> bool:
    """What a list promises, said the slow way."""
    words = f"{job.title} {job.description} {' '.join(job.skills)}".lower()
    return (
        status != "deleted"
        and wanted.status in (None, status)
        and wanted.category in (None, job.category)
        and wanted.owner_id in (None, job.owner.id)
        and (not wanted.skills or bool({s.lower() for s in wanted.skills} & {s.lower() for s in job.skills}))
        and (wanted.min_budget or 0) <= job.budget <= (wanted.max_budget or 10**12)
        and (wanted.text is None or all(word in words for word in wanted.text.split()))
    )


def test_every_combination_of_filters_finds_exactly_what_fits_newest_first(tx: Connection) -> None:
    dice = random.Random(4)
    owners = [person(tx), person(tx)]
    posted: list[tuple[Job, str]] = []
    for _ in range(120):
        job = post(
            tx,
            dice.choice(owners),
            title=dice.choice(TITLES),
            budget=dice.choice(BUDGETS[:-1]),
            category=dice.choice((None, "Design", "Web Design", "design")),
            skills=dice.sample(SKILLS, dice.randrange(3)),
        )
        posted.append((job, dice.choice(STATES)))
        set_status(tx, job, posted[-1][1])
    choices: dict[str, tuple[Any, ...]] = {
        "status": (None, "open", "expired", "in_progress"),
        "category": (None, "Design", "Web Design"),
        "owner_id": (None, owners[0].id),
        "skills": ((), ("python",), ("C#", "ÉCLAIRAGE")),
        "min_budget": (None, 9, 513),
        "max_budget": (None, 8, 512, 50_000),
        "text": (None, "logo", "kitchen logo", "menu", "logo elsewhere"),
    }
    hits = 0
    for values in itertools.product(*choices.values()):
        wanted = JobFilter(**dict(zip(choices, values, strict=True)))
        expected = [job.id for job, status in reversed(posted) if fits(job, status, wanted)]
        assert ids(tx, wanted, 100) == expected, wanted
        hits += bool(expected)
    assert hits > 500


@settings(max_examples=200, deadline=None)
@given(
    budget=st.one_of(st.sampled_from(BUDGETS), st.integers(1, 10**12)),
    least=st.one_of(st.none(), st.sampled_from((0, *BUDGETS)), st.integers(0, 10**12)),
    most=st.one_of(st.none(), st.sampled_from((0, *BUDGETS)), st.integers(0, 10**12)),
)
def test_a_range_of_budgets_has_the_facets_of_the_budgets_in_it_and_of_no_others(
    budget: int, least: int | None, most: int | None
) -> None:
    octal = f"{budget:o}"
    has = {f"{BUDGET}{chr(96 + len(octal))}{octal[:n]}" for n in range(len(octal) + 1)}
    low, high = max(1, least or 1), 10**12 if most is None else most
    wanted = list(search_query._budget_facets(low, high))
    assert bool(has & set(wanted)) == (low <= budget <= high)
    assert len(wanted) < 200


def test_the_index_has_the_facets_of_budgets_that_searches_ask_for(tx: Connection) -> None:
    owner = person(tx)
    for budget in BUDGETS:
        post(tx, owner, title=str(budget), budget=budget)
    for least, most in itertools.product(BUDGETS, BUDGETS):
        expected = [str(budget) for budget in reversed(BUDGETS) if least <= budget <= most]
        assert found(tx, min_budget=least, max_budget=most) == expected
    assert found(tx, min_budget=0) == [str(budget) for budget in reversed(BUDGETS)]
    assert found(tx, max_budget=0) == []


def test_pages_neither_repeat_nor_miss_when_jobs_come_and_go_meanwhile(tx: Connection) -> None:
    owner = person(tx)
    jobs = [post(tx, owner, title="Logo") for _ in range(30)]
    seen: list[str] = []
    after = None
    for turn in range(40):
        page = listing.list_jobs(tx, job_filter=JobFilter(status="open", text="logo"), limit=4, after=after)
        seen += [job.id for job in page.items]
        if page.next is None:
            break
        after = page.next
        post(tx, owner, title="Logo")
        # One that was seen, and one that was not: it alone is missing.
        set_status(tx, jobs[29 - turn], "deleted")
        if turn == 2:
            set_status(tx, jobs[0], "cancelled")
    assert seen == [job.id for job in reversed(jobs[1:])]


def test_a_list_of_everything_is_a_list_of_all_but_deleted_jobs(tx: Connection) -> None:
    owner = person(tx)
    first, second, third = (post(tx, owner, title=title) for title in ("First", "Second", "Third"))
    set_status(tx, second, "deleted")
    assert found(tx) == ["Third", "First"]
    set_status(tx, third, "cancelled")
    assert found(tx) == ["Third", "First"]
    set_status(tx, first, "deleted")
    assert found(tx) == ["Third"]


def test_a_mark_that_is_none_is_refused(tx: Connection) -> None:
    for after in ("x", "LTE", "MS41", "é", "MDE5YS0", "M" * 65):
        with pytest.raises(InvalidField):
            listing.list_jobs(tx, after=after)


# Words


# What finds a job called "Logo for a bakery" with the skill "s": all words are its own, the last perhaps cut off.
HITS = (
    *(
        "logo",
        "LOGO",
        "log",
        "loğo bakery",
        '"logo"',
        "logo*",
        "-logo",
        "(logo",
        "^logo",
        "😀 logo",
        "lo\u0301go",
        "logo\x00",
    ),
    *("logo.bakery", "logo " * 40, "\\logo\\", "bakery\u2028logo", "{logo}", "s", "LOGO FOR A BAK", "a", "logo\x00"),
)
MISSES = (
    *("logo OR nothing", "title:logo", "+", "logo AND", "NOT logo", "logo NEAR bakery", "lo'go", "facets : sopen"),
    *("all", "sopen", "bd", "[]", "{title}: logo", "😀", "***", '"', '"""', "' OR 1=1 --", "a" * 200, "\u0301", "ロゴ"),
    *("xxx*", "\\", "a\u2028b", "C++", "null", "ﬁne", "İ", "ß" * 100, "\U0010ffff", "lo\x01", "lo", "ba"),
)


@pytest.mark.parametrize(("typed", "hits"), [*((typed, True) for typed in HITS), *((typed, False) for typed in MISSES)])
def test_anything_can_be_typed(tx: Connection, typed: str, hits: bool) -> None:
    post(tx, person(tx), title="Logo for a bakery", description="Please", category="all", skills=["s"])
    assert found(tx, text=typed) == (["Logo for a bakery"] if hits else [])
    listing.suggest(tx, text=typed)


@settings(max_examples=300, deadline=None)
@given(typed=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_nothing_typed_is_ever_an_error_of_fts5(template: Path, typed: str) -> None:
    with closing(sqlite3.connect(template)) as connection:
        engine_expression = search_query.words_expression(_NoTerms(), typed)  # type: ignore[arg-type]  # answers one query
        if engine_expression is not None:
            connection.execute("SELECT rowid FROM job_index WHERE job_index MATCH ?", (engine_expression,)).fetchall()


class _NoTerms:
    """An index without words."""

    def execute(self, *_: object) -> "_NoTerms":
        return self

    def scalars(self) -> list[str]:
        return []


def test_facets_cannot_be_typed(tx: Connection) -> None:
    post(tx, person(tx), title="Plain", description="No", budget=100, category="Design")
    for typed in ("all", "sopen", "c44657369676e", "bc", "bc144"):
        assert found(tx, text=typed) == []


def test_words_are_found_whole_and_the_last_one_from_three_letters_on(tx: Connection) -> None:
    owner = person(tx)
    for title in ("A designer", "Some designs", "A café in Zürich", "Go and C"):
        post(tx, owner, title=title)
    assert found(tx, text="des") == found(tx, text="desi") == ["Some designs", "A designer"]
    assert found(tx, text="designe") == ["A designer"]
    assert found(tx, text="desi some") == []
    assert found(tx, text="some desi") == ["Some designs"]
    assert found(tx, text="de") == []
    assert found(tx, text="go") == found(tx, text="c go") == ["Go and C"]
    for typed in ("cafe zuri", "CAFÉ ZÜRI", "cafe\u0301 zu\u0308ri"):
        assert found(tx, text=typed) == ["A café in Zürich"]
    assert found(tx, text="...") == []


SPELLED = (
    "한국어 번역",
    "ガイドの翻訳",
    "Café à Zürich",
    "Ẹ̀kọ́ ìwé",
    "Việt hoá",
    "हिन्दी अनुवाद",
    "Σύνταξη κειμένου",
    "Ёлка",
)


@pytest.mark.parametrize("typed", SPELLED)
@pytest.mark.parametrize(("stored", "asked"), list(itertools.product(("NFC", "NFD"), repeat=2)))
def test_what_is_written_is_found_however_its_accents_were_typed(
    tx: Connection, typed: str, stored: Literal["NFC", "NFD"], asked: Literal["NFC", "NFD"]
) -> None:
    owner = person(tx)
    written, typed = unicodedata.normalize(stored, typed), unicodedata.normalize(asked, typed)
    job = post(tx, owner, title=written, description=written, category=written, skills=[written])
    edited = post(tx, owner, title="Plain", description="Plain", category="Plain", skills=["Plain"])
    said = JobEdit(title=written, description=written, category=written, skills=[written])
    editing.edit(tx, job_id=edited.id, owner_id=owner.id, edit=said, now=NOW)
    expected = [edited.id, job.id]
    first, *_ = typed.split()
    for wanted in (
        *(JobFilter(text=typed), JobFilter(text=first), JobFilter(text=typed.lower())),
        *(JobFilter(category=typed), JobFilter(skills=[typed]), JobFilter(skills=[typed.lower()])),
    ):
        assert ids(tx, wanted, 100) == expected, wanted
    assert found(tx, text="plain") == []
    suggested = listing.suggest(tx, text=typed)
    assert suggested.titles == suggested.skills == [unicodedata.normalize("NFC", written)]


def test_a_skill_is_named_once_however_its_accents_were_typed(tx: Connection) -> None:
    both = [unicodedata.normalize(form, "Café") for form in ("NFC", "NFD")]
    assert post(tx, person(tx), skills=both).skills == ["Café"]


@pytest.mark.parametrize(
    ("about", "pointer"),
    [
        ({"title": "\U0001d160" * 120}, "/title"),
        ({"description": "\U0001d160" * 10_000}, "/description"),
        ({"category": "\u0958" * 40}, "/category"),
        ({"skills": ["sql", "\u0958" * 40]}, "/skills/1"),
    ],
)
def test_what_is_longer_in_its_usual_spelling_than_may_be_is_refused(
    tx: Connection, about: dict[str, Any], pointer: str
) -> None:
    owner = person(tx)
    job = post(tx, owner)
    with pytest.raises(InvalidField) as posting:
        post(tx, owner, **about)
    with pytest.raises(InvalidField) as changing:
        editing.edit(tx, job_id=job.id, owner_id=owner.id, edit=JobEdit(**about), now=NOW)
    for refused in (posting, changing):
        assert refused.value.details == {"pointer": pointer, "reason": "length"}
    assert found(tx) == ["Fix it"]


def test_a_beginning_that_many_words_share_finds_them_all(tx: Connection) -> None:
    owner = person(tx)
    many = [f"word{n:04d}" for n in range(search_query._MAX_PREFIX_TERMS + 40)]
    for title in many:
        post(tx, owner, title=title)
    assert found(tx, text="word") == found(tx, text="wor") == list(reversed(many))[:100]
    assert found(tx, text="word000") == [f"word000{n}" for n in range(9, -1, -1)]


def test_a_search_is_two_statements_however_many_words_begin_so(tx: Connection) -> None:
    owner = person(tx)
    for number in range(search_query._MAX_PREFIX_TERMS):
        post(tx, owner, title=f"word{number:04d}")
    asked: list[str] = []
    event.listen(tx, "before_cursor_execute", lambda _tx, _cursor, statement, *_: asked.append(statement))
    assert len(found(tx, text="word")) == search_query._MAX_PREFIX_TERMS
    # Each of them is a way to a reader's thread and back.
    assert len(asked) == 2, asked


def test_an_edit_is_found_by_its_new_words_and_not_by_its_old_ones(tx: Connection) -> None:
    job = post(tx, person(tx), title="Old", description="former", skills=["ancient"], category="Then", budget=10)
    change = (
        "UPDATE jobs SET title='New', description='present', skills='[\"modern\"]', category='Now', budget=20, held=20"
    )
    tx.execute(text(change))
    for old in ("old", "former", "ancient"):
        assert found(tx, text=old) == []
    for new in ("new", "present", "modern"):
        assert found(tx, text=new) == ["New"]
    assert found(tx, category="Then") == found(tx, skills=["ancient"]) == found(tx, max_budget=19) == []
    assert found(tx, category="Now", skills=["Modern"], min_budget=20, max_budget=20, owner_id=job.owner.id) == ["New"]


def test_the_index_says_of_itself_that_it_is_whole_after_everything(tx: Connection) -> None:
    owner = person(tx)
    for number in range(40):
        job = post(tx, owner, title=f"Job {number}", skills=["a", "A", "b"], category=None if number % 2 else "Q")
        set_status(tx, job, ("open", "cancelled", "deleted")[number % 3])
    tx.execute(text("UPDATE jobs SET title = title || '!', skills = '[]' WHERE seq % 5 = 0"))
    tx.execute(text("INSERT INTO job_index (job_index) VALUES ('integrity-check')"))
    terms = tx.execute(text("SELECT count(DISTINCT doc) FROM job_terms WHERE term = 'all'")).scalar_one()
    assert terms == tx.execute(text("SELECT count(*) FROM jobs WHERE status <> 'deleted'")).scalar_one()


# Suggestions


def test_suggestions_are_titles_of_open_jobs_and_popular_skills(tx: Connection) -> None:
    owner = person(tx)
    for title, skills in (
        ("Logo old", ["Python"]),
        ("Logo old", ["python"]),
        ("Logo new", ["Pytorch"]),
        ("No", ["pyy"]),
    ):
        post(tx, owner, title=title, description="logo", skills=skills)
    set_status(tx, post(tx, owner, title="Logo done", skills=["Python"]), "cancelled")
    gone = post(tx, owner, title="Logo gone", skills=["Pyramid"])
    assert listing.suggest(tx, text="pyr").skills == ["Pyramid"]
    set_status(tx, gone, "deleted")
    assert listing.suggest(tx, text=" LOG ").titles == ["Logo new", "Logo old"]
    assert listing.suggest(tx, text="PY").skills == ["Python", "Pytorch", "pyy"]
    assert listing.suggest(tx, text="pyr").skills == []
    assert listing.suggest(tx, text="***") == listing.Suggestions(titles=[], skills=[])
    for number in range(8):
        post(tx, owner, title=f"Logo {number}", skills=[f"Skill {number}"])
    suggested = listing.suggest(tx, text="logo")
    assert suggested.titles == [f"Logo {number}" for number in (7, 6, 5, 4, 3)]
    assert len(listing.suggest(tx, text="skill").skills) == 5


def test_suggestions_look_at_the_newest_fifty_jobs_and_at_five_hundred_skills_only(tx: Connection) -> None:
    owner = person(tx)
    post(tx, owner, title="Logo first")
    for _ in range(49):
        post(tx, owner, title="Logo")
    assert listing.suggest(tx, text="logo").titles == ["Logo", "Logo first"]
    post(tx, owner, title="Logo")
    assert listing.suggest(tx, text="logo").titles == ["Logo"]
    tx.execute(insert(skill_rows), [{"name": f"sql {number:03d}", "jobs": 1} for number in range(499)])
    tx.execute(insert(skill_rows), {"name": "sql zzz", "jobs": 9})
    assert listing.suggest(tx, text="sql").skills[0] == "sql zzz"
    tx.execute(insert(skill_rows), {"name": "sql 499", "jobs": 1})
    assert listing.suggest(tx, text="sql").skills == [f"sql 00{number}" for number in range(5)]


def test_the_counts_of_skills_are_what_the_jobs_say(tx: Connection) -> None:
    owner = person(tx)
    first = post(tx, owner, skills=["a", "A", "b"])
    second = post(tx, owner, skills=["B", "c"])
    counts = partial(tx.execute, text("SELECT lower(name), jobs FROM skills ORDER BY 1"))
    assert counts().all() == [("a", 2), ("b", 2), ("c", 1)]
    set_status(tx, first, "deleted")
    assert counts().all() == [("b", 1), ("c", 1)]
    tx.execute(text("UPDATE jobs SET skills = '[\"d\"]' WHERE id = :id"), {"id": second.id})
    assert counts().all() == [("d", 1)]


# The store


def test_no_list_reads_a_table_from_one_end_to_the_other_or_sorts(tx: Connection) -> None:
    owner = person(tx)
    wanted = JobFilter(
        status="open", category="A", owner_id=owner.id, skills=["b"], min_budget=5, max_budget=500, text="some word"
    )
    for narrowed in (JobFilter(), JobFilter(status="open"), JobFilter(min_budget=7), JobFilter(text="des"), wanted):
        expression = search_query.build_expression(tx, narrowed)
        steps = plan(tx, listing._PAGE, expression=expression, before_seq=10**6, limit=21)
        # FTS5 itself looks the words up (M), from the mark (<) downwards (192): no step sorts what was found.
        assert steps[0] == "SCAN job_index VIRTUAL TABLE INDEX 192:M4<", steps
        assert all(step.startswith("SEARCH") for step in steps[1:]), steps
    steps = plan(tx, listing._POPULAR_SKILLS, prefix="py", prefix_end="pz")
    assert any("SEARCH skills USING INDEX" in step for step in steps), steps


async def test_a_copy_of_the_store_finds_the_same(database: Database, store: Path, tmp_path: Path) -> None:
    def fill(tx: Connection) -> list[str]:
        owner: Person = person(tx)
        jobs = [post(tx, owner, title=f"Logo {number}") for number in range(5)]
        set_status(tx, jobs[2], "deleted")
        return [job.title for job in reversed(jobs) if job is not jobs[2]]

    titles = await database.write(fill)
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("DELETE FROM jobs WHERE status = 'deleted'")
        connection.execute(f"VACUUM INTO '{tmp_path / 'copy.db'}'")
    engine = sqlite_engine.writer_engine(tmp_path / "copy.db")
    with engine.connect() as copied:
        assert found(copied, text="logo") == titles
    engine.dispose()
