"""Comments on jobs: anybody reads them; the owner and those who commented before hear of a new one."""

from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, insert, select

from services import pagination
from services.errors import NotFound
from services.ids import new_id
from services.jobs import events
from services.jobs.schemas import Comment
from services.notifications import inbox
from services.notifications.draft import NotificationDraft
from services.pagination import Page
from services.schemas import Person
from services.tables import comments, jobs, users
from services.times import to_rfc3339

# Of those who commented before, so many are told, the latest first, looked for in so many comments: the transaction
# that tells them is one that everybody else waits for.
MAX_NOTIFIED: Final = 100
_LOOKED_AT: Final = 1_000
# What a notification quotes of a comment.
_QUOTED: Final = 200

_c, _j = comments.c, jobs.c

_JOB = select(_j.owner_id, _j.title).where(_j.id == bindparam("which"), _j.status != "deleted")
_ADD = insert(comments)
_LATEST = select(_c.author_id).where(_c.job_id == bindparam("which")).order_by(_c.seq.desc()).limit(bindparam("most"))
_PAGE = (
    select(_c.seq, _c.id, _c.job_id, _c.author_id, _c.text, _c.created_at, users.c.name.label("author_name"))
    .join(users, users.c.id == _c.author_id)
    .where(_c.job_id == bindparam("which"), _c.seq < bindparam("below"))
    .order_by(_c.seq.desc())
    .limit(bindparam("most"))
)


def create(tx: Connection, *, job_id: str, author: Person, text: str, now: int) -> Comment:
    """Comment on a job, whatever has become of it, and tell its owner and the latest who commented before.

    Raises NotFound.
    """
    job = tx.execute(_JOB, {"which": job_id}).one_or_none()
    if job is None:
        raise NotFound
    told = _to_tell(tx, job_id, job.owner_id, author.id)
    row = {"id": new_id(), "job_id": job_id, "author_id": author.id, "text": text, "created_at": now}
    tx.execute(_ADD, row)
    comment = Comment(id=str(row["id"]), job_id=job_id, author=author, text=text, created_at=to_rfc3339(now))
    if told:
        inbox.deliver_to_all(tx, user_ids=told, letter=_letter(job.title, comment), now=now)
    return comment


def list_comments(
    tx: Connection, *, job_id: str, limit: int = pagination.DEFAULT_LIMIT, after: str | None = None
) -> Page[Comment]:
    """A page of a job's comments, the newest first. Raises NotFound when there is no such job, and InvalidField."""
    asked = {"which": job_id, "below": pagination.seq_from_token(after), "most": limit + 1}
    if tx.execute(_JOB, {"which": job_id}).one_or_none() is None:
        raise NotFound
    return pagination.page(tx.execute(_PAGE, asked).all(), limit=limit, show=_show, key=lambda row: row.seq)


def _to_tell(tx: Connection, job_id: str, owner_id: str, author_id: str) -> list[str]:
    """Each once and the author not; in the order of users in which everybody locks inboxes."""
    latest = tx.execute(_LATEST, {"which": job_id, "most": _LOOKED_AT}).scalars()
    others = [user_id for user_id in dict.fromkeys(latest) if user_id not in (owner_id, author_id)][:MAX_NOTIFIED]
    return sorted(others if owner_id == author_id else [owner_id, *others])


def _show(row: Row[*tuple[Any, ...]]) -> Comment:
    return Comment(
        id=row.id,
        job_id=row.job_id,
        author=Person(id=row.author_id, name=row.author_name),
        text=row.text,
        created_at=to_rfc3339(row.created_at),
    )


def _letter(title: str, comment: Comment) -> NotificationDraft:
    return NotificationDraft(
        type="comment",
        category="comment",
        title=f"New comment on {title}",
        body=f"{comment.author.name}: {_quote(comment.text)}",
        data={
            "jobId": comment.job_id,
            "commentId": comment.id,
            "title": title,
            "author": {"id": comment.author.id, "name": comment.author.name},
        },
        url=events.job_url(comment.job_id),
        icon="💬",
        invalidates=[events.cache_key(comment.job_id)],
    )


def _quote(text: str) -> str:
    return text if len(text) <= _QUOTED else text[: _QUOTED - 1] + "…"
