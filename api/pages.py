"""The files of web/: the one page at /, the interface at /docs, and what they load."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

WEB = Path(__file__).resolve().parent.parent / "web"
# The files change with the release and have no hash in their names: ask each time, answer 304.
_HEADERS = {"cache-control": "no-cache"}


def page_routes() -> list[BaseRoute]:
    """What is served to people and not to programs."""
    return [
        Route("/", _page("index.html")),
        Route("/docs", _page("docs.html")),
        Mount("/static", _Static(directory=WEB)),
    ]


class _Static(StaticFiles):
    def file_response(self, *args: object, **kwargs: object) -> Response:
        """Files that a browser asks for again each time."""
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]  # passed through as they came
        response.headers.update(_HEADERS)
        return response


def _page(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def page(request: Request) -> Response:
        return FileResponse(WEB / name, headers=_HEADERS)

    return page
