"""Pages and static files: addresses of the app, caching, compression and media types."""

import gzip
import re

import pytest

from api.web.pages import APP
from tests.support.hub import Hub


async def test_all_addresses_of_the_app_return_its_page_and_others_404(shared_hub: Hub) -> None:
    async with shared_hub.client() as client:
        first = await client.get("/")
        for path in APP:
            page = await client.get(path.replace("{id}", "01a20dc2-00fa-70cb-8b1d-29e6496a88cf"))
            assert (page.status_code, page.text) == (200, first.text)
            assert page.headers["cache-control"] == "no-cache"
        for path in ("/nothing", "/static/nothing.js", "/static/", "/static/../pyproject.toml", "/jobs/a/b"):
            missing = await client.get(path)
            assert (missing.status_code, missing.json()["code"]) == (404, "NOT_FOUND"), path


async def test_files_of_the_page_have_hashed_paths_and_are_immutable(shared_hub: Hub) -> None:
    async with shared_hub.client() as client:
        page = await client.get("/")
        files = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text))
        assert len(files) >= 6
        for path in files:
            assert re.match(r"/static/[0-9a-f]{12}/", path), path
            file = await client.get(path)
            assert (file.status_code, file.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
        assert "/static/elements.js" not in page.text


async def test_file_without_hash_is_revalidated_with_its_etag(shared_hub: Hub) -> None:
    async with shared_hub.client() as client:
        file = await client.get("/static/elements.js")
        assert (file.status_code, file.headers["cache-control"]) == (200, "no-cache")
        # Pages of other origins may import the file.
        assert file.headers["access-control-allow-origin"] == "*"
        repeated = await client.get("/static/elements.js", headers={"if-none-match": file.headers["etag"]})
        assert (repeated.status_code, repeated.content) == (304, b"")


async def test_files_are_compressed_when_the_client_accepts_gzip(shared_hub: Hub) -> None:
    async with shared_hub.client() as client:
        async with client.stream("GET", "/static/client.js", headers={"accept-encoding": "gzip"}) as response:
            assert response.headers["content-encoding"] == "gzip"
            compressed = b"".join([chunk async for chunk in response.aiter_raw()])
        plain = await client.get("/static/client.js", headers={"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert gzip.decompress(compressed) == plain.content
        assert plain.headers["vary"].split(",")[0] == "Accept-Encoding"


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/sw.js", "text/javascript; charset=utf-8"),
        ("/manifest.webmanifest", "application/manifest+json"),
        ("/static/client.js", "text/javascript; charset=utf-8"),
        ("/static/app.css", "text/css; charset=utf-8"),
        ("/static/mark.svg", "image/svg+xml"),
        ("/static/icons/192.png", "image/png"),
        ("/static/fonts/figtree.woff2", "font/woff2"),
    ],
)
async def test_files_have_the_right_content_type(shared_hub: Hub, path: str, media_type: str) -> None:
    async with shared_hub.client() as client:
        assert (await client.get(path)).headers["content-type"] == media_type


async def test_service_worker_caches_the_files_of_this_release(shared_hub: Hub) -> None:
    async with shared_hub.client() as client:
        worker, page = (await client.get("/sw.js")).text, (await client.get("/")).text
        release = re.search(r"/static/([0-9a-f]{12})/", page)
        assert release is not None
        assert f'="{release[1]}"' in worker
        for path in re.findall(r'"(/static/[^"]+[^/"])"', worker):
            assert (await client.get(path)).status_code == 200, path


async def test_manifest_makes_the_app_installable(shared_hub: Hub) -> None:
    async with shared_hub.client() as client:
        manifest = (await client.get("/manifest.webmanifest")).json()
        assert {icon["sizes"] for icon in manifest["icons"]} >= {"192x192", "512x512"}
        assert (manifest["display"], manifest["start_url"]) == ("standalone", "/")
        for icon in manifest["icons"]:
            assert (await client.get(icon["src"])).status_code == 200


@pytest.mark.parametrize(
    "path", ["/metrics", "/openapi.json", "/api/health", "/api/stats", "/api/jobs", "/api/nothing"]
)
async def test_other_responses_are_not_cached(shared_hub: Hub, path: str) -> None:
    assert (await shared_hub.client().get(path)).headers["cache-control"] == "no-store"
