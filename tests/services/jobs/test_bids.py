"""Reading bids: which user sees which bids, and pages."""

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


def test_owner_sees_all_bids_bidders_their_own_and_others_none(tx: Connection) -> None:
    olga, ann, bob, cat = people(tx, "Olga", "Ann", "Bob", "Cat")
    job, other = post(tx, olga), post(tx, olga)
    ann_bid, bob_bid = bid(tx, job, ann), bid(tx, job, bob)
    bid(tx, other, ann)
    assert bids.list_for_job(tx, job_id=job.id, reader_id=olga.id).items == [bob_bid, ann_bid]
    assert bids.list_for_job(tx, job_id=job.id, reader_id=ann.id).items == [ann_bid]
    assert bids.list_for_job(tx, job_id=job.id, reader_id=bob.id).items == [bob_bid]
    assert bids.list_for_job(tx, job_id=job.id, reader_id=cat.id).items == []


def test_list_for_freelancer_contains_bids_of_every_status(tx: Connection) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    hired, rejected, withdrawn, pending = [post(tx, olga) for _ in range(4)]
    ann_bids = [bid(tx, job, ann) for job in (hired, rejected, withdrawn, pending)]
    hiring.hire(tx, bid_id=ann_bids[0].id, owner_id=olga.id, now=NOW + 1)
    hiring.hire(tx, bid_id=bid(tx, rejected, bob).id, owner_id=olga.id, now=NOW + 2)
    bidding.withdraw(tx, bid_id=ann_bids[2].id, freelancer_id=ann.id, now=NOW)
    listed = bids.list_for_freelancer(tx, freelancer_id=ann.id)
    assert ids(listed) == [item.id for item in reversed(ann_bids)]
    assert [(item.status, item.hired_at, item.rejected_at) for item in listed.items] == [
        ("pending", None, None),
        ("withdrawn", None, None),
        ("rejected", None, "2023-11-14T22:13:20.002Z"),
        ("hired", "2023-11-14T22:13:20.001Z", None),
    ]


def test_list_for_job_raises_not_found_for_an_unknown_job(tx: Connection) -> None:
    (olga,) = people(tx, "Olga")
    with pytest.raises(NotFound):
        bids.list_for_job(tx, job_id="unknown", reader_id=olga.id)


def test_pages_for_job_are_consecutive_while_bids_arrive(tx: Connection) -> None:
    olga, *freelancers = people(tx, "Olga", *"ABCDEF")
    job = post(tx, olga)
    created = [bid(tx, job, freelancer).id for freelancer in freelancers[:5]]
    first = bids.list_for_job(tx, job_id=job.id, reader_id=olga.id, limit=2)
    bid(tx, job, freelancers[5])
    second = bids.list_for_job(tx, job_id=job.id, reader_id=olga.id, limit=2, after=first.next)
    third = bids.list_for_job(tx, job_id=job.id, reader_id=olga.id, limit=2, after=second.next)
    assert ids(first) + ids(second) + ids(third) == created[::-1]
    assert third.next is None


def test_pages_for_freelancer_are_consecutive(tx: Connection) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    created = []
    for _ in range(3):
        job = post(tx, olga)
        created.append(bid(tx, job, ann).id)
        bid(tx, job, bob)
    first = bids.list_for_freelancer(tx, freelancer_id=ann.id, limit=2)
    second = bids.list_for_freelancer(tx, freelancer_id=ann.id, limit=2, after=first.next)
    assert ids(first) + ids(second) == created[::-1]
    assert second.next is None


def test_pages_of_a_bidders_bids_on_one_job_are_consecutive(tx: Connection) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    job, created = post(tx, olga), []
    bid(tx, job, bob)
    for _ in range(3):
        created.append(bid(tx, job, ann).id)
        bidding.withdraw(tx, bid_id=created[-1], freelancer_id=ann.id, now=NOW)
    first = bids.list_for_job(tx, job_id=job.id, reader_id=ann.id, limit=2)
    second = bids.list_for_job(tx, job_id=job.id, reader_id=ann.id, limit=2, after=first.next)
    assert ids(first) + ids(second) == created[::-1]
    assert second.next is None


def test_bids_are_in_order_of_creation_when_the_clock_was_set_back(
    tx: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    job = post(tx, olga)
    # Ids that sort against the order of creation, as after restarts with the clock set back.
    new_ids = [new_id() for _ in range(3)]
    monkeypatch.setattr(bidding, "new_id", iter(new_ids[::-1]).__next__)
    created = []
    for _ in new_ids:
        created.append(bid(tx, job, ann).id)
        bidding.withdraw(tx, bid_id=created[-1], freelancer_id=ann.id, now=NOW)
    assert created == new_ids[::-1]
    for list_page in (
        partial(bids.list_for_job, tx, job_id=job.id, reader_id=olga.id, limit=2),
        partial(bids.list_for_job, tx, job_id=job.id, reader_id=ann.id, limit=2),
        partial(bids.list_for_freelancer, tx, freelancer_id=ann.id, limit=2),
    ):
        first = list_page()
        second = list_page(after=first.next)
        assert ids(first) + ids(second) == created[::-1]
        assert second.next is None


def test_lists_reject_an_invalid_page_token(tx: Connection) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    job = post(tx, olga)
    for reader in (olga, ann):
        with pytest.raises(InvalidField):
            bids.list_for_job(tx, job_id=job.id, reader_id=reader.id, after="nonsense")
    with pytest.raises(InvalidField):
        bids.list_for_freelancer(tx, freelancer_id=ann.id, after="nonsense")
