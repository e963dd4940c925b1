"""The layout of the app: widths, keyboard, screen readers, and text that is never markup."""

import json
import re
from pathlib import Path
from typing import Any, Final, Literal

from playwright.async_api import Page, expect

from tests.browser.conftest import Noise, OpenPage, is_live, sign_in
from tests.browser.inbox_page import item, open_center, toasts
from tests.browser.market_page import notify, place_bid, post_job
from tests.support.hub import Hub

SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
AXE: Final = Path(__file__).parents[1] / "js" / "node_modules" / "axe-core" / "axe.min.js"
WIDTHS: Final = (320, 390, 1280)
PLACES: Final = ("/jobs", "/work", "/messages", "/wallet", "/settings")
# Known script injections: in text, attributes, addresses, templates and comments, and reversed text.
CORPUS: Final = (
    "<img src=x onerror=\"document.title='owned'\"><b>bold</b>",
    "<script>document.title='owned'</script>",
    "\"><svg onload=document.title='owned'>",
    "javascript:document.title='owned'",
    "${document.title='owned'} {{constructor.constructor('1')()}}",
    "--><iframe srcdoc='<script>parent.document.title=1</script>'></iframe>",
    "</title></textarea></style><a href=javascript:alert(1)>link</a>",
    "\u202ereversed &lt;not bold&gt; &amp; 👩‍👩‍👧‍👦",
)
# Two violations of the policy, an error and a message.
PLANTED: Final = """() => {
    const script = document.createElement("script");
    script.textContent = "document.title = 'inline'";
    document.head.append(script);
    document.body.setAttribute("style", "color: red");
    setTimeout(() => { throw new Error("planted"); });
    console.log("logged");
}"""


async def test_pages_fit_every_width(hub: Hub, open_page: OpenPage) -> None:
    carla, felix, key = await hub.signup("client"), await hub.signup("freelancer"), await hub.api_key("notify")
    long = "Unbreakable" * 10
    job = await post_job(hub, carla, long)
    await place_bid(hub, felix, job)
    await notify(hub, key, felix, long, body=long)
    await say(hub, carla, felix, long)
    for who in (carla, felix):
        page = await open_page(who, dark=who is felix)
        for place in (*PLACES, f"/jobs/{job['id']}"):
            await go(page, place)
            if place not in ("/wallet", "/settings"):
                await expect(page.get_by_role("main").get_by_text(long).first).to_be_attached()
            for width in WIDTHS:
                assert await width_at(page, width) <= width, place
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 800})
            await open_center(page)
            await expect(item(page, long).first).to_be_visible()
            assert await width_at(page, width) <= width
            await page.keyboard.press("Escape")
            await expect(page.get_by_test_id("bell")).to_be_focused()


async def test_axe_finds_no_violations(hub: Hub, open_page: OpenPage) -> None:
    carla, felix, key = await hub.signup("client"), await hub.signup("freelancer"), await hub.api_key("notify")
    job = await post_job(hub, carla, "A logo", skills=("design",))
    await place_bid(hub, felix, job)
    await say(hub, felix, carla, "Hello")
    for priority in ("normal", "urgent"):
        await notify(hub, key, carla, f"A note, {priority}", priority=priority, url="/wallet")
    door = await open_page()
    await expect(door.get_by_label("Email")).to_be_visible()
    found = {"door": await violations(door)}
    page = await open_page(carla)
    conversation = (await conversations(hub, carla))[0]["id"]
    for place in (*PLACES, f"/jobs/{job['id']}", f"/messages/{conversation}", "/post"):
        await go(page, place)
        if place not in ("/wallet", "/settings", "/post"):
            shown = page.get_by_role("main").get_by_text("Hello" if "messages" in place else "A logo")
            await expect(shown.last).to_be_visible()
        found[place] = await violations(page)
    await open_center(page)
    await expect(item(page, "A note, urgent")).to_be_visible()
    await notify(hub, key, carla, "Now", actions=[{"id": "yes", "label": "Yes", "style": "primary"}])
    await expect(toasts(page)).to_be_visible()
    found["center"] = await violations(page)
    assert {place: each for place, each in found.items() if each} == {}


