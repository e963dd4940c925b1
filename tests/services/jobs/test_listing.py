"""Job lists: filters, pages, full-text search and suggestions."""

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


def titles(tx: Connection, **filters: Any) -> list[str]:
    return [job.title for job in listing.list_jobs(tx, job_filter=JobFilter(**filters), limit=100).items]


def ids(tx: Connection, job_filter: JobFilter, limit: int) -> list[str]:
    """Return the ids of all jobs of a list, read page by page."""
    listed: list[str] = []
    after = None
    while True:
        page = listing.list_jobs(tx, job_filter=job_filter, limit=limit, after=after)
        listed += [job.id for job in page.items]
        if page.next is None:
            return listed
        after = page.next


def matches(job: Job, status: str, job_filter: JobFilter) -> bool:
    """Apply the filter in plain Python."""
    words = f"{job.title} {job.description} {' '.join(job.skills)}".lower()
    return (
        status != "deleted"
        and job_filter.status in (None, status)
        and job_filter.category in (None, job.category)
        and job_filter.owner_id in (None, job.owner.id)
        and (not job_filter.skills or bool({s.lower() for s in job_filter.skills} & {s.lower() for s in job.skills}))
        and (job_filter.min_budget or 0) <= job.budget <= (job_filter.max_budget or 10**12)
        and (job_filter.text is None or all(word in words for word in job_filter.text.split()))
    )


def test_all_filter_combinations_find_matching_jobs_newest_first(tx: Connection) -> None:
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
        job_filter = JobFilter(**dict(zip(choices, values, strict=True)))
        expected = [job.id for job, status in reversed(posted) if matches(job, status, job_filter)]
        assert ids(tx, job_filter, 100) == expected, job_filter
        hits += bool(expected)
    assert hits > 500


@settings(max_examples=200, deadline=None)
@given(
    budget=st.one_of(st.sampled_from(BUDGETS), st.integers(1, 10**12)),
    least=st.one_of(st.none(), st.sampled_from((0, *BUDGETS)), st.integers(0, 10**12)),
    most=st.one_of(st.none(), st.sampled_from((0, *BUDGETS)), st.integers(0, 10**12)),
)
def test_budget_facets_match_exactly_the_budgets_in_the_range(budget: int, least: int | None, most: int | None) -> None:
    octal = f"{budget:o}"
    own_facets = {f"{BUDGET}{chr(96 + len(octal))}{octal[:n]}" for n in range(len(octal) + 1)}
    low, high = max(1, least or 1), 10**12 if most is None else most
    facets = list(search_query._budget_facets(low, high))
    assert bool(own_facets & set(facets)) == (low <= budget <= high)
    assert len(facets) < 200


def test_index_contains_the_budget_facets_of_searches(tx: Connection) -> None:
    owner = person(tx)
    for budget in BUDGETS:
        post(tx, owner, title=str(budget), budget=budget)
    for least, most in itertools.product(BUDGETS, BUDGETS):
        expected = [str(budget) for budget in reversed(BUDGETS) if least <= budget <= most]
        assert titles(tx, min_budget=least, max_budget=most) == expected
    assert titles(tx, min_budget=0) == [str(budget) for budget in reversed(BUDGETS)]
    assert titles(tx, max_budget=0) == []


def test_pages_have_no_repeats_or_gaps_while_jobs_change(tx: Connection) -> None:
    owner = person(tx)
    jobs = [post(tx, owner, title="Logo") for _ in range(30)]
    listed: list[str] = []
    after = None
    for number in range(40):
        page = listing.list_jobs(tx, job_filter=JobFilter(status="open", text="logo"), limit=4, after=after)
        listed += [job.id for job in page.items]
        if page.next is None:
            break
        after = page.next
        post(tx, owner, title="Logo")
        # Delete a job that was listed already, and close one that was not.
        set_status(tx, jobs[29 - number], "deleted")
        if number == 2:
            set_status(tx, jobs[0], "cancelled")
    assert listed == [job.id for job in reversed(jobs[1:])]


