"""Attachments over HTTP: a file comes in, is looked at and kept; whoever may see its message gets it."""

import re
from hashlib import sha256
from typing import Final, Literal

from anyio import to_thread
from starlette.responses import FileResponse, Response

from api.http import multipart
from api.http.bodies import Query
from api.operations.call import Call
from services.attachments import image_metadata, media_types, records
from services.attachments.file_store import TemporaryFile
from services.attachments.image_metadata import UnsupportedImage
from services.attachments.records import StoredFile
from services.attachments.thumbnails import NotAnImage
from services.errors import FileNotAllowed, NotFound
from services.messages.schemas import Attachment
from services.messages.sending import IMAGE_TYPES

MIB: Final = 1024 * 1024

THUMBNAIL_TYPE: Final = "image/webp"
# Whatever a browser makes of it, it runs no script, sends no form and frames nothing; and no other site may use it.
# It never changes, but whether one may have it can: so it is asked for every time.
DOWNLOAD_HEADERS: Final = {
    "content-security-policy": "sandbox; default-src 'none'",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cache-control": "private, no-cache",
}


_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})", re.ASCII)


class DownloadQuery(Query, frozen=True):
    """The thumbnail instead of the file."""

    size: Literal["thumb"] | None = None


async def upload(call: Call[None, None]) -> Attachment | bytes:
    """Upload a file, in the field `file`; it can then be sent with one message."""
    hub, user_id = call.hub, call.user.id
    hub.rate_limits.uploads.hit(user_id)
    quota = hub.settings.attachment_quota_mb * MIB
    await call.read(records.require_quota, owner_id=user_id, size=0, quota=quota)
    async with hub.upload_slots.acquire(user_id):
        draft = await to_thread.run_sync(hub.files.create_temporary)
        try:
            name = await multipart.receive_file(call.request, draft, hub.settings.attachment_mb * MIB)
            await to_thread.run_sync(draft.finish)
            draft, file, thumbnail = await _look(call, draft, name)
            # The file first and the row second: there is never a row without its file.
            await to_thread.run_sync(hub.files.commit, draft, thumbnail)
        finally:
            await to_thread.run_sync(draft.discard)
    call.raw_body = sha256(f"{file.hash} {file.name}".encode()).digest()
    return await call.write_idempotent(records.create, owner_id=user_id, file=file, quota=quota)


async def download(call: Call[None, DownloadQuery]) -> Response:
    """Download a file, or see it if it is an image; whoever asks must be in the conversation now."""
    row = await call.read(records.get_downloadable, attachment_id=call.path("id"), user_id=call.user.id)
    small = call.query.size is not None
    if small and not row.thumbnail:
        raise NotFound
    tag = f'"{row.hash}{"-thumb" if small else ""}"'
    if tag in call.request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=DOWNLOAD_HEADERS | {"etag": tag})
    path = call.hub.files.path(row.hash, thumbnail=small)
    try:
        status = await to_thread.run_sync(path.stat)
    except FileNotFoundError:
        # Its message was deleted just now.
        raise NotFound from None
    _drop_odd_ranges(call, status.st_size)
    return FileResponse(
        path,
        headers=DOWNLOAD_HEADERS | {"etag": tag},
        media_type=THUMBNAIL_TYPE if small else row.type,
        filename=f"{row.name}.webp" if small else row.name,
        stat_result=status,
        content_disposition_type="inline" if small or row.type in IMAGE_TYPES else "attachment",
    )


async def _look(
    call: Call[None, None], draft: TemporaryFile, name: str
) -> tuple[TemporaryFile, StoredFile, bytes | None]:
    """What it is, by its content; of an image, what is not the picture is left out. Raises FileNotAllowed."""
    type = media_types.detect(draft.head)
    if type is None:
        raise FileNotAllowed
    label = media_types.safe_name(name)
    if type not in IMAGE_TYPES:
        return draft, StoredFile(hash=draft.hash, name=label, type=type, size=draft.size), None
    try:
        looked = await call.hub.thumbnails.inspect(draft.path, type)
        if type in image_metadata.SUPPORTED:
            picture = image_metadata.strip(draft.path, type, looked.orientation)
            draft = await to_thread.run_sync(call.hub.files.rewrite, draft, picture)
    except (NotAnImage, UnsupportedImage):
        raise FileNotAllowed("This image is damaged, or larger than 40 megapixels.") from None
    file = StoredFile(
        hash=draft.hash,
        name=label,
        type=type,
        size=draft.size,
        width=looked.width,
        height=looked.height,
        thumbnail=True,
    )
    return draft, file, looked.thumbnail


def _drop_odd_ranges(call: Call[None, DownloadQuery], size: int) -> None:
    """Answer with all of it where a part is asked for that is not there, or several (RFC 9110, 14.2, allows that)."""
    asked = _RANGE.fullmatch(call.request.headers.get("range", ""))
    first, last = asked.groups() if asked else ("", "")
    there = int(first) < size and (not last or int(first) <= int(last)) if first else last.strip("0")
    if not there:
        scope = call.request.scope
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"range"]
