"""Notification drafts for every step of a job."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from services.jobs import events
from services.jobs.lifecycle import JobState
from services.jobs.schemas import Comment
from services.notifications.draft import NotificationDraft
from services.notifications.schemas import Category, Priority
from services.payments import amounts
from services.schemas import Person
from services.times import to_rfc3339

ClosedStatus = Literal["cancelled", "expired", "deleted"]

_CLOSED: Final[dict[ClosedStatus, str]] = {
    "cancelled": "was cancelled",
    "expired": "has expired",
    "deleted": "was deleted",
}
# Longer comments are cut to this many characters in the notification.
_MAX_QUOTE_LENGTH: Final = 200


def bid_received(
    *, job_id: str, bid_id: str, title: str, freelancer: Person, price: int, currency: str
) -> NotificationDraft:
    """For the owner: a freelancer has placed a bid. `price` is in minor units."""
    return _draft(
        job_id,
        title,
        ids={"bidId": bid_id},
        type="bid_received",
        category="bid",
        subject=f"New bid on {title}",
        body=f"{freelancer.name} offers to do it for {amounts.format_amount(price, currency)}.",
        icon="📝",
        invalidates=[events.cache_key(job_id)],
        freelancer=_person(freelancer),
        price=price,
        currency=currency,
    )


def hired(
    *, job_id: str, bid_id: str, title: str, owner: Person, budget: int, price: int, currency: str, now: int
) -> NotificationDraft:
    """For the freelancer of the hired bid. `budget` and `price` are in minor units."""
    hired_at = to_rfc3339(now)
    prices = f"{amounts.format_amount(price, currency)} (budget {amounts.format_amount(budget, currency)})"
    return _draft(
        job_id,
        title,
        ids={"bidId": bid_id},
        type="hired",
        category="hire",
        priority="urgent",
        subject=f"You have been hired for {title}!",
        body=f"{owner.name} hired you for {prices}, {hired_at[:10]} {hired_at[11:16]} UTC.",
        icon="🎉",
        invalidates=events.work_cache_keys(job_id),
        client=_person(owner),
        budget=budget,
        price=price,
        currency=currency,
        hiredAt=hired_at,
    )


def bid_rejected(*, job_id: str, title: str, owner_name: str) -> NotificationDraft:
    """For the freelancers of a job's other pending bids, after the hire."""
    return _draft(
        job_id,
        title,
        type="bid_rejected",
        category="bid",
        subject=f"Not hired: {title}",
        body=f"{owner_name} hired somebody else for this job.",
        invalidates=["my-jobs"],
    )


def commented(title: str, comment: Comment) -> NotificationDraft:
    """For the owner of the job `title` and for earlier authors of comments on it: a new comment."""
    return _draft(
        comment.job_id,
        title,
        ids={"commentId": comment.id},
        type="comment",
        category="comment",
        subject=f"New comment on {title}",
        body=f"{comment.author.name}: {_quote(comment.text)}",
        icon="💬",
        invalidates=[events.cache_key(comment.job_id)],
        author=_person(comment.author),
    )


def accepted(job: JobState) -> NotificationDraft:
    """For the owner: the hired freelancer has accepted the job."""
    return _draft(
        job.id,
        job.title,
        type="job_accepted",
        category="job",
        priority="high",
        subject=f"Job accepted: {job.title}",
        body=f"{job.hired_freelancer.name} has accepted and begins to work, for {_held_amount(job)}.",
        icon="🎉",
        invalidates=events.work_cache_keys(job.id),
        freelancer=_person(job.hired_freelancer),
        price=job.held,
        currency=job.currency,
    )


def submitted(job: JobState, due_at: int) -> NotificationDraft:
    """For the owner: the work is submitted. The hub completes the job at `due_at` (ms)."""
    review_until = to_rfc3339(due_at)
    return _draft(
        job.id,
        job.title,
        type="job_submitted",
        category="job",
        priority="high",
        subject=f"Work submitted: {job.title}",
        body=f"{job.hired_freelancer.name} has handed the work in. Complete the job or ask for changes; "
        f"it is completed by itself on {review_until[:10]} at {review_until[11:16]} UTC.",
        icon="📦",
        invalidates=[events.cache_key(job.id)],
        freelancer=_person(job.hired_freelancer),
        reviewUntil=review_until,
    )


