"""What a job's owner, its freelancer and those who bid on it are told of its life, each in one letter; pure."""

from typing import Any, Final, Literal

from services.jobs import events
from services.jobs.lifecycle import JobState
from services.notifications.draft import NotificationDraft
from services.payments import amounts
from services.schemas import Person
from services.times import to_rfc3339

End = Literal["cancelled", "expired", "deleted"]

_ENDED: Final[dict[End, str]] = {"cancelled": "was cancelled", "expired": "has expired", "deleted": "was deleted"}


def accepted(job: JobState) -> NotificationDraft:
    """To the owner: the hired freelancer begins."""
    return NotificationDraft(
        type="job_accepted",
        category="job",
        priority="high",
        title=f"Job accepted: {job.title}",
        body=f"{job.hired_freelancer.name} has accepted and begins to work, for {_amount(job)}.",
        data=_data(job, freelancer=_person(job.hired_freelancer), price=job.held, currency=job.currency),
        url=events.job_url(job.id),
        icon="🎉",
        invalidates=events.keys_of_work(job.id),
    )


def submitted(job: JobState, due_at: int) -> NotificationDraft:
    """To the owner: there is something to review, until `due_at` (ms)."""
    until = to_rfc3339(due_at)
    return NotificationDraft(
        type="job_submitted",
        category="job",
        priority="high",
        title=f"Work submitted: {job.title}",
        body=f"{job.hired_freelancer.name} has handed the work in. Complete the job or ask for changes; "
        f"it is completed by itself on {until[:10]} at {until[11:16]} UTC.",
        data=_data(job, freelancer=_person(job.hired_freelancer), reviewUntil=until),
        url=events.job_url(job.id),
        icon="📦",
        invalidates=[events.cache_key(job.id)],
    )


def changes_requested(job: JobState, note: str | None) -> NotificationDraft:
    """To the freelancer: the owner wants something done otherwise."""
    wish = f"{job.owner.name} asks for changes"
    return NotificationDraft(
        type="changes_requested",
        category="job",
        priority="high",
        title=f"Changes requested: {job.title}",
        body=f"{wish}." if note is None else f"{wish}: {note}",
        data=_data(job, client=_person(job.owner), note=note),
        url=events.job_url(job.id),
        icon="📦",
        invalidates=[events.cache_key(job.id)],
    )


def completed(job: JobState) -> NotificationDraft:
    """To the owner: the job is done, and what was held for it is paid."""
    return NotificationDraft(
        type="job_completed",
        category="job",
        priority="high",
        title="Job Completed!",
        body=f"{job.title} is done. {job.hired_freelancer.name} was paid {_amount(job)}.",
        data=_data(job, freelancer=_person(job.hired_freelancer), amount=job.held, currency=job.currency),
        url=events.job_url(job.id),
        icon="🎊",
        invalidates=events.keys_of_end(job.id),
    )


def paid(job: JobState) -> NotificationDraft:
    """To the freelancer: what was held for the job is theirs."""
    return NotificationDraft(
        type="payment_released",
        category="payment",
        priority="high",
        title="Payment Released!",
        body=f"{_amount(job)} for {job.title} is in your wallet.",
        data=_data(job, client=_person(job.owner), amount=job.held, currency=job.currency),
        url=events.job_url(job.id),
        icon="💰",
        invalidates=events.keys_of_end(job.id),
    )


def refunded(job: JobState, end: End) -> NotificationDraft:
    """To the owner: what was held for the job is theirs again."""
    return NotificationDraft(
        type="job_refunded",
        category="payment",
        priority="high",
        title=f"Refunded: {job.title}",
        body=f"The job {_ENDED[end]}. {_amount(job)} is in your wallet again.",
        data=_data(job, status=end, amount=job.held, currency=job.currency),
        url=events.job_url(job.id),
        icon="🔄",
        invalidates=events.keys_of_end(job.id),
    )


def cancelled(job: JobState, end: End) -> NotificationDraft:
    """To the hired freelancer, or to those who bid: the job comes to nothing."""
    return NotificationDraft(
        type="job_cancelled",
        category="job",
        priority="high",
        title=f"Job {end}: {job.title}",
        body=f"This job of {job.owner.name} {_ENDED[end]}.",
        data=_data(job, status=end, client=_person(job.owner)),
        url=events.job_url(job.id),
        icon="🔄",
        invalidates=events.keys_of_end(job.id),
    )


def _data(job: JobState, **more: Any) -> dict[str, Any]:
    return {"jobId": job.id, "title": job.title, **more}


def _person(someone: Person) -> dict[str, str]:
    return {"id": someone.id, "name": someone.name}


def _amount(job: JobState) -> str:
    return amounts.format_amount(job.held, job.currency)