def test_list_without_filter_contains_all_but_deleted_jobs(tx: Connection) -> None:
    owner = person(tx)
    first, second, third = (post(tx, owner, title=title) for title in ("First", "Second", "Third"))
    set_status(tx, second, "deleted")
    assert titles(tx) == ["Third", "First"]
    set_status(tx, third, "cancelled")
    assert titles(tx) == ["Third", "First"]
    set_status(tx, first, "deleted")
    assert titles(tx) == ["Third"]


def test_list_rejects_invalid_page_tokens(tx: Connection) -> None:
    for after in ("x", "LTE", "MS41", "é", "MDE5YS0", "M" * 65):
        with pytest.raises(InvalidField):
            listing.list_jobs(tx, after=after)


# Words


# Searches that match a job with the title "Logo for a bakery" and the skill "s". The last word may be a prefix.
MATCHING = (
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
NOT_MATCHING = (
    *("logo OR nothing", "title:logo", "+", "logo AND", "NOT logo", "logo NEAR bakery", "lo'go", "facets : sopen"),
    *("all", "sopen", "bd", "[]", "{title}: logo", "😀", "***", '"', '"""', "' OR 1=1 --", "a" * 200, "\u0301", "ロゴ"),
    *("xxx*", "\\", "a\u2028b", "C++", "null", "ﬁne", "İ", "ß" * 100, "\U0010ffff", "lo\x01", "lo", "ba"),
)


@pytest.mark.parametrize(
    ("typed", "matches"), [*((typed, True) for typed in MATCHING), *((typed, False) for typed in NOT_MATCHING)]
)
def test_search_treats_any_text_as_plain_words(tx: Connection, typed: str, matches: bool) -> None:
    post(tx, person(tx), title="Logo for a bakery", description="Please", category="all", skills=["s"])
    assert titles(tx, text=typed) == (["Logo for a bakery"] if matches else [])
    listing.suggest(tx, text=typed)


@settings(max_examples=300, deadline=None)
@given(typed=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_search_expression_is_always_valid_fts5(template: Path, typed: str) -> None:
    with closing(sqlite3.connect(template)) as connection:
        expression = search_query.words_expression(_NoTerms(), typed)  # type: ignore[arg-type]  # no other method is called
        if expression is not None:
            connection.execute("SELECT rowid FROM job_index WHERE job_index MATCH ?", (expression,)).fetchall()


class _NoTerms:
    """A connection to an empty index."""

    def execute(self, *_: object) -> "_NoTerms":
        return self

    def scalars(self) -> list[str]:
        return []


def test_search_text_does_not_match_facets(tx: Connection) -> None:
    post(tx, person(tx), title="Plain", description="No", budget=100, category="Design")
    for typed in ("all", "sopen", "c44657369676e", "bc", "bc144"):
        assert titles(tx, text=typed) == []


def test_search_matches_words_and_a_last_prefix_of_three_characters(tx: Connection) -> None:
    owner = person(tx)
    for title in ("A designer", "Some designs", "A café in Zürich", "Go and C"):
        post(tx, owner, title=title)
    assert titles(tx, text="des") == titles(tx, text="desi") == ["Some designs", "A designer"]
    assert titles(tx, text="designe") == ["A designer"]
    assert titles(tx, text="desi some") == []
    assert titles(tx, text="some desi") == ["Some designs"]
    assert titles(tx, text="de") == []
    assert titles(tx, text="go") == titles(tx, text="c go") == ["Go and C"]
    for typed in ("cafe zuri", "CAFÉ ZÜRI", "cafe\u0301 zu\u0308ri"):
        assert titles(tx, text=typed) == ["A café in Zürich"]
    assert titles(tx, text="...") == []


ACCENTED = (
    "한국어 번역",
    "ガイドの翻訳",
    "Café à Zürich",
    "Ẹ̀kọ́ ìwé",
    "Việt hoá",
    "हिन्दी अनुवाद",
    "Σύνταξη κειμένου",
    "Ёлка",
)


@pytest.mark.parametrize("typed", ACCENTED)
@pytest.mark.parametrize(("stored_form", "typed_form"), list(itertools.product(("NFC", "NFD"), repeat=2)))
def test_search_ignores_the_unicode_form_of_accents(
    tx: Connection, typed: str, stored_form: Literal["NFC", "NFD"], typed_form: Literal["NFC", "NFD"]
) -> None:
    owner = person(tx)
    written, typed = unicodedata.normalize(stored_form, typed), unicodedata.normalize(typed_form, typed)
    job = post(tx, owner, title=written, description=written, category=written, skills=[written])
    edited = post(tx, owner, title="Plain", description="Plain", category="Plain", skills=["Plain"])
    changes = JobEdit(title=written, description=written, category=written, skills=[written])
    editing.edit(tx, job_id=edited.id, owner_id=owner.id, edit=changes, now=NOW)
    expected = [edited.id, job.id]
    first, *_ = typed.split()
    for job_filter in (
        *(JobFilter(text=typed), JobFilter(text=first), JobFilter(text=typed.lower())),
        *(JobFilter(category=typed), JobFilter(skills=[typed]), JobFilter(skills=[typed.lower()])),
    ):
        assert ids(tx, job_filter, 100) == expected, job_filter
    assert titles(tx, text="plain") == []
    suggested = listing.suggest(tx, text=typed)
    assert suggested.titles == suggested.skills == [unicodedata.normalize("NFC", written)]


def test_skills_in_two_unicode_forms_are_stored_once(tx: Connection) -> None:
    both = [unicodedata.normalize(form, "Café") for form in ("NFC", "NFD")]
    assert post(tx, person(tx), skills=both).skills == ["Café"]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"title": "\U0001d160" * 120}, "/title"),
        ({"description": "\U0001d160" * 10_000}, "/description"),
        ({"category": "\u0958" * 40}, "/category"),
        ({"skills": ["sql", "\u0958" * 40]}, "/skills/1"),
    ],
)
def test_text_is_rejected_when_its_nfc_form_is_too_long(tx: Connection, fields: dict[str, Any], pointer: str) -> None:
    owner = person(tx)
    job = post(tx, owner)
    with pytest.raises(InvalidField) as posting_error:
        post(tx, owner, **fields)
    with pytest.raises(InvalidField) as editing_error:
        editing.edit(tx, job_id=job.id, owner_id=owner.id, edit=JobEdit(**fields), now=NOW)
    for raised in (posting_error, editing_error):
        assert raised.value.details == {"pointer": pointer, "reason": "length"}
    assert titles(tx) == ["Fix it"]


