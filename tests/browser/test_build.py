"""The web build: web/dist is current, small and works offline; the unit tests of its modules."""

import gzip
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Noise, OpenPage, is_live
from tests.support.hub import Hub
from tests.support.timeouts import TIMEOUT_SECONDS

ROOT: Final = Path(__file__).parents[2]
WEB: Final = ROOT / "web"
DIST: Final = WEB / "dist"
# Client, worker and elements with every chunk that they load, without the texts of another language.
MAX_BYTES: Final = 32 * 1024
MAX_LANGUAGE_BYTES: Final = 2_200
# What the page loaded from the hub's static files and the service worker did not store.
NOT_STORED: Final = """async () => {
    const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
    const names = loaded.filter((name) => name.includes("/static/"));
    const stored = await Promise.all(names.map((name) => caches.match(name)));
    return [names.length, names.filter((_, index) => !stored[index])];
}"""


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below the folder, by its path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_modules_of_the_client_pass_their_unit_tests() -> None:
    done = subprocess.run(
        ["node", "--test", *map(str, sorted((ROOT / "tests/js/unit").glob("*.test.js")))],
        cwd=ROOT / "tests/js",
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, done.stdout[-4_000:]
    assert re.search(r"^# pass [3-9]\d$", done.stdout, re.MULTILINE), done.stdout[-400:]


def test_committed_files_equal_a_new_build_byte_for_byte(tmp_path: Path) -> None:
    done = subprocess.run(
        ["node", WEB / "build.mjs", tmp_path / "elsewhere" / "dist"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    built, committed = contents(tmp_path / "elsewhere" / "dist"), contents(DIST)
    assert built.keys() == committed.keys()
    assert [name for name in built if built[name] != committed[name]] == []


def test_client_worker_and_elements_stay_within_32_kib() -> None:
    sizes, names = dict[str, int](), ["client.js", "worker.js", "elements.js"]
    while names:
        name = names.pop()
        if name not in sizes:
            text = (DIST / name).read_bytes()
            sizes[name] = len(gzip.compress(text, 9))
            names += re.findall(r"[\"']\./([\w.-]+\.js)[\"']", text.decode())
    assert {"client.js", "worker.js", "elements.js"} < sizes.keys()
    assert 1_000 < sizes.pop("texts.de.js") <= MAX_LANGUAGE_BYTES
    assert sum(sizes.values()) <= MAX_BYTES, sizes


@pytest.mark.parametrize(
    "text", ["The hub cannot be reached.", "/api/realtime/connect?", "hub-navigate"], ids=["client", "core", "elements"]
)
def test_modules_shared_by_scripts_are_bundled_once(text: str) -> None:
    scripts = [path.read_text() for path in DIST.glob("*.js") if path.name != "app.js"]
    assert sum(text in script for script in scripts) == 1


async def test_app_opens_offline_after_the_first_visit(hub: Hub, open_page: OpenPage, noise: Noise) -> None:
    noise.expect(r"net::ERR_")
    page = await open_page(await hub.signup("freelancer", name="Ann"))
    await page.evaluate("navigator.serviceWorker.ready")
    # A page that was open before its service worker is controlled by it as soon as it is active.
    await page.wait_for_function("navigator.serviceWorker.controller")
    loaded, missing = await page.evaluate(NOT_STORED)
    assert loaded > 4
    assert missing == []
    session = await page.context.new_cdp_session(page)
    await session.send("Network.clearBrowserCache")
    await hub.stop()
    await page.goto(f"{hub.url}/wallet")
    await expect(page.get_by_role("banner")).to_contain_text("Ann")
    await expect(page.get_by_test_id("connection")).to_have_text("Offline")
    await hub.restart()
    await page.mouse.move(300, 300)
    await is_live(page)
