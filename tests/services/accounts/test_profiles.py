"""Public profiles and marketplace statistics, compared with a recount."""

import pytest
from sqlalchemy import Connection, text

from services.accounts import account_access, profiles, users
from services.errors import NotFound
from services.jobs import bids, closing, statistics
from services.jobs.statistics import Statistics
from tests.services.jobs.job_factory import NOW, change_status, create_job, person

RECOUNT = text("""
    SELECT (SELECT count(*) FROM jobs WHERE status = 'open'),
        (SELECT count(*) FROM bids WHERE status = 'hired'),
        (SELECT count(*) FROM jobs WHERE status = 'completed'),
        (SELECT coalesce(sum(amount), 0) FROM transfers WHERE kind = 'payment')
""")
RECOUNT_JOBS_DONE = text("""
    SELECT id, (SELECT count(*) FROM jobs WHERE status = 'completed' AND owner_id = users.id)
        + (SELECT count(*) FROM jobs JOIN bids ON bids.id = hired_bid_id
            WHERE jobs.status = 'completed' AND freelancer_id = users.id) AS jobs_done
    FROM users
""")


def check_statistics(tx: Connection) -> Statistics:
    """Return the statistics after comparing them and all profiles with a recount."""
    result = statistics.get_statistics(tx)
    assert (result.open_jobs, result.hires, result.completed, result.paid_out) == tuple(tx.execute(RECOUNT).one())
    for row in tx.execute(RECOUNT_JOBS_DONE):
        assert profiles.get_profile(tx, user_id=row.id).jobs_done == row.jobs_done
    return result


def test_statistics_equal_a_recount_after_every_transition(tx: Connection) -> None:
    assert check_statistics(tx) == Statistics(open_jobs=0, hires=0, completed=0, paid_out=0)
    for status in ("open", "assigned", "in_progress", "submitted", "completed"):
        create_job(tx, status)
        check_statistics(tx)
    accepted = create_job(tx, instant_accept=True)
    change_status(tx, accepted.job, accepted.bob, "in_progress")
    check_statistics(tx)
    deleted, cancelled = create_job(tx), create_job(tx, "assigned")
    closing.delete(tx, job_id=deleted.job.id, owner_id=deleted.owner.id, now=NOW)
    change_status(tx, cancelled.job, cancelled.owner, "cancelled", role="client")
    assert check_statistics(tx) == Statistics(open_jobs=1, hires=6, completed=1, paid_out=4_000)


def test_statistics_ignore_rolled_back_changes(tx: Connection) -> None:
    create_job(tx, "completed")
    before = check_statistics(tx)
    nested = tx.begin_nested()
    create_job(tx, "completed")
    nested.rollback()
    assert check_statistics(tx) == before


def test_profile_has_only_the_public_fields(tx: Connection) -> None:
    created = create_job(tx, "completed")
    users.update_profile(tx, user_id=created.ann.id, skills=["sql", "C++"], now=NOW)
    profile = profiles.get_profile(tx, user_id=created.ann.id)
    assert set(profile.__struct_fields__) == {"id", "name", "role", "skills", "jobs_done", "member_since"}
    assert (profile.name, profile.role, profile.skills, profile.jobs_done) == ("Ann", "freelancer", ["sql", "C++"], 1)
    assert profile.member_since == "2023-11-14T22:13:20.000Z"


def test_jobs_done_counts_completed_jobs_of_freelancer_and_owner(tx: Connection) -> None:
    created = create_job(tx, "completed")
    create_job(tx, "submitted")
    assert [
        profiles.get_profile(tx, user_id=user.id).jobs_done for user in (created.owner, created.ann, created.bob)
    ] == [1, 1, 0]


def test_disabled_user_has_no_profile_until_enabled(tx: Connection) -> None:
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


def test_bids_of_a_deleted_job_are_not_listed(tx: Connection) -> None:
    deleted, other = create_job(tx), create_job(tx)
    closing.delete(tx, job_id=deleted.job.id, owner_id=deleted.owner.id, now=NOW)
    assert bids.list_for_freelancer(tx, freelancer_id=deleted.ann.id).items == []
    assert len(bids.list_for_freelancer(tx, freelancer_id=other.ann.id).items) == 1
    for reader in (deleted.owner, deleted.ann, person(tx)):
        with pytest.raises(NotFound):
            bids.list_for_job(tx, job_id=deleted.job.id, reader_id=reader.id)
