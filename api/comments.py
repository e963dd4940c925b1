"""Comments over HTTP: anybody reads them, whoever is signed in writes them."""

from msgspec import UNSET, UnsetType

from api.bodies import Body, Line200, PageLimit, Query, Text2000
from api.call import Call
from services import comments, pages
from services.pages import Page
from services.shapes import Comment, Person


class NewComment(Body, frozen=True):
    """Something to say about a job."""

    text: Text2000


class CommentList(Query, frozen=True):
    """Which page of a job's comments."""

    limit: PageLimit = pages.USUAL
    after: Line200 | UnsetType = UNSET


async def add(call: Call[NewComment, None]) -> Comment | bytes:
    """Comment on a job; its owner and those who commented before hear of it."""
    author = Person(id=call.user.id, name=call.user.name)
    return await call.create(comments.add, job_id=call.path("id"), author=author, text=call.body.text)


async def page(call: Call[None, CommentList]) -> Page[Comment]:
    """List a job's comments, the newest first."""
    return await call.read(
        comments.page, job_id=call.path("id"), limit=call.query.limit, after=call.query.after or None
    )