def changes_requested(job: JobState, note: str | None) -> NotificationDraft:
    """For the hired freelancer: the owner requests changes."""
    request = f"{job.owner.name} asks for changes"
    return _draft(
        job.id,
        job.title,
        type="changes_requested",
        category="job",
        priority="high",
        subject=f"Changes requested: {job.title}",
        body=f"{request}." if note is None else f"{request}: {note}",
        icon="📦",
        invalidates=[events.cache_key(job.id)],
        client=_person(job.owner),
        note=note,
    )


def completed(job: JobState) -> NotificationDraft:
    """For the owner: the job is completed and the held amount is paid."""
    return _draft(
        job.id,
        job.title,
        type="job_completed",
        category="job",
        priority="high",
        subject="Job Completed!",
        body=f"{job.title} is done. {job.hired_freelancer.name} was paid {_held_amount(job)}.",
        icon="🎊",
        invalidates=events.closing_cache_keys(job.id),
        freelancer=_person(job.hired_freelancer),
        amount=job.held,
        currency=job.currency,
    )


def paid(job: JobState) -> NotificationDraft:
    """For the hired freelancer: the held amount is in their wallet."""
    return _draft(
        job.id,
        job.title,
        type="payment_released",
        category="payment",
        priority="high",
        subject="Payment Released!",
        body=f"{_held_amount(job)} for {job.title} is in your wallet.",
        icon="💰",
        invalidates=events.closing_cache_keys(job.id),
        client=_person(job.owner),
        amount=job.held,
        currency=job.currency,
    )


def refunded(job: JobState, status: ClosedStatus) -> NotificationDraft:
    """For the owner: the held amount is available again."""
    return _draft(
        job.id,
        job.title,
        type="job_refunded",
        category="payment",
        priority="high",
        subject=f"Refunded: {job.title}",
        body=f"The job {_CLOSED[status]}. {_held_amount(job)} is in your wallet again.",
        icon="🔄",
        invalidates=events.closing_cache_keys(job.id),
        status=status,
        amount=job.held,
        currency=job.currency,
    )


def cancelled(job: JobState, status: ClosedStatus) -> NotificationDraft:
    """For the hired freelancer, or the freelancers of pending bids: the job is closed without payment."""
    return _draft(
        job.id,
        job.title,
        type="job_cancelled",
        category="job",
        priority="high",
        subject=f"Job {status}: {job.title}",
        body=f"This job of {job.owner.name} {_CLOSED[status]}.",
        icon="🔄",
        invalidates=events.closing_cache_keys(job.id),
        status=status,
        client=_person(job.owner),
    )


def _draft(
    job_id: str,
    job_title: str,
    *,
    type: str,
    category: Category,
    priority: Priority = "normal",
    subject: str,
    body: str,
    icon: str | None = None,
    invalidates: Sequence[str],
    ids: Mapping[str, str] | None = None,
    **data: Any,
) -> NotificationDraft:
    """Return a draft whose link and data name the job. `subject` is the notification's title."""
    return NotificationDraft(
        type=type,
        category=category,
        priority=priority,
        title=subject,
        body=body,
        data={"jobId": job_id, **(ids or {}), "title": job_title, **data},
        url=events.job_url(job_id),
        icon=icon,
        invalidates=invalidates,
    )


def _person(person: Person) -> dict[str, str]:
    return {"id": person.id, "name": person.name}


def _held_amount(job: JobState) -> str:
    return amounts.format_amount(job.held, job.currency)


def _quote(text: str) -> str:
    return text if len(text) <= _MAX_QUOTE_LENGTH else text[: _MAX_QUOTE_LENGTH - 1] + "…"
