"""Comments on jobs, and the notifications they send."""

from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, insert, select

from services import pagination
from services.errors import NotFound
from services.ids import new_id
from services.jobs import notification_drafts
from services.jobs.schemas import Comment
from services.notifications import inbox
from services.pagination import Page
from services.schemas import Person
from services.tables import comments, jobs, users
from services.times import to_rfc3339

# Other writes wait for the transaction that notifies earlier authors. So it notifies the most recent ones only, and
# looks for them in a bounded number of comments.
MAX_NOTIFIED: Final = 100
_MAX_COMMENTS_READ: Final = 1_000

_c, _j = comments.c, jobs.c

_JOB = select(_j.owner_id, _j.title).where(_j.id == bindparam("job_id"), _j.status != "deleted")
_INSERT = insert(comments)
_NEWEST_AUTHORS = (
    select(_c.author_id).where(_c.job_id == bindparam("job_id")).order_by(_c.seq.desc()).limit(bindparam("limit"))
)
_PAGE = (
    select(_c.seq, _c.id, _c.job_id, _c.author_id, _c.text, _c.created_at, users.c.name.label("author_name"))
    .join(users, users.c.id == _c.author_id)
    .where(_c.job_id == bindparam("job_id"), _c.seq < bindparam("before_seq"))
    .order_by(_c.seq.desc())
    .limit(bindparam("limit"))
)


def create(tx: Connection, *, job_id: str, author: Person, text: str, now: int) -> Comment:
    """Comment on a job of any status; notify its owner and the most recent authors of earlier comments.

    Raises NotFound if the job does not exist.
    """
    job = tx.execute(_JOB, {"job_id": job_id}).one_or_none()
    if job is None:
        raise NotFound
    user_ids = _load_recipients(tx, job_id, job.owner_id, author.id)
    row = {"id": new_id(), "job_id": job_id, "author_id": author.id, "text": text, "created_at": now}
    tx.execute(_INSERT, row)
    comment = Comment(id=str(row["id"]), job_id=job_id, author=author, text=text, created_at=to_rfc3339(now))
    if user_ids:
        inbox.deliver_to_all(tx, user_ids=user_ids, draft=notification_drafts.commented(job.title, comment), now=now)
    return comment


def list_comments(
    tx: Connection, *, job_id: str, limit: int = pagination.DEFAULT_LIMIT, after: str | None = None
) -> Page[Comment]:
    """Return a page of a job's comments, newest first.

    Raises NotFound if the job does not exist, and InvalidField for an invalid page token.
    """
    parameters = {"job_id": job_id, "before_seq": pagination.seq_from_token(after), "limit": limit + 1}
    if tx.execute(_JOB, {"job_id": job_id}).one_or_none() is None:
        raise NotFound
    rows = tx.execute(_PAGE, parameters).all()
    return pagination.make_page(rows, limit=limit, to_item=_to_schema, key=lambda row: row.seq)


def _load_recipients(tx: Connection, job_id: str, owner_id: str, author_id: str) -> list[str]:
    """Return the users to notify, each once and without the author, in the order in which inboxes are locked."""
    authors = tx.execute(_NEWEST_AUTHORS, {"job_id": job_id, "limit": _MAX_COMMENTS_READ}).scalars()
    others = [user_id for user_id in dict.fromkeys(authors) if user_id not in (owner_id, author_id)][:MAX_NOTIFIED]
    return sorted(others if owner_id == author_id else [owner_id, *others])


def _to_schema(row: Row[*tuple[Any, ...]]) -> Comment:
    return Comment(
        id=row.id,
        job_id=row.job_id,
        author=Person(id=row.author_id, name=row.author_name),
        text=row.text,
        created_at=to_rfc3339(row.created_at),
    )
