"""The marketplace app, from posting to payment, with live updates for the others."""

import asyncio
import re

from playwright.async_api import Locator, Page, Route, expect

from tests.browser.conftest import Noise, OpenPage
from tests.browser.inbox_page import expect_toasts, toasts
from tests.browser.market_page import hire, place_bid, post_job
from tests.support.hub import Hub


async def test_hire_is_toasted_to_the_hired_and_the_rejected_bidder(hub: Hub, open_page: OpenPage) -> None:
    carla = await hub.signup("client", name="Carla")
    winner, loser = await hub.signup("freelancer", name="Wanda"), await hub.signup("freelancer", name="Louis")
    job = await post_job(hub, carla, "A booking page")
    for freelancer in (winner, loser):
        await place_bid(hub, freelancer, job)
    client, won, lost = await open_page(carla), await open_page(winner), await open_page(loser)
    await client.get_by_role("link", name="A booking page").click()
    for page in (won, lost):
        await page.goto(f"{hub.url}/work")
        await expect(own_bid(page, "A booking page")).to_contain_text("Waiting")
    await client.get_by_role("button", name="Hire Wanda").click()
    toast = toasts(won).filter(has_text="You have been hired for A booking page!")
    # The toast stays while the pointer is on it.
    await toast.hover()
    await expect(toast).to_contain_text("🎉")
    await expect(toast).to_contain_text("Carla")
    await expect_toasts(lost, "A booking page")
    await expect(own_bid(won, "A booking page")).to_contain_text("Hired")
    await expect(own_bid(lost, "A booking page")).to_contain_text("Not chosen")
    await expect(hires(client)).to_have_count(0)


