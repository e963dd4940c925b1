"""What is served to people and not to programs: the app at / and its pages, the interface at /docs, and their files."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.assets import Asset
from api.web_files import WebFiles
from services.errors import NotFound

WEB: Final = Path(__file__).resolve().parents[2] / "web"

# Every address of the app is the same page, which shows what the address names.
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
# A file under its hash never changes; one without is asked for each time, and answered 304.
_FOREVER: Final = "public, max-age=31536000, immutable"
_EACH_TIME: Final = "no-cache"

_Handler = Callable[[Request], Awaitable[Response]]


def page_routes() -> list[BaseRoute]:
    """The pages and their files."""
    files = WebFiles(WEB)
    return [
        *(Route(path, _one(files, "index.html")) for path in APP),
        Route("/docs", _one(files, "docs.html")),
        # A service worker rules the folder it is in, so it is not among the others.
        Route("/sw.js", _one(files, "sw.js")),
        Route("/manifest.webmanifest", _one(files, "manifest.webmanifest")),
        Route("/static/{name:path}", _static(files)),
    ]


def _one(files: WebFiles, name: str) -> _Handler:
    async def page(request: Request) -> Response:
        return _answer(request, (await files.get()).files[name], _EACH_TIME)

    return page


def _static(files: WebFiles) -> _Handler:
    async def static(request: Request) -> Response:
        assets = await files.get()
        name = request.path_params["name"]
        release, _, rest = name.partition("/")
        hashed = release == assets.release
        asset = assets.files.get(rest if hashed else name)
        if asset is None:
            raise NotFound
        return _answer(request, asset, _FOREVER if hashed else _EACH_TIME)

    return static


def _answer(request: Request, asset: Asset, cache: str) -> Response:
    """The file, packed where the browser can unpack it; these are public, and other origins may import them."""
    headers = {
        "cache-control": cache,
        "etag": asset.etag,
        "vary": "Accept-Encoding",
        "access-control-allow-origin": "*",
        "cross-origin-resource-policy": "cross-origin",
    }
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    content = asset.plain
    if asset.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        content, headers["content-encoding"] = asset.packed, "gzip"
    return Response(content, headers=headers, media_type=asset.media_type)
