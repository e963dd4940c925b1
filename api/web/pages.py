"""Serves the app shell, the API reference page and static files."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.web.static_files import StaticFile, StaticFiles, load_static_files
from services.errors import NotFound

DIST: Final = Path(__file__).resolve().parents[2] / "web" / "dist"

# Every address of the app returns the same page, which renders what the address names.
APP: Final = (
    "/",
    "/jobs",
    "/jobs/{id}",
    "/post",
    "/work",
    "/messages",
    "/messages/{id}",
    "/wallet",
    "/settings",
    "/people/{id}",
    "/sign-in",
)
# A file under a release never changes; browsers revalidate one without a release on each use.
_IMMUTABLE: Final = "public, max-age=31536000, immutable"
_REVALIDATE: Final = "no-cache"

_Handler = Callable[[Request], Awaitable[Response]]


def page_routes() -> list[BaseRoute]:
    """Return the routes of the pages and of their files."""
    files = load_static_files(DIST)
    return [
        *(Route(path, _page(files, "index.html")) for path in APP),
        Route("/docs", _page(files, "docs.html")),
        # A service worker controls only the folder that it is served from.
        Route("/sw.js", _page(files, "sw.js")),
        Route("/manifest.webmanifest", _page(files, "manifest.webmanifest")),
        Route("/static/{name:path}", _static(files)),
    ]


def _page(files: StaticFiles, name: str) -> _Handler:
    async def page(request: Request) -> Response:
        return _response(request, files.by_path[name], _REVALIDATE)

    return page


def _static(files: StaticFiles) -> _Handler:
    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        release, _, rest = name.partition("/")
        under_release = release == files.release
        file = files.by_path.get(rest if under_release else name)
        if file is None:
            raise NotFound
        return _response(request, file, _IMMUTABLE if under_release else _REVALIDATE)

    return static


def _response(request: Request, file: StaticFile, cache: str) -> Response:
    """Return the file, compressed if the client accepts gzip. The files are public; other origins may import them."""
    headers = {
        "cache-control": cache,
        "etag": file.etag,
        "vary": "Accept-Encoding",
        "access-control-allow-origin": "*",
        "cross-origin-resource-policy": "cross-origin",
    }
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    content = file.content
    if file.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        content, headers["content-encoding"] = file.compressed, "gzip"
    return Response(content, headers=headers, media_type=file.media_type)
