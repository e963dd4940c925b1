"""What anybody may know of a user and of the market is exact after everything that can happen to a job."""

import pytest
from sqlalchemy import Connection, text

from services.accounts import account_access, profiles, users
from services.errors import NotFound
from services.jobs import bids, closing, statistics
from services.jobs.statistics import Statistics
from tests.services.jobs.job_factory import NOW, gig, person, to

RECOUNT = text("""
    SELECT (SELECT count(*) FROM jobs WHERE status = 'open'),
        (SELECT count(*) FROM bids WHERE status = 'hired'),
        (SELECT count(*) FROM jobs WHERE status = 'completed'),
        (SELECT coalesce(sum(amount), 0) FROM transfers WHERE kind = 'payment')
""")
RECOUNT_DONE = text("""
    SELECT id, (SELECT count(*) FROM jobs WHERE status = 'completed' AND owner_id = users.id)
        + (SELECT count(*) FROM jobs JOIN bids ON bids.id = hired_bid_id
            WHERE jobs.status = 'completed' AND freelancer_id = users.id) AS done
    FROM users
""")


def check(tx: Connection) -> Statistics:
    """The numbers, which are what counting everything gives."""
    shown = statistics.get_statistics(tx)
    assert (shown.open_jobs, shown.hires, shown.completed, shown.paid_out) == tuple(tx.execute(RECOUNT).one())
    for row in tx.execute(RECOUNT_DONE):
        assert profiles.get_profile(tx, user_id=row.id).jobs_done == row.done
    return shown


def test_the_numbers_are_those_of_a_recount_whatever_becomes_of_a_job(tx: Connection) -> None:
    assert check(tx) == Statistics(open_jobs=0, hires=0, completed=0, paid_out=0)
    for status in ("open", "assigned", "in_progress", "submitted", "completed"):
        gig(tx, status)
        check(tx)
    taken = gig(tx, instant_accept=True)
    to(tx, taken.job, taken.bob, "in_progress")
    check(tx)
    gone, cancelled = gig(tx), gig(tx, "assigned")
    closing.delete(tx, job_id=gone.job.id, owner_id=gone.owner.id, now=NOW)
    to(tx, cancelled.job, cancelled.owner, "cancelled", role="client")
    assert check(tx) == Statistics(open_jobs=1, hires=6, completed=1, paid_out=4_000)


def test_what_was_rolled_back_is_not_counted(tx: Connection) -> None:
    gig(tx, "completed")
    before = check(tx)
    nested = tx.begin_nested()
    gig(tx, "completed")
    nested.rollback()
    assert check(tx) == before


def test_a_profile_has_what_anybody_may_know_and_nothing_else(tx: Connection) -> None:
    g = gig(tx, "completed")
    users.update_profile(tx, user_id=g.ann.id, skills=["sql", "C++"], now=NOW)
    shown = profiles.get_profile(tx, user_id=g.ann.id)
    assert set(shown.__struct_fields__) == {"id", "name", "role", "skills", "jobs_done", "member_since"}
    assert (shown.name, shown.role, shown.skills, shown.jobs_done) == ("Ann", "freelancer", ["sql", "C++"], 1)
    assert shown.member_since == "2023-11-14T22:13:20.000Z"


def test_jobs_done_are_completed_ones_of_the_hired_freelancer_and_of_the_owner(tx: Connection) -> None:
    g = gig(tx, "completed")
    gig(tx, "submitted")
    assert [profiles.get_profile(tx, user_id=who.id).jobs_done for who in (g.owner, g.ann, g.bob)] == [1, 1, 0]


def test_who_is_shut_out_has_no_profile_until_they_are_let_in_again(tx: Connection) -> None:
    users.create(tx, email="bo@example.org", password_hash=None, name="Bo", role="client", now=NOW)
    bo = users.find_by_email(tx, email="bo@example.org")
    assert bo is not None
    assert profiles.get_profile(tx, user_id=bo.user.id).name == "Bo"
    account_access.disable(tx, email="bo@example.org", now=NOW)
    for user_id in (bo.user.id, "nobody"):
        with pytest.raises(NotFound):
            profiles.get_profile(tx, user_id=user_id)
    account_access.enable(tx, email="bo@example.org", now=NOW)
    assert profiles.get_profile(tx, user_id=bo.user.id).name == "Bo"


def test_with_a_deleted_job_go_the_bids_on_it(tx: Connection) -> None:
    g, kept = gig(tx), gig(tx)
    closing.delete(tx, job_id=g.job.id, owner_id=g.owner.id, now=NOW)
    assert bids.list_for_freelancer(tx, freelancer_id=g.ann.id).items == []
    assert len(bids.list_for_freelancer(tx, freelancer_id=kept.ann.id).items) == 1
    for reader in (g.owner, g.ann, person(tx)):
        with pytest.raises(NotFound):
            bids.list_for_job(tx, job_id=g.job.id, reader_id=reader.id)
