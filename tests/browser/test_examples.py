"""The example pages, served from another origin than the hub: plain HTML and React, as the documents say."""

import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import Noise
from tests.browser.inbox_page import item, toasts
from tests.browser.market_page import notify, post_job
from tests.hub import Hub
from tests.live.conftest import StartHub

ROOT: Final = Path(__file__).parents[2]
JS: Final = ROOT / "tests" / "js"
# React is no ES module by itself.
REACT: Final = """
export { createElement, StrictMode, useCallback, useMemo, useSyncExternalStore } from "react";
export { createRoot } from "react-dom/client";
"""


class Quiet(SimpleHTTPRequestHandler):
    """Files of a folder, without a line for each."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin of the examples, with React beside them as the one file that browsers can import."""
    folder = tmp_path_factory.mktemp("examples")
    for path in (ROOT / "examples").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "vendor").mkdir()
    done = subprocess.run(
        [
            ROOT / "web/node_modules/.bin/esbuild",
            "--bundle",
            "--format=esm",
            '--define:process.env.NODE_ENV="production"',
            f"--outfile={folder}/vendor/react.mjs",
        ],
        input=REACT,
        cwd=JS,
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
async def hub_for(elsewhere: str, start_hub: StartHub) -> Hub:
    """A hub that lets pages of that origin call."""
    return await start_hub(HUB_ALLOWED_ORIGINS=elsewhere)


@pytest.fixture
async def page(browser: Browser, noise: Noise) -> AsyncIterator[Page]:
    """An empty page."""
    context = await browser.new_context()
    context.on("console", noise.hear)
    context.on("weberror", lambda error: noise.heard.append(f"uncaught: {error.error}"))
    yield await context.new_page()
    await context.close()


async def test_the_elements_live_on_a_page_of_another_origin(
    hub_for: Hub, elsewhere: str, page: Page, noise: Noise
) -> None:
    noise.expect(r"net::ERR_")
    hub = hub_for
    ann, key = await hub.signup("freelancer", name="Ann"), await hub.api_key("notify")
    await page.goto(f"{elsewhere}/plain.html?hub={hub.url}")
    await page.get_by_label("Email").fill(ann.email)
    await page.get_by_label("Password").fill(ann.password)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_test_id("connection")).to_have_text("Live updates active")
    await notify(hub, key, ann, "First")
    await expect(toasts(page)).to_contain_text("First")
    await expect(page.get_by_text("Hello Ann, 1 unread.")).to_be_visible()
    # A second tab shares the stream of the first, and a stream that is cut comes back with a new ticket.
    tab = await page.context.new_page()
    await tab.goto(f"{elsewhere}/plain.html?hub={hub.url}")
    await expect(tab.get_by_test_id("connection")).to_have_text("Live updates active")
    await hub.restart()
    await page.mouse.move(300, 300)
    await expect(page.get_by_test_id("connection")).to_have_text("Live updates active")
    await notify(hub, key, ann, "Second")
    await page.get_by_test_id("bell").click()
    await expect(item(page, "Second")).to_be_visible()


async def test_the_hooks_live_in_a_react_page_of_another_origin(hub_for: Hub, elsewhere: str, page: Page) -> None:
    hub = hub_for
    ann, carla, key = await hub.signup("freelancer"), await hub.signup("client"), await hub.api_key("notify")
    await page.goto(f"{elsewhere}/react.html?hub={hub.url}&token={ann.token}")
    await expect(page.get_by_role("heading", name="Open jobs (live)")).to_be_visible()
    await notify(hub, key, ann, "First")
    await expect(page.get_by_role("heading", name="Notifications (1)")).to_be_visible()
    await page.get_by_role("button", name="Read", exact=True).click()
    await expect(page.get_by_role("heading", name="Notifications (0)")).to_be_visible()
    await post_job(hub, carla, "A logo")
    await expect(page.get_by_text("A logo, 0 bids")).to_be_visible()
