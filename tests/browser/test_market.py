"""Posting, bidding and hiring on the page, seen live by the others."""

from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import Noise, OpenPage
from tests.browser.market import hire, place_bid, post_job
from tests.hub import Hub

# A hire is told within this.
AT_ONCE_MS = 2_000


async def test_a_hire_is_toasted_to_winner_and_loser_at_once(hub: Hub, open_page: OpenPage) -> None:
    carla = await hub.signup("client", name="Carla")
    winner, loser = await hub.signup("freelancer", name="Wanda"), await hub.signup("freelancer", name="Louis")
    job = await post_job(hub, carla, "A booking page")
    for freelancer in (winner, loser):
        await place_bid(hub, freelancer, job)
    client, won, lost = await open_page(carla), await open_page(winner), await open_page(loser)
    await client.get_by_role("button", name="Hire Wanda").click()
    toast = won.get_by_test_id("toast").filter(has_text="You have been hired for A booking page!")
    await expect(toast).to_be_visible(timeout=AT_ONCE_MS)
    await expect(toast).to_contain_text("🎉")
    await expect(toast).to_contain_text("Carla")
    await expect(lost.get_by_test_id("toast")).to_have_count(1, timeout=AT_ONCE_MS)
    await expect(own_bid(won, "A booking page")).to_contain_text("Hired")
    await expect(own_bid(lost, "A booking page")).to_contain_text("Not chosen")
    await expect(hires(client)).to_have_count(0)


async def test_a_client_posts_a_job_and_freelancers_see_it_come_and_go(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client"), await hub.signup("freelancer", skills=["design"])
    client, freelancer = await open_page(carla), await open_page(felix)
    await client.get_by_label("Title").fill("Twelve icons")
    await client.get_by_label("Description").fill("For an app.\nSVG, please.")
    await client.get_by_label("Budget").fill("99.50")
    await client.get_by_label("Skills").fill("Design, svg")
    await client.get_by_role("button", name="Post job").click()
    await expect(job(client, "Twelve icons")).to_contain_text("$99.50")
    await expect(job(freelancer, "Twelve icons")).to_contain_text("$99.50")
    await expect(freelancer.get_by_test_id("toast")).to_contain_text("New Job Posted!")
    posted = (await listed(hub))[0]
    await hire(hub, carla, await place_bid(hub, await hub.signup("freelancer"), posted))
    await expect(job(freelancer, "Twelve icons")).to_have_count(0)


async def test_only_a_job_with_a_skill_of_theirs_is_toasted_to_a_freelancer(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client"), await hub.signup("freelancer", skills=["python"])
    page = await open_page(felix)
    for title, skills in (("Welding", ("metal",)), ("Scripts", ("SQL", "Python")), ("Anything", ())):
        await post_job(hub, carla, title, skills=skills)
    toasts = page.get_by_test_id("toast")
    await expect(toasts.filter(has_text="Anything")).to_be_visible()
    await expect(toasts.filter(has_text="Scripts")).to_be_visible()
    await expect(toasts).to_have_count(2)


async def test_a_bid_reaches_the_owner_and_can_be_withdrawn_and_placed_again(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client"), await hub.signup("freelancer", name="Felix")
    await post_job(hub, carla, "A logo")
    client, freelancer = await open_page(carla), await open_page(felix)
    await bid(freelancer, "A logo", "850.25")
    await expect(own_bid(freelancer, "A logo")).to_contain_text("Your bid: $850.25")
    offer = job(client, "A logo").get_by_test_id("bid")
    await expect(offer).to_contain_text("Felix")
    await expect(offer).to_contain_text("$850.25")
    await expect(client.get_by_test_id("badge")).to_have_text("1")
    await job(freelancer, "A logo").get_by_role("button", name="Withdraw").click()
    await expect(own_bid(freelancer, "A logo")).to_contain_text("Withdrawn")
    await expect(hires(client)).to_have_count(0)
    await bid(freelancer, "A logo", "700")
    await expect(hires(client)).to_have_count(1)


async def test_what_somebody_types_survives_what_happens_around_it(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client"), await hub.signup("freelancer")
    await post_job(hub, carla, "A logo")
    page = await open_page(felix)
    await job(page, "A logo").get_by_text("Place a bid").click()
    message = job(page, "A logo").get_by_label("Message")
    await message.fill("I would love")
    await post_job(hub, carla, "A poster")
    await expect(job(page, "A poster")).to_be_visible()
    await expect(message).to_be_focused()
    await expect(message).to_have_value("I would love")


async def test_a_hire_that_came_too_late_says_so_at_the_bid(hub: Hub, open_page: OpenPage, noise: Noise) -> None:
    noise.expect(r"status of 400 .*/hire$")
    noise.expect(r"ERR_FAILED .*/api/realtime/connect")
    carla, first, second = await hub.signup("client"), await hub.signup("freelancer"), await hub.signup("freelancer")
    posted = await post_job(hub, carla, "A logo")
    offers = [await place_bid(hub, freelancer, posted) for freelancer in (first, second)]
    page = await open_page(carla)
    # A page that no longer hears what happens.
    await page.route("**/api/realtime/connect*", lambda route: route.abort())
    await page.reload()
    await expect(hires(page)).to_have_count(2)
    await hire(hub, carla, offers[0])
    await page.get_by_role("button", name=f"Hire {second.name}").click()
    late = page.get_by_test_id("bid").filter(has_text=second.name)
    await expect(late.get_by_role("alert")).to_contain_text("Gig is no longer open (status: assigned).")
    await expect(hires(page)).to_have_count(0)


def job(page: Page, title: str) -> Locator:
    return page.get_by_test_id("job").filter(has=page.get_by_role("heading", name=title))


def hires(page: Page) -> Locator:
    return page.get_by_test_id("hire").filter(visible=True)


def own_bid(page: Page, title: str) -> Locator:
    return job(page, title).get_by_test_id("own-bid")


async def bid(page: Page, title: str, dollars: str) -> None:
    await job(page, title).get_by_text("Place a bid").click()
    await job(page, title).get_by_label("Price").fill(dollars)
    await job(page, title).get_by_label("Message").fill("Two drafts in a week.")
    await job(page, title).get_by_role("button", name="Send bid").click()


async def listed(hub: Hub) -> list[dict[str, object]]:
    async with hub.client() as client:
        items: list[dict[str, object]] = (await client.get("/api/jobs")).json()["items"]
    return items
