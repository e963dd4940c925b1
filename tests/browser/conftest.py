"""A real browser for the page: every tab notes what it complains about, and a complaint fails the test."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright, expect

from tests.support.hub import Hub, Person
from tests.system.conftest import hub, mail, push, start_hub, store, stream_transport

__all__ = ["hub", "mail", "push", "start_hub", "store", "stream_transport"]

CHROMIUM: Final = "/usr/bin/chromium"
# No sandbox: tests run as root in containers. The others keep the browser from talking to anybody but the hub.
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Waited for so long, ms: a machine that is busy with something else for a while makes no test fail.
PATIENCE_MS: Final = 30_000
# Each page writes down what it toasts, line by line: a toast is gone after five seconds, however slow the test is.
TOASTED: Final = """customElements.whenDefined("toast-region").then(() => {
    const { dataset } = document.documentElement;
    const note = (records) => {
        for (const node of records.flatMap(({ addedNodes }) => [...addedNodes])) {
            if (node.dataset?.testid !== "toast") continue;
            const said = `${node.querySelector("strong").textContent} ${node.querySelector("p").textContent}`;
            dataset.toasted = [...(dataset.toasted?.split("\\n") ?? []), said.replaceAll("\\n", " ")].join("\\n");
        }
    };
    for (const { shadowRoot } of document.querySelectorAll("toast-region"))
        new MutationObserver(note).observe(shadowRoot, { childList: true, subtree: true });
})"""
# What a browser logs by itself about questions that a hub may answer with "no": who am I, and what a page had asked for
# when its session ended, a moment after it came in.
EXPECTED: Final = (
    r"status of 401 .*/api/auth/me$",
    r"status of 401 .*/api/(conversations|jobs|bids|wallet|stats)\b",
)


@dataclass
class Noise:
    """What the tabs of a test complained about; `expect(pattern)` names what the test is about."""

    heard: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=lambda: list(EXPECTED))

    def expect(self, pattern: str) -> None:
        """Complaints that match (a regular expression) are no failure of this test."""
        self.expected.append(pattern)

    def hear(self, message: ConsoleMessage) -> None:
        """A line on the console, violations of the Content-Security-Policy included."""
        self.heard.append(f"{message.type}: {message.text} {message.location.get('url', '')}")

    def unexpected(self) -> list[str]:
        """What no test expects."""
        return [line for line in self.heard if not any(re.search(pattern, line) for pattern in self.expected)]


class OpenPage(Protocol):
    """`await open_page()`: the page in a browser profile of its own; `who` signs in; `width` in CSS pixels.

    Without a `worker` the browser has no SharedWorker, so that a tab leads; `url` is where the hub is reached instead.
    """

    async def __call__(
        self, who: Person | None = None, *, width: int = 1280, dark: bool = False, worker: bool = True, url: str = ""
    ) -> Page:
        """Open it, and wait until it is live when somebody signed in."""
        ...


class Another(Protocol):
    """`await another_tab(page)`: one more tab of the same profile, live."""

    async def __call__(self, page: Page) -> Page:
        """Open it and wait until it is live."""
        ...


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One browser for all tests; each page gets a profile of its own."""
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        await browser.close()


@pytest.fixture
async def noise() -> AsyncIterator[Noise]:
    """What this test's tabs say on their consoles; anything unexpected fails the test when it ends."""
    noise = Noise()
    yield noise
    assert noise.unexpected() == []


@pytest.fixture
async def open_page(hub: Hub, browser: Browser, noise: Noise) -> AsyncIterator[OpenPage]:
    """Opens the page of `hub`."""
    contexts: list[BrowserContext] = []

    async def open_page(
        who: Person | None = None, *, width: int = 1280, dark: bool = False, worker: bool = True, url: str = ""
    ) -> Page:
        context = await browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        context.on("console", noise.hear)
        context.on("weberror", lambda error: noise.heard.append(f"uncaught: {error.error}"))
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
def another_tab() -> Another:
    """Opens one more tab beside a page."""

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
    """Load the page anew; once it is live its time passes only when it is told to."""
    await page.clock.install()
    await page.reload()
    await is_live(page)
    await page.clock.pause_at(datetime.fromtimestamp(await page.evaluate("Date.now()") / 1_000 + 1, UTC))
