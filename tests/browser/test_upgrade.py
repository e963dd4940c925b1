"""An upgrade of the hub while pages of the old release are open."""

import shutil
import subprocess
from pathlib import Path

from playwright.async_api import expect

from tests.browser.conftest import Noise, OpenPage, is_live
from tests.support.hub import Hub
from tests.support.server import ROOT
from tests.support.timeouts import TIMEOUT_SECONDS


def another_release(folder: Path) -> Path:
    """Build the same hub with another heading on its page."""
    for name in ("api", "services", "realtime", "web"):
        ignored = shutil.ignore_patterns("__pycache__", "node_modules", "dist")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    (folder / "web" / "node_modules").symlink_to(ROOT / "web" / "node_modules")
    find = folder / "web" / "app" / "find-work.js"
    find.write_text(
        find.read_text().replace('h("h1", { textContent: "Find work" })', 'h("h1", { textContent: "New here" })')
    )
    subprocess.run(["node", folder / "web" / "build.mjs"], check=True, timeout=TIMEOUT_SECONDS)
    return folder


async def test_open_page_works_after_an_upgrade_and_then_loads_the_new_one(
    hub: Hub, open_page: OpenPage, noise: Noise, tmp_path: Path
) -> None:
    noise.expect(r"ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE")
    page = await open_page(await hub.signup("freelancer"))
    await page.evaluate("navigator.serviceWorker.ready")
    await page.reload()
    await is_live(page)
    await page.get_by_role("link", name="Wallet").click()
    await expect(page.get_by_role("main").get_by_role("heading", name="Wallet", level=1)).to_be_visible()
    await page.evaluate(
        "navigator.serviceWorker.addEventListener('controllerchange', () => document.body.dataset.news = 'here')"
    )
    hub.server.source_root = another_release(tmp_path / "release")
    await hub.restart()
    await page.mouse.move(300, 300)
    await expect(page.locator("body")).to_have_attribute("data-news", "here")
    # The page that was open is unchanged.
    await expect(page.get_by_role("heading", name="Wallet", level=1)).to_be_visible()
    await page.get_by_role("link", name="Find work").click()
    await expect(page.get_by_role("heading", name="New here", level=1)).to_be_visible()
    await is_live(page)