async def test_job_runs_from_the_form_to_the_payment(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client", name="Carla"), await hub.signup("freelancer", name="Felix")
    client, freelancer = await open_page(carla), await open_page(felix)
    await client.get_by_role("link", name="Post a job").first.click()
    await client.get_by_label("Title").fill("Twelve icons")
    await client.get_by_label("Description").fill("For an app.\nSVG, please.")
    await client.get_by_label("Budget in dollars").fill("99.50")
    await client.get_by_label("Skills, separated by commas").fill("Design, svg")
    await client.get_by_role("button", name="Post job").click()
    await expect(client.get_by_role("heading", name="Twelve icons")).to_be_visible()
    await expect_toasts(freelancer, "New Job Posted!")
    await job(freelancer, "Twelve icons").get_by_role("link").click()
    await bid(freelancer, "80.25")
    await expect(freelancer.get_by_test_id("own-bid")).to_contain_text("Your bid: $80.25")
    await client.get_by_role("button", name="Hire Felix").click()
    await freelancer.get_by_role("button", name="Accept the job").click()
    await expect(toasts(client).filter(has_text="Twelve icons").first).to_be_visible()
    await freelancer.get_by_role("button", name="Submit the work").click()
    await client.get_by_label("What should change").fill("A darker one.")
    await client.get_by_role("button", name="Ask for changes").click()
    await freelancer.get_by_role("button", name="Submit the work").click()
    await client.get_by_role("button", name="Approve and pay $80.25").click()
    await expect(freelancer.get_by_text("Done and paid.")).to_be_visible()
    await expect(client.get_by_text("Done and paid.")).to_be_visible()
    await freelancer.get_by_role("link", name="Wallet").click()
    await expect(freelancer.get_by_test_id("entries").get_by_role("listitem").first).to_contain_text("+$80.25")


async def test_job_list_is_live_and_a_hired_job_leaves_it(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client"), await hub.signup("freelancer")
    page = await open_page(felix)
    await expect(page.get_by_text("No jobs match")).to_be_visible()
    posted = await post_job(hub, carla, "Twelve icons")
    await expect(job(page, "Twelve icons")).to_contain_text("$1,200")
    await hire(hub, carla, await place_bid(hub, await hub.signup("freelancer"), posted))
    await expect(job(page, "Twelve icons")).to_have_count(0)


async def test_freelancer_gets_toasts_only_for_jobs_with_their_skills(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client"), await hub.signup("freelancer", skills=["python"])
    page = await open_page(felix)
    for title, skills in (("Welding", ("metal",)), ("Scripts", ("SQL", "Python")), ("Anything", ())):
        await post_job(hub, carla, title, skills=skills)
    await expect_toasts(page, "Scripts", "Anything")


async def test_bid_reaches_the_owner_and_can_be_withdrawn_and_repeated(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client"), await hub.signup("freelancer", name="Felix")
    posted = await post_job(hub, carla, "A logo")
    client, freelancer = await open_page(carla), await open_page(felix)
    for page in (client, freelancer):
        await page.goto(f"{hub.url}/jobs/{posted['id']}")
    await bid(freelancer, "850.25")
    await expect(freelancer.get_by_test_id("own-bid")).to_contain_text("Your bid: $850.25")
    offer = client.get_by_test_id("bid")
    await expect(offer).to_contain_text("Felix")
    await expect(offer).to_contain_text("$850.25")
    await expect(client.get_by_test_id("badge")).to_have_text("1")
    await freelancer.get_by_role("button", name="Withdraw").click()
    await expect(freelancer.get_by_test_id("bid-form")).to_be_visible()
    await expect(hires(client)).to_have_count(0)
    await bid(freelancer, "700")
    await expect(hires(client)).to_have_count(1)


async def test_instant_job_goes_to_the_first_freelancer_who_accepts(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client"), await hub.signup("freelancer")
    async with hub.client(carla) as client:
        body = {"title": "Now", "description": "Quick.", "budget": 5_000, "instantAccept": True}
        posted = (await client.post("/api/jobs", json=body)).json()
    page = await open_page(felix)
    await page.goto(f"{hub.url}/jobs/{posted['id']}")
    await page.get_by_role("button", name="Take it for $50").click()
    await expect(page.get_by_role("button", name="Submit the work")).to_be_visible()


async def test_job_is_cancelled_after_confirmation_and_bidders_see_it(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client"), await hub.signup("freelancer")
    posted = await post_job(hub, carla, "A logo")
    await place_bid(hub, felix, posted)
    client, freelancer = await open_page(carla), await open_page(felix)
    await client.goto(f"{hub.url}/jobs/{posted['id']}")
    await client.get_by_role("button", name="Cancel the job").click()
    question = client.get_by_role("dialog", name="Cancel this job?")
    await question.get_by_role("button", name="Keep it").click()
    await expect(question).to_have_count(0)
    await expect(client.get_by_role("button", name="Cancel the job")).to_be_enabled()
    await client.get_by_role("button", name="Cancel the job").click()
    await question.get_by_role("button", name="Cancel the job").click()
    await expect(client.get_by_text("This job was cancelled.")).to_be_visible()
    await expect_toasts(freelancer, "A logo")
    await expect_toasts(client, "A logo")


async def test_one_of_two_simultaneous_acceptances_is_rejected(hub: Hub, open_page: OpenPage, noise: Noise) -> None:
    noise.expect(r"status of 400 .*/status$")
    carla, people = await hub.signup("client"), [await hub.signup("freelancer") for _ in range(2)]
    async with hub.client(carla) as client:
        body = {"title": "Now", "description": "Quick.", "budget": 5_000, "instantAccept": True}
        posted = (await client.post("/api/jobs", json=body)).json()
    pages = [await open_page(who) for who in people]
    for page in pages:
        await page.goto(f"{hub.url}/jobs/{posted['id']}")
        await expect(page.get_by_role("button", name="Take it")).to_be_visible()
    # Neither page receives the other's event before both have sent their request.
    both, asked = asyncio.Barrier(len(pages)), list[Route]()

    async def meet(route: Route) -> None:
        asked.append(route)
        await both.wait()
        await route.continue_()

    for page in pages:
        await page.route("**/api/jobs/*/status", meet)
    await asyncio.gather(*[page.get_by_role("button", name="Take it").click() for page in pages])
    for page in pages:
        mine, late = page.get_by_role("button", name="Submit the work"), page.get_by_text("Gig is no longer open")
        await expect(mine.or_(late).first).to_be_visible()
    assert sorted([await page.get_by_role("button", name="Submit the work").count() for page in pages]) == [0, 1]
    assert len(asked) == len(pages)


async def test_error_stays_visible_when_the_actions_are_replaced(hub: Hub, open_page: OpenPage, noise: Noise) -> None:
    noise.expect(r"status of 400 .*/status$")
    carla, felix, quick = await hub.signup("client"), await hub.signup("freelancer"), await hub.signup("freelancer")
    async with hub.client(carla) as client:
        body = {"title": "Now", "description": "Quick.", "budget": 5_000, "instantAccept": True}
        posted = (await client.post("/api/jobs", json=body)).json()
    page = await open_page(felix)
    await page.goto(f"{hub.url}/jobs/{posted['id']}")

    async def refuse(route: Route) -> None:
        await route.fulfill(status=400, json={"code": "INVALID_STATE", "message": "Somebody was faster."})

    # The response arrives before the event of the other acceptance.
    await page.route("**/api/jobs/*/status", refuse)
    await page.get_by_role("button", name="Take it").click()
    await expect(page.get_by_role("alert").filter(has_text="Somebody was faster.")).to_be_visible()
    async with hub.client(quick) as client:
        answer = await client.patch(f"/api/jobs/{posted['id']}/status", json={"status": "in_progress"})
    assert answer.status_code == 200, answer.text
    await expect(page.get_by_role("button", name="Take it")).to_have_count(0)
    await expect_toasts(page, "Somebody was faster.")


async def test_typed_text_survives_live_updates(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client"), await hub.signup("freelancer")
    posted = await post_job(hub, carla, "A logo")
    page = await open_page(felix)
    await page.goto(f"{hub.url}/jobs/{posted['id']}")
    message = page.get_by_label("Message")
    await message.fill("I would love")
    async with hub.client(carla) as client:
        answer = await client.patch(f"/api/jobs/{posted['id']}", json={"description": "Two colours at most."})
    assert answer.status_code == 200, answer.text
    await expect(page.get_by_text("Two colours at most.")).to_be_visible()
    await place_bid(hub, await hub.signup("freelancer"), posted)
    await expect(page.get_by_role("complementary", name="This job").get_by_role("definition").first).to_have_text("1")
    await expect(message).to_be_focused()
    await expect(message).to_have_value("I would love")


async def test_returning_owner_pays_the_agreed_price_in_any_load_order(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client"), await hub.signup("freelancer")
    posted = await post_job(hub, carla, "A logo")
    await hire(hub, carla, await place_bid(hub, felix, posted, price=80_000))
    async with hub.client(felix) as client:
        for status in ("in_progress", "submitted"):
            answer = await client.patch(f"/api/jobs/{posted['id']}/status", json={"status": status})
            assert answer.status_code == 200, answer.text
    page, shown = await open_page(carla), asyncio.Event()

    async def later(route: Route) -> None:
        await shown.wait()
        await route.continue_()

    await page.route("**/api/jobs/*/bids*", later)
    await page.goto(f"{hub.url}/jobs/{posted['id']}")
    await expect(page.get_by_role("button", name="Approve and pay")).to_be_visible()
    shown.set()
    await expect(page.get_by_role("button", name="Approve and pay $800")).to_be_visible()


async def test_late_hire_shows_its_error_at_the_bid(hub: Hub, open_page: OpenPage, noise: Noise) -> None:
    noise.expect(r"status of 400 .*/hire$")
    noise.expect(r"ERR_FAILED .*/api/realtime/connect")
    carla, first, second = await hub.signup("client"), await hub.signup("freelancer"), await hub.signup("freelancer")
    posted = await post_job(hub, carla, "A logo")
    offers = [await place_bid(hub, freelancer, posted) for freelancer in (first, second)]
    page = await open_page(carla, worker=False)
    # The page no longer receives events.
    await page.route("**/api/realtime/connect*", lambda route: route.abort())
    await page.goto(f"{hub.url}/jobs/{posted['id']}")
    await expect(hires(page)).to_have_count(2)
    await hire(hub, carla, offers[0])
    await page.get_by_role("button", name=f"Hire {second.name}").click()
    late = page.get_by_test_id("bid").filter(has_text=second.name)
    await expect(hires(page)).to_have_count(0)
    await expect(late).to_contain_text("Not chosen")
    await expect_toasts(page, "Gig is no longer open (status: assigned).")


async def test_address_keeps_search_and_filters(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client"), await hub.signup("freelancer")
    await post_job(hub, carla, "A logo")
    page = await open_page(felix)
    await page.get_by_role("combobox", name="Search jobs").fill("logo")
    await page.get_by_label("Budget").select_option("$1,000 to $2,500")
    await expect(page).to_have_url(re.compile(r"/jobs\?q=logo&budget=100000-250000$"))
    await page.reload()
    await expect(page.get_by_role("combobox", name="Search jobs")).to_have_value("logo")
    await page.get_by_label("Budget").select_option("Over $2,500")
    await page.get_by_label("Budget").select_option("Any budget")
    await expect(page).to_have_url(re.compile(r"/jobs\?q=logo$"))


async def test_anonymous_visitor_reads_jobs_and_is_led_to_sign_in(hub: Hub, open_page: OpenPage) -> None:
    carla = await hub.signup("client")
    posted = await post_job(hub, carla, "A logo")
    page = await open_page()
    await page.goto(f"{hub.url}/jobs/{posted['id']}")
    await page.get_by_role("link", name="Sign in to bid").click()
    await expect(page.get_by_label("Email")).to_be_visible()


def job(page: Page, title: str) -> Locator:
    return page.get_by_test_id("job").filter(has=page.get_by_role("heading", name=title))


def hires(page: Page) -> Locator:
    return page.get_by_test_id("hire").filter(visible=True)


def own_bid(page: Page, title: str) -> Locator:
    return page.get_by_test_id("own-bid").filter(has_text=title)


async def bid(page: Page, dollars: str) -> None:
    form = page.get_by_test_id("bid-form")
    await form.get_by_label("Price").fill(dollars)
    await form.get_by_label("Message").fill("Two drafts in a week.")
    await form.get_by_role("button", name="Send bid").click()
