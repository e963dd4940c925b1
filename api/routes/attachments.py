"""Upload and download of attachments."""

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
# A browser must not run scripts, submit forms or load frames of a file, and other sites must not embed it. The content
# never changes but access can, so caches must revalidate every time.
DOWNLOAD_HEADERS: Final = {
    "content-security-policy": "sandbox; default-src 'none'",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cache-control": "private, no-cache",
}


_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})", re.ASCII)


class DownloadQuery(Query, frozen=True):
    """Selects the thumbnail instead of the file."""

    size: Literal["thumb"] | None = None


async def upload(call: Call[None, None]) -> Attachment | bytes:
    """Upload a file in the field `file`; it can be sent with one message."""
    hub, user_id = call.hub, call.user.id
    hub.rate_limits.uploads.hit(user_id)
    quota = hub.settings.attachment_quota_mb * MIB
    await call.read(records.require_quota, owner_id=user_id, size=0, quota=quota)
    async with hub.upload_slots.acquire(user_id):
        temporary = await to_thread.run_sync(hub.files.create_temporary)
        try:
            name = await multipart.receive_file(call.request, temporary, hub.settings.attachment_mb * MIB)
            await to_thread.run_sync(temporary.finish)
            temporary, file, thumbnail = await _inspect(call, temporary, name)
            # The file is committed before the row is inserted, so that no row is without its file.
            await to_thread.run_sync(hub.files.commit, temporary, thumbnail)
        finally:
            await to_thread.run_sync(temporary.discard)
    call.raw_body = sha256(f"{file.hash} {file.name}".encode()).digest()
    return await call.write_idempotent(records.create, owner_id=user_id, file=file, quota=quota)


async def download(call: Call[None, DownloadQuery]) -> Response:
    """Download a file or its thumbnail; requires current membership of the conversation."""
    row = await call.read(records.get_downloadable, attachment_id=call.path("id"), user_id=call.user.id)
    is_thumbnail = call.query.size is not None
    if is_thumbnail and not row.thumbnail:
        raise NotFound
    etag = f'"{row.hash}{"-thumb" if is_thumbnail else ""}"'
    if etag in call.request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=DOWNLOAD_HEADERS | {"etag": etag})
    path = call.hub.files.path(row.hash, thumbnail=is_thumbnail)
    try:
        status = await to_thread.run_sync(path.stat)
    except FileNotFoundError:
        # The message was deleted meanwhile.
        raise NotFound from None
    _ignore_invalid_range(call, status.st_size)
    return FileResponse(
        path,
        headers=DOWNLOAD_HEADERS | {"etag": etag},
        media_type=THUMBNAIL_TYPE if is_thumbnail else row.type,
        filename=f"{row.name}.webp" if is_thumbnail else row.name,
        stat_result=status,
        content_disposition_type="inline" if is_thumbnail or row.type in IMAGE_TYPES else "attachment",
    )


async def _inspect(
    call: Call[None, None], temporary: TemporaryFile, name: str
) -> tuple[TemporaryFile, StoredFile, bytes | None]:
    """Detect the type from the content and strip the metadata of an image. Raises FileNotAllowed."""
    type = media_types.detect(temporary.head)
    if type is None:
        raise FileNotAllowed
    safe_name = media_types.safe_name(name)
    if type not in IMAGE_TYPES:
        return temporary, StoredFile(hash=temporary.hash, name=safe_name, type=type, size=temporary.size), None
    try:
        image = await call.hub.thumbnails.inspect(temporary.path, type)
        if type in image_metadata.SUPPORTED:
            chunks = image_metadata.strip(temporary.path, type, image.orientation)
            temporary = await to_thread.run_sync(call.hub.files.rewrite, temporary, chunks)
    except (NotAnImage, UnsupportedImage):
        raise FileNotAllowed("This image is damaged, or larger than 40 megapixels.") from None
    file = StoredFile(
        hash=temporary.hash,
        name=safe_name,
        type=type,
        size=temporary.size,
        width=image.width,
        height=image.height,
        thumbnail=True,
    )
    return temporary, file, image.thumbnail


def _ignore_invalid_range(call: Call[None, DownloadQuery], size: int) -> None:
    """Ignore a Range header with several or unsatisfiable ranges (RFC 9110, 14.2, allows that)."""
    match = _RANGE.fullmatch(call.request.headers.get("range", ""))
    first, last = match.groups() if match else ("", "")
    satisfiable = int(first) < size and (not last or int(first) <= int(last)) if first else last.strip("0")
    if not satisfiable:
        scope = call.request.scope
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"range"]
