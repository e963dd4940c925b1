"""Fixtures with a real browser; unexpected console messages and errors of any tab fail the test."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright, expect

from tests.support.hub import Hub, Person
from tests.support.timeouts import TIMEOUT_SECONDS
from tests.system.conftest import hub, mail, push, start_hub, store, stream_transport

__all__ = ["hub", "mail", "push", "start_hub", "store", "stream_transport"]

CHROMIUM: Final = "/usr/bin/chromium"
# No sandbox: tests run as root in containers. The other flags prevent requests to hosts other than the hub.
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
TIMEOUT_MS: Final = TIMEOUT_SECONDS * 1_000
# Each page records its toasts, one per line, because a toast closes after five seconds.
TOASTED: Final = """customElements.whenDefined("toast-region").then(() => {
    const { dataset } = document.documentElement;
    const record = (records) => {
        for (const node of records.flatMap(({ addedNodes }) => [...addedNodes])) {
            if (node.dataset?.testid !== "toast") continue;
            const line = `${node.querySelector("strong").textContent} ${node.querySelector("p").textContent}`;
            dataset.toasted = [...(dataset.toasted?.split("\\n") ?? []), line.replaceAll("\\n", " ")].join("\\n");
        }
    };
    for (const { shadowRoot } of document.querySelectorAll("toast-region"))
        new MutationObserver(record).observe(shadowRoot, { childList: true, subtree: true });
})"""
# Messages for expected responses: the check for a session, and requests of a page whose session ended.
EXPECTED: Final = (
    r"status of 401 .*/api/auth/me$",
    r"status of 401 .*/api/(conversations|jobs|bids|wallet|stats)\b",
)


@dataclass
class Noise:
    """Console messages and errors of the tabs of a test."""

    messages: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=lambda: list(EXPECTED))

    def expect(self, pattern: str) -> None:
        """Accept messages that match the regular expression."""
        self.expected.append(pattern)

    def record(self, message: ConsoleMessage) -> None:
        """Record a console message; violations of the Content-Security-Policy are such messages."""
        self.messages.append(f"{message.type}: {message.text} {message.location.get('url', '')}")

    def unexpected(self) -> list[str]:
        """Return the messages that the test does not expect."""
        return [line for line in self.messages if not any(re.search(pattern, line) for pattern in self.expected)]


class OpenPage(Protocol):
    """`await open_page()`: a page in a new browser profile; `who` signs in; `width` in CSS pixels.

    Without `worker` the browser has no SharedWorker, so that a tab leads; `url` replaces the address of the hub.
    """

    async def __call__(
        self, who: Person | None = None, *, width: int = 1280, dark: bool = False, worker: bool = True, url: str = ""
    ) -> Page:
        """Open it; wait until it is live if a user signs in."""
        ...


class OpenTab(Protocol):
    """`await another_tab(page)`: a further tab of the same profile, live."""

    async def __call__(self, page: Page) -> Page:
        """Open it and wait until it is live."""
        ...


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One browser for all tests; each page has its own profile."""
    expect.set_options(timeout=TIMEOUT_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS), timeout=TIMEOUT_MS)
        yield browser
        await browser.close()


@pytest.fixture
async def noise() -> AsyncIterator[Noise]:
    """Console messages of the test's tabs; unexpected ones fail the test at its end."""
    noise = Noise()
    yield noise
    assert noise.unexpected() == []


@pytest.fixture
async def open_page(hub: Hub, browser: Browser, noise: Noise) -> AsyncIterator[OpenPage]:
    """Opens pages of `hub`."""
    contexts: list[BrowserContext] = []

    async def open_page(
        who: Person | None = None, *, width: int = 1280, dark: bool = False, worker: bool = True, url: str = ""
    ) -> Page:
        context = await browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        context.set_default_timeout(TIMEOUT_MS)
        context.on("console", noise.record)
        context.on("weberror", lambda error: noise.messages.append(f"uncaught: {error.error}"))
        await context.add_init_script(TOASTED)
        if not worker:
            await context.add_init_script("delete globalThis.SharedWorker")
        page = await context.new_page()
        await page.goto(url or hub.url)
        if who is not None:
            await sign_in(page, who)
        return page

    yield open_page
    for context in contexts:
        await context.close()


@pytest.fixture
def another_tab() -> OpenTab:
    """Opens further tabs of a profile."""

    async def open_tab(page: Page) -> Page:
        tab = await page.context.new_page()
        await tab.goto(page.url)
        await is_live(tab)
        return tab

    return open_tab


async def sign_in(page: Page, who: Person) -> None:
    """Fill the form, and wait until the stream is open."""
    await page.get_by_label("Email").fill(who.email)
    await page.get_by_label("Password").fill(who.password)
    await page.get_by_role("button", name="Sign in").click()
    await is_live(page)


async def is_live(page: Page) -> None:
    """Wait until the stream is open."""
    await expect(page.get_by_test_id("connection")).to_have_text("Live updates active")


async def stop_the_clock(page: Page) -> None:
    """Reload the page; once it is live, its clock stands still until the test advances it."""
    await page.clock.install()
    await page.reload()
    await is_live(page)
    await page.clock.pause_at(datetime.fromtimestamp(await page.evaluate("Date.now()") / 1_000 + 1, UTC))
