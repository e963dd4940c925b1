"""Who sees which bids, and how the lists of them go on."""

from functools import partial

import pytest
from sqlalchemy import Connection

from services.errors import InvalidField, NotFound
from services.ids import new_id
from services.jobs import bidding, bids, hiring
from services.jobs.schemas import Bid
from services.pagination import Page
from tests.services.jobs.marketplace import NOW, bid, people, post


def ids(page: Page[Bid]) -> list[str]:
    return [item.id for item in page.items]


def test_the_owner_sees_all_bids_a_bidder_their_own_and_others_none(tx: Connection) -> None:
    olga, ann, bob, cat = people(tx, "Olga", "Ann", "Bob", "Cat")
    job, other = post(tx, olga), post(tx, olga)
    hers, his = bid(tx, job, ann), bid(tx, job, bob)
    bid(tx, other, ann)
    assert bids.list_for_job(tx, job_id=job.id, reader_id=olga.id).items == [his, hers]
    assert bids.list_for_job(tx, job_id=job.id, reader_id=ann.id).items == [hers]
    assert bids.list_for_job(tx, job_id=job.id, reader_id=bob.id).items == [his]
    assert bids.list_for_job(tx, job_id=job.id, reader_id=cat.id).items == []


def test_a_freelancers_list_has_their_bids_on_all_jobs_whatever_became_of_them(tx: Connection) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    won, lost, dropped, waiting = [post(tx, olga) for _ in range(4)]
    mine = [bid(tx, job, ann) for job in (won, lost, dropped, waiting)]
    hiring.hire(tx, bid_id=mine[0].id, owner_id=olga.id, now=NOW + 1)
    hiring.hire(tx, bid_id=bid(tx, lost, bob).id, owner_id=olga.id, now=NOW + 2)
    bidding.withdraw(tx, bid_id=mine[2].id, freelancer_id=ann.id, now=NOW)
    listed = bids.list_for_freelancer(tx, freelancer_id=ann.id)
    assert ids(listed) == [made.id for made in reversed(mine)]
    assert [(item.status, item.hired_at, item.rejected_at) for item in listed.items] == [
        ("pending", None, None),
        ("withdrawn", None, None),
        ("rejected", None, "2023-11-14T22:13:20.002Z"),
        ("hired", "2023-11-14T22:13:20.001Z", None),
    ]


def test_bids_on_a_job_that_is_not_there_are_not_found(tx: Connection) -> None:
    (olga,) = people(tx, "Olga")
    with pytest.raises(NotFound):
        bids.list_for_job(tx, job_id="nobody's", reader_id=olga.id)


def test_pages_follow_one_another_while_bids_arrive(tx: Connection) -> None:
    olga, *freelancers = people(tx, "Olga", *"ABCDEF")
    job = post(tx, olga)
    made = [bid(tx, job, who).id for who in freelancers[:5]]
    first = bids.list_for_job(tx, job_id=job.id, reader_id=olga.id, limit=2)
    bid(tx, job, freelancers[5])
    second = bids.list_for_job(tx, job_id=job.id, reader_id=olga.id, limit=2, after=first.next)
    third = bids.list_for_job(tx, job_id=job.id, reader_id=olga.id, limit=2, after=second.next)
    assert ids(first) + ids(second) + ids(third) == made[::-1]
    assert third.next is None


def test_pages_of_ones_own_bids_follow_one_another(tx: Connection) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    made = []
    for _ in range(3):
        job = post(tx, olga)
        made.append(bid(tx, job, ann).id)
        bid(tx, job, bob)
    first = bids.list_for_freelancer(tx, freelancer_id=ann.id, limit=2)
    second = bids.list_for_freelancer(tx, freelancer_id=ann.id, limit=2, after=first.next)
    assert ids(first) + ids(second) == made[::-1]
    assert second.next is None


def test_a_bidders_own_bids_of_a_job_come_by_pages_too(tx: Connection) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    job, made = post(tx, olga), []
    bid(tx, job, bob)
    for _ in range(3):
        made.append(bid(tx, job, ann).id)
        bidding.withdraw(tx, bid_id=made[-1], freelancer_id=ann.id, now=NOW)
    first = bids.list_for_job(tx, job_id=job.id, reader_id=ann.id, limit=2)
    second = bids.list_for_job(tx, job_id=job.id, reader_id=ann.id, limit=2, after=first.next)
    assert ids(first) + ids(second) == made[::-1]
    assert second.next is None


def test_bids_come_in_the_order_in_which_they_were_made_whatever_the_clock_said(
    tx: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    job = post(tx, olga)
    # What ids are where each bid comes after a restart with the clock set back.
    ids_made = [new_id() for _ in range(3)]
    monkeypatch.setattr(bidding, "new_id", iter(ids_made[::-1]).__next__)
    made = []
    for _ in ids_made:
        made.append(bid(tx, job, ann).id)
        bidding.withdraw(tx, bid_id=made[-1], freelancer_id=ann.id, now=NOW)
    assert made == ids_made[::-1]
    for page in (
        partial(bids.list_for_job, tx, job_id=job.id, reader_id=olga.id, limit=2),
        partial(bids.list_for_job, tx, job_id=job.id, reader_id=ann.id, limit=2),
        partial(bids.list_for_freelancer, tx, freelancer_id=ann.id, limit=2),
    ):
        first = page()
        second = page(after=first.next)
        assert ids(first) + ids(second) == made[::-1]
        assert second.next is None


def test_a_mark_of_no_list_is_refused(tx: Connection) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    job = post(tx, olga)
    for reader in (olga, ann):
        with pytest.raises(InvalidField):
            bids.list_for_job(tx, job_id=job.id, reader_id=reader.id, after="nonsense")
    with pytest.raises(InvalidField):
        bids.list_for_freelancer(tx, freelancer_id=ann.id, after="nonsense")