def test_prefix_shared_by_many_words_finds_all_of_them(tx: Connection) -> None:
    owner = person(tx)
    many = [f"word{n:04d}" for n in range(search_query._MAX_PREFIX_TERMS + 40)]
    for title in many:
        post(tx, owner, title=title)
    assert titles(tx, text="word") == titles(tx, text="wor") == list(reversed(many))[:100]
    assert titles(tx, text="word000") == [f"word000{n}" for n in range(9, -1, -1)]


def test_search_takes_two_statements_for_any_number_of_words(tx: Connection) -> None:
    owner = person(tx)
    for number in range(search_query._MAX_PREFIX_TERMS):
        post(tx, owner, title=f"word{number:04d}")
    statements: list[str] = []
    event.listen(tx, "before_cursor_execute", lambda _tx, _cursor, statement, *_: statements.append(statement))
    assert len(titles(tx, text="word")) == search_query._MAX_PREFIX_TERMS
    # Each statement is a round trip to a reader thread.
    assert len(statements) == 2, statements


def test_edited_job_is_found_by_its_new_words_only(tx: Connection) -> None:
    job = post(tx, person(tx), title="Old", description="former", skills=["ancient"], category="Then", budget=10)
    change = (
        "UPDATE jobs SET title='New', description='present', skills='[\"modern\"]', category='Now', budget=20, held=20"
    )
    tx.execute(text(change))
    for old in ("old", "former", "ancient"):
        assert titles(tx, text=old) == []
    for new in ("new", "present", "modern"):
        assert titles(tx, text=new) == ["New"]
    assert titles(tx, category="Then") == titles(tx, skills=["ancient"]) == titles(tx, max_budget=19) == []
    assert titles(tx, category="Now", skills=["Modern"], min_budget=20, max_budget=20, owner_id=job.owner.id) == ["New"]


