"""Comments on jobs."""

from api.http.bodies import Body, PageQuery, Text2000
from api.operations.call import Call
from services.jobs import comments
from services.jobs.schemas import Comment
from services.pagination import Page
from services.schemas import Person


class NewComment(Body, frozen=True):
    """A comment to write."""

    text: Text2000


async def create(call: Call[NewComment, None]) -> Comment | bytes:
    """Comment on a job; its owner and earlier commenters are notified."""
    author = Person(id=call.user.id, name=call.user.name)
    return await call.write_idempotent(comments.create, job_id=call.path("id"), author=author, text=call.body.text)


async def list_comments(call: Call[None, PageQuery]) -> Page[Comment]:
    """List a job's comments, newest first."""
    return await call.read(
        comments.list_comments, job_id=call.path("id"), limit=call.query.limit, after=call.query.after
    )
