"""The example pages on another origin: plain HTML and React, as the documents describe."""

import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import TIMEOUT_MS, Noise
from tests.browser.inbox_page import item, toasts
from tests.browser.market_page import notify, post_job
from tests.support.hub import Hub
from tests.support.timeouts import TIMEOUT_SECONDS
from tests.system.conftest import StartHub

ROOT: Final = Path(__file__).parents[2]
JS: Final = ROOT / "tests" / "js"
# React is not published as an ES module.
REACT: Final = """
export { createElement, StrictMode, useCallback, useMemo, useSyncExternalStore } from "react";
export { createRoot } from "react-dom/client";
"""


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files of a folder without logging."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the examples and React as one ES module on another origin."""
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
        timeout=TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
async def hub_for(elsewhere: str, start_hub: StartHub) -> Hub:
    """A hub that allows requests from that origin."""
    return await start_hub(HUB_ALLOWED_ORIGINS=elsewhere)


@pytest.fixture
async def page(browser: Browser, noise: Noise) -> AsyncIterator[Page]:
    """An empty page."""
    context = await browser.new_context()
    context.set_default_timeout(TIMEOUT_MS)
    context.on("console", noise.record)
    context.on("weberror", lambda error: noise.messages.append(f"uncaught: {error.error}"))
    yield await context.new_page()
    await context.close()


async def test_elements_receive_events_on_another_origin(
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
    # A second tab shares the stream of the first, and the stream reconnects with a new ticket.
    tab = await page.context.new_page()
    await tab.goto(f"{elsewhere}/plain.html?hub={hub.url}")
    await expect(tab.get_by_test_id("connection")).to_have_text("Live updates active")
    await hub.restart()
    await page.mouse.move(300, 300)
    await expect(page.get_by_test_id("connection")).to_have_text("Live updates active")
    await notify(hub, key, ann, "Second")
    await page.get_by_test_id("bell").click()
    await expect(item(page, "Second")).to_be_visible()


async def test_react_hooks_receive_events_on_another_origin(hub_for: Hub, elsewhere: str, page: Page) -> None:
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