def test_index_passes_its_integrity_check_after_all_changes(tx: Connection) -> None:
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
    deleted = post(tx, owner, title="Logo gone", skills=["Pyramid"])
    assert listing.suggest(tx, text="pyr").skills == ["Pyramid"]
    set_status(tx, deleted, "deleted")
    assert listing.suggest(tx, text=" LOG ").titles == ["Logo new", "Logo old"]
    assert listing.suggest(tx, text="PY").skills == ["Python", "Pytorch", "pyy"]
    assert listing.suggest(tx, text="pyr").skills == []
    assert listing.suggest(tx, text="***") == listing.Suggestions(titles=[], skills=[])
    for number in range(8):
        post(tx, owner, title=f"Logo {number}", skills=[f"Skill {number}"])
    suggested = listing.suggest(tx, text="logo")
    assert suggested.titles == [f"Logo {number}" for number in (7, 6, 5, 4, 3)]
    assert len(listing.suggest(tx, text="skill").skills) == 5


def test_suggestions_read_at_most_50_jobs_and_500_skills(tx: Connection) -> None:
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


def test_skill_counts_equal_the_skills_of_the_jobs(tx: Connection) -> None:
    owner = person(tx)
    first = post(tx, owner, skills=["a", "A", "b"])
    second = post(tx, owner, skills=["B", "c"])
    counts = partial(tx.execute, text("SELECT lower(name), jobs FROM skills ORDER BY 1"))
    assert counts().all() == [("a", 2), ("b", 2), ("c", 1)]
    set_status(tx, first, "deleted")
    assert counts().all() == [("b", 1), ("c", 1)]
    tx.execute(text("UPDATE jobs SET skills = '[\"d\"]' WHERE id = :id"), {"id": second.id})
    assert counts().all() == [("d", 1)]


# Query plans and copies of the store


def test_list_statements_neither_scan_a_table_nor_sort(tx: Connection) -> None:
    owner = person(tx)
    all_filters = JobFilter(
        status="open", category="A", owner_id=owner.id, skills=["b"], min_budget=5, max_budget=500, text="some word"
    )
    for job_filter in (
        JobFilter(),
        JobFilter(status="open"),
        JobFilter(min_budget=7),
        JobFilter(text="des"),
        all_filters,
    ):
        expression = search_query.build_expression(tx, job_filter)
        steps = plan(tx, listing._PAGE, expression=expression, before_seq=10**6, limit=21)
        # FTS5 finds the words (M), below the page token (<), in descending order (192), so that no step sorts.
        assert steps[0] == "SCAN job_index VIRTUAL TABLE INDEX 192:M4<", steps
        assert all(step.startswith("SEARCH") for step in steps[1:]), steps
    steps = plan(tx, listing._POPULAR_SKILLS, prefix="py", prefix_end="pz")
    assert any("SEARCH skills USING INDEX" in step for step in steps), steps


async def test_copy_of_the_store_finds_the_same_jobs(database: Database, store: Path, tmp_path: Path) -> None:
    def fill(tx: Connection) -> list[str]:
        owner: Person = person(tx)
        jobs = [post(tx, owner, title=f"Logo {number}") for number in range(5)]
        set_status(tx, jobs[2], "deleted")
        return [job.title for job in reversed(jobs) if job is not jobs[2]]

    expected = await database.write(fill)
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("DELETE FROM jobs WHERE status = 'deleted'")
        connection.execute(f"VACUUM INTO '{tmp_path / 'copy.db'}'")
    engine = sqlite_engine.writer_engine(tmp_path / "copy.db")
    with engine.connect() as copied:
        assert titles(copied, text="logo") == expected
    engine.dispose()
