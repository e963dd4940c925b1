"""What moves about a job is indexed by itself: its words stay in the index as they are, and are found."""

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

# What the facets of status and budget might be mistaken for, and what begins like them.
WORDS = "since open opened operator be bed bc bc1 bd sopen sinprogress expired expiry all cancelled assigned submitted"


def terms(tx: Connection) -> set[tuple[object, ...]]:
    """Every word and facet of every job; where in its column it stands nobody asks."""
    return {tuple(row) for row in tx.execute(text("SELECT DISTINCT term, doc, col FROM job_terms"))}


def test_after_everything_that_moves_the_index_is_what_the_jobs_say(tx: Connection) -> None:
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
    kept = terms(tx)
    tx.execute(text("INSERT INTO job_index (job_index) VALUES ('integrity-check')"))
    tx.execute(text("INSERT INTO job_index (job_index) VALUES ('delete-all')"))
    tx.execute(text(FILL))
    assert kept == terms(tx)
    assert len(kept) > 500


@pytest.mark.parametrize("status", ["assigned", "in_progress", "submitted", "completed"])
def test_every_word_and_its_beginning_is_found_wherever_the_job_has_got_to(tx: Connection, status: str) -> None:
    g = create_job(tx)
    editing.edit(tx, job_id=g.job.id, owner_id=g.owner.id, edit=JobEdit(description=WORDS), now=NOW)
    editing.edit(tx, job_id=g.job.id, owner_id=g.owner.id, edit=JobEdit(budget=4_500), now=NOW)
    moved = create_job(tx, status)
    tx.execute(text("UPDATE jobs SET description = :words WHERE id = :id"), {"words": WORDS, "id": moved.job.id})
    change_status(tx, g.job, g.owner, "cancelled")
    for word in WORDS.split():
        for typed in {word, word[:3], word[:4]}:
            found = [job.id for job in listing.list_jobs(tx, job_filter=JobFilter(text=typed)).items]
            assert found == [moved.job.id, g.job.id], typed
    assert [job.id for job in listing.list_jobs(tx, job_filter=JobFilter(status="cancelled")).items] == [g.job.id]
    assert [job.id for job in listing.list_jobs(tx, job_filter=JobFilter(max_budget=4_500)).items] == [g.job.id]


def test_a_budget_and_a_status_cost_the_same_whatever_has_been_written_about_the_job(tx: Connection) -> None:
    owner = person(tx, "Olga", "client", 10**9)
    dice = random.Random(1)
    many_words = " ".join("".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(1_400))

    def rows(description: str) -> int:
        job = post(tx, owner)
        tx.execute(text("UPDATE jobs SET description = :said WHERE id = :id"), {"said": description, "id": job.id})
        before = engine.raw_connection(tx).total_changes
        editing.edit(tx, job_id=job.id, owner_id=owner.id, edit=JobEdit(budget=6_000), now=NOW)
        change_status(tx, job, owner, "cancelled")
        # What FTS5 has gathered is written when it is asked for.
        listing.list_jobs(tx)
        return engine.raw_connection(tx).total_changes - before

    assert rows(many_words) <= rows("few words") + 2
