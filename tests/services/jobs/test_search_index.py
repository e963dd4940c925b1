"""The full-text index: words and facets after every kind of change."""

import random
from string import Template

import pytest
from sqlalchemy import Connection, text

from services.database.sqlite import engine
from services.jobs import editing, listing
from services.jobs.editing import JobEdit
from services.jobs.search_query import JobFilter
from services.tables import job_search
from tests.services.jobs.bare_market import set_status
from tests.services.jobs.job_factory import NOW, change_status, create_job, person, post

FILL = Template(f"""
    INSERT INTO job_index (rowid, title, description, skills, facets)
    SELECT jobs.seq, jobs.title, jobs.description, jobs.skills, {job_search._FACETS}
    FROM jobs WHERE jobs.status <> 'deleted' ORDER BY jobs.seq
""").substitute(row="jobs")

# Words that resemble the facets of status and budget, or begin like them.
WORDS = "since open opened operator be bed bc bc1 bd sopen sinprogress expired expiry all cancelled assigned submitted"


def terms(tx: Connection) -> set[tuple[object, ...]]:
    """Return every term of every job with its column, without its position."""
    return {tuple(row) for row in tx.execute(text("SELECT DISTINCT term, doc, col FROM job_terms"))}


def test_index_equals_a_rebuilt_index_after_random_changes(tx: Connection) -> None:
    dice, owner = random.Random(7), person(tx, "Olga", "client", 10**9)
    made = [post(tx, owner, budget=dice.randrange(1, 5_000)) for _ in range(25)]
    tx.execute(text("UPDATE jobs SET description = :words"), {"words": WORDS})
    for _ in range(400):
        job = dice.choice(made)
        match dice.randrange(4):
            case 0:
                set_status(tx, job, dice.choice(("open", "cancelled", "expired", "open", "open", "deleted")))
            case 1:
                change = "UPDATE jobs SET budget = :budget, held = CASE status WHEN 'open' THEN :budget ELSE 0 END"
                tx.execute(text(f"{change} WHERE id = :id"), {"budget": dice.choice((7, 64, 500, 9_999)), "id": job.id})
            case 2:
                change = "UPDATE jobs SET title = :title, status = 'open', held = budget WHERE id = :id"
                tx.execute(text(change), {"title": dice.choice(WORDS.split()), "id": job.id})
            case _:
                tx.execute(
                    text("UPDATE jobs SET has_unpublished_changes = 1 - has_unpublished_changes WHERE id = :id"),
                    {"id": job.id},
                )
        if dice.random() < 0.05:
            tx.execute(text("INSERT INTO job_index (job_index, rank) VALUES ('merge', -100)"))
    before = terms(tx)
    tx.execute(text("INSERT INTO job_index (job_index) VALUES ('integrity-check')"))
    tx.execute(text("INSERT INTO job_index (job_index) VALUES ('delete-all')"))
    tx.execute(text(FILL))
    assert before == terms(tx)
    assert len(before) > 500


@pytest.mark.parametrize("status", ["assigned", "in_progress", "submitted", "completed"])
def test_every_word_and_prefix_is_found_in_every_job_status(tx: Connection, status: str) -> None:
    posted = create_job(tx)
    editing.edit(tx, job_id=posted.job.id, owner_id=posted.owner.id, edit=JobEdit(description=WORDS), now=NOW)
    editing.edit(tx, job_id=posted.job.id, owner_id=posted.owner.id, edit=JobEdit(budget=4_500), now=NOW)
    other = create_job(tx, status)
    tx.execute(text("UPDATE jobs SET description = :words WHERE id = :id"), {"words": WORDS, "id": other.job.id})
    change_status(tx, posted.job, posted.owner, "cancelled")
    for word in WORDS.split():
        for typed in {word, word[:3], word[:4]}:
            listed = [job.id for job in listing.list_jobs(tx, job_filter=JobFilter(text=typed)).items]
            assert listed == [other.job.id, posted.job.id], typed
    assert [job.id for job in listing.list_jobs(tx, job_filter=JobFilter(status="cancelled")).items] == [posted.job.id]
    assert [job.id for job in listing.list_jobs(tx, job_filter=JobFilter(max_budget=4_500)).items] == [posted.job.id]


def test_status_and_budget_changes_cost_the_same_for_long_texts(tx: Connection) -> None:
    owner = person(tx, "Olga", "client", 10**9)
    dice = random.Random(1)
    many_words = " ".join("".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(1_400))

    def changed_rows(description: str) -> int:
        job = post(tx, owner)
        tx.execute(
            text("UPDATE jobs SET description = :description WHERE id = :id"),
            {"description": description, "id": job.id},
        )
        before = engine.raw_connection(tx).total_changes
        editing.edit(tx, job_id=job.id, owner_id=owner.id, edit=JobEdit(budget=6_000), now=NOW)
        change_status(tx, job, owner, "cancelled")
        # A search makes FTS5 write its pending changes.
        listing.list_jobs(tx)
        return engine.raw_connection(tx).total_changes - before

    assert changed_rows(many_words) <= changed_rows("few words") + 2