async def test_client_signs_in_and_hires_with_the_keyboard_alone(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client"), await hub.signup("freelancer", name="Felix")
    await place_bid(hub, felix, await post_job(hub, carla, "A logo"))
    page = await open_page()
    await page.get_by_label("Email").focus()
    await page.keyboard.type(carla.email)
    await page.keyboard.press("Tab")
    await page.keyboard.type(carla.password)
    await page.keyboard.press("Enter")
    await is_live(page)
    await tab_to(page, page.get_by_role("link", name="A logo"))
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Hire Felix")).to_be_visible()
    await tab_to(page, page.get_by_role("button", name="Hire Felix"))
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Waiting for the freelancer to accept.")).to_be_visible()


async def test_focus_stays_during_live_updates(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client"), await hub.signup("freelancer", name="Felix")
    job = await post_job(hub, carla, "A logo")
    await place_bid(hub, felix, job)
    page, his = await open_page(carla), await open_page(felix)
    await his.goto(f"{hub.url}/work")
    mine, bid_on = page.get_by_role("link", name="A logo"), his.get_by_role("link", name="A logo")
    for link in (mine, bid_on):
        await link.focus()
    await place_bid(hub, await hub.signup("freelancer"), job)
    await expect(page.get_by_test_id("job")).to_contain_text("2 bids to read")
    async with hub.client(carla) as client:
        assert (await client.patch(f"/api/jobs/{job['id']}", json={"budget": 90_000})).status_code == 200
    await expect(page.get_by_test_id("job")).to_contain_text("$900")
    await expect(his.get_by_test_id("own-bid")).to_contain_text("budget $900")
    for link in (mine, bid_on):
        await expect(link).to_be_focused()
    await page.keyboard.press("Enter")
    hire = page.get_by_role("button", name="Hire Felix")
    await hire.focus()
    await place_bid(hub, await hub.signup("freelancer"), job, price=50_000)
    await expect(page.get_by_test_id("bid").filter(has_text="Lowest bid")).to_have_text([re.compile(r"\$500")])
    await expect(hire).to_be_focused()


async def test_markup_in_user_content_is_shown_as_text_everywhere(hub: Hub, open_page: OpenPage) -> None:
    key, page = await hub.api_key("notify"), await open_page()
    for n, evil in enumerate(CORPUS):
        carla = await hub.signup("client", name=evil[:80].replace("\u202e", ""))
        felix = await hub.signup("freelancer", name=evil[:80].replace("\u202e", ""))
        async with hub.client(carla) as client:
            body = {
                "title": evil[:120],
                "description": evil,
                "budget": 100,
                "category": evil[:40],
                "skills": [evil[:40]],
            }
            answer = await client.post("/api/jobs", json=body)
            if answer.status_code != 201:
                # One-line fields reject some characters that longer texts may contain.
                body |= {"title": f"Job {n}", "category": "Design", "skills": []}
                answer = await client.post("/api/jobs", json=body)
            job = answer.json()
        async with hub.client(felix) as client:
            answer = await client.post(f"/api/jobs/{job['id']}/bids", json={"message": evil, "price": 100})
            assert answer.status_code == 201, answer.text
            answer = await client.post(f"/api/jobs/{job['id']}/comments", json={"text": evil})
            assert answer.status_code == 201, answer.text
        await say(hub, felix, carla, evil)
        await notify(hub, key, carla, f"Note {n}", body=evil, data={"title": evil})
        await sign_in(page, carla)
        conversation = (await conversations(hub, carla))[0]["id"]
        for place in ("/work", "/jobs", f"/jobs/{job['id']}", f"/messages/{conversation}", "/settings"):
            await go(page, place)
            if place.startswith("/jobs/"):
                await expect(page.get_by_test_id("bid")).to_contain_text(evil)
                await expect(page.get_by_test_id("comment")).to_contain_text(evil)
            if place.startswith("/messages/"):
                await expect(page.get_by_test_id("message").last).to_contain_text(evil)
        await open_center(page)
        await expect(item(page, f"Note {n}")).to_contain_text(evil)
        assert "owned" not in await page.title()
        for tag in ("img[src=x]", "iframe", "svg[onload]", "main script", "[onerror]"):
            await expect(page.locator(tag)).to_have_count(0)
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_label("Email")).to_be_visible()


async def test_links_other_than_web_addresses_are_not_followed(hub: Hub, open_page: OpenPage) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page = await open_page(ann)
    await page.evaluate("""() => {
        const center = document.querySelector("notification-center");
        center.navigate("javascript:document.title='owned'");
        center.navigate("data:text/html,<script>1</script>");
    }""")
    assert "owned" not in await page.title()
    await expect(page).to_have_url(f"{hub.url}/jobs")
    await notify(hub, key, ann, "Nowhere")
    await open_center(page)
    await expect(item(page, "Nowhere")).to_be_visible()
    assert await item(page, "Nowhere").locator("a").get_attribute("href") is None


async def test_elements_follow_right_to_left_direction(hub: Hub, open_page: OpenPage) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page = await open_page(ann)
    await page.evaluate("document.documentElement.dir = 'rtl'")
    await notify(hub, key, ann, "First")
    box = await toasts(page).bounding_box()
    assert box is not None
    assert box["x"] < 100
    await open_center(page)
    panel = await page.get_by_role("complementary", name="Notifications").bounding_box()
    assert panel is not None
    assert panel["x"] < 100
    assert await page.evaluate("document.documentElement.scrollWidth") <= 1280


async def test_elements_use_the_language_of_the_page(hub: Hub, open_page: OpenPage) -> None:
    ann = await hub.signup("freelancer")
    page = await open_page(ann)
    await page.add_init_script("addEventListener('readystatechange', () => document.documentElement.lang = 'de', true)")
    await page.reload()
    await expect(page.get_by_test_id("connection")).to_have_text("Live verbunden")
    carla = await hub.signup("client", name="Carla")
    bid = await place_bid(hub, ann, await post_job(hub, carla, "Ein Zeichen"))
    async with hub.client(carla) as client:
        assert (await client.patch(f"/api/bids/{bid['id']}/hire")).status_code == 200
    await expect(toasts(page).first).to_contain_text("Sie haben den Auftrag „Ein Zeichen“!")


async def test_policy_violations_and_errors_fail_these_tests(open_page: OpenPage, noise: Noise) -> None:
    page = await open_page()
    async with page.context.expect_event("weberror"), page.expect_console_message(lambda line: line.text == "logged"):
        await page.evaluate(PLANTED)
    unexpected = noise.unexpected()
    assert len([line for line in unexpected if "Content Security Policy" in line]) == 2
    assert any("planted" in line for line in unexpected)
    assert any("logged" in line for line in unexpected)
    noise.messages.clear()
    assert "inline" not in await page.title()


async def go(page: Page, path: str) -> None:
    """Navigate within the app as its links do, and wait until the page is loaded."""
    await page.evaluate(
        """(path) => document.dispatchEvent(new CustomEvent("hub-navigate",
            { cancelable: true, detail: { url: new URL(path, location.href).href } }))""",
        path,
    )
    await expect(page).to_have_url(re.compile(f"{re.escape(path)}$"))
    await expect(page.locator("main h1").first).to_be_attached()
    await expect(page.locator("main .skeleton")).to_have_count(0)


async def width_at(page: Page, width: int) -> int:
    """Return the width of the page in a window of this width."""
    await page.set_viewport_size({"width": width, "height": 800})
    return int(await page.evaluate("document.documentElement.scrollWidth"))


async def violations(page: Page) -> list[str]:
    """Return the violations that axe finds in both color schemes, as `rule: where`."""
    # Evaluated by the debugger, because the policy of the page blocks other scripts.
    if not await page.evaluate("'axe' in globalThis"):
        await page.evaluate(f"{AXE.read_text()}; undefined")
    found_lines = list[str]()
    for scheme in SCHEMES:
        # Animations are transparent for a moment, which axe would report.
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = await page.evaluate("axe.run({ resultTypes: ['violations'] })")
        found_lines += [
            f"{each['id']} ({each['impact']}, {scheme}): {json.dumps(node['target'])}"
            for each in found["violations"]
            for node in each["nodes"][:3]
        ]
    return found_lines


async def tab_to(page: Page, target: Any) -> None:
    for _ in range(40):
        await page.keyboard.press("Tab")
        if await target.evaluate("each => each === document.activeElement"):
            return
    raise AssertionError("the keyboard does not lead there")


async def say(hub: Hub, sender: Any, recipient: Any, content: str) -> None:
    async with hub.client(sender) as client:
        body = {"recipientId": recipient.id, "content": content, "type": "text", "clientMessageId": content[:20]}
        answer = await client.post("/api/realtime/messages/send", json=body)
    assert answer.status_code == 201, answer.text


async def conversations(hub: Hub, who: Any) -> list[dict[str, Any]]:
    async with hub.client(who) as client:
        items: list[dict[str, Any]] = (await client.get("/api/conversations")).json()["items"]
    return items


async def test_navigation_moves_focus_and_scroll_to_the_start(hub: Hub, open_page: OpenPage) -> None:
    page = await open_page(await hub.signup("freelancer"))
    link = page.get_by_role("link", name="Wallet")
    await link.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("main")).to_be_focused()
    assert await page.evaluate("scrollY") == 0
