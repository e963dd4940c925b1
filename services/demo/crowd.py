"""Generates the demo crowd from a seed.

The result is a list of steps in order of time; the same seed gives the same steps. `services.demo.steps` replays them.
Needs the extra `demo`.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mimesis import Address, Food
from mimesis import Person as Names
from mimesis.locales import Locale

from services.demo.phrases import BID_MESSAGES, CHANGE_NOTES, COMMENTS, REPLIES, TRADES, Trade
from services.demo.steps import Step
from services.jobs.schemas import JobStatus
from services.schemas import Role
from services.times import DAY_MS, HOUR_MS, MINUTE_MS

CLIENT_COUNT: Final = 70
FREELANCER_COUNT: Final = 160
JOB_COUNT: Final = 320
# The steps lie between these ages. The fixed demo users act after the crowd.
MAX_AGE_MS: Final = 110 * DAY_MS
MIN_AGE_MS: Final = 2 * DAY_MS

_LOCALES: Final = (
    Locale.EN, Locale.EN_GB, Locale.DE, Locale.ES, Locale.FR, Locale.NL, Locale.PL, Locale.SV, Locale.PT_BR, Locale.TR,
    Locale.CS, Locale.FI, Locale.DA, Locale.HR,
)  # fmt: skip
_COMPANY_KINDS: Final = (
    "Bakery", "Bikes", "Books", "Brewery", "Clinic", "Coffee", "Dental", "Farm", "Furniture", "Garden Centre", "Hotel",
    "Joinery", "Law", "Music School", "Optics", "Pottery", "Records", "Travel", "Yoga", "& Daughters", "& Sons",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the crowd. `key` identifies the user in later steps; `joined_at` is in ms."""

    key: str
    name: str
    role: Role
    trade: Trade
    skills: list[str]
    joined_at: int


class TextGenerator:
    """Generates names and fills the placeholders of text templates, with its own generators seeded by `dice`."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        seed = dice.randrange(2**31)
        self._names = [Names(locale, seed=seed + index) for index, locale in enumerate(_LOCALES)]
        self._addresses = [Address(locale, seed=seed + index) for index, locale in enumerate(_LOCALES)]
        self._food = Food(Locale.EN, seed=seed)

    def full_name(self) -> str:
        """Return a first and last name."""
        return self._dice.choice(self._names).full_name()

    def fill(self, template: str) -> str:
        """Return the template with its placeholders filled."""
        return template.format(
            company=f"{self._dice.choice(self._names).last_name()} {self._dice.choice(_COMPANY_KINDS)}",
            city=self._dice.choice(self._addresses).city(),
            dish=self._food.dish().lower(),
            language=self._names[0].language(),
        )

    def job(self, trade: Trade) -> dict[str, Any]:
        """Return the fields of a job of this trade. The budget is a round amount, in minor units."""
        low, high = trade.price_range
        price = min(high, low * (high / low) ** self._dice.betavariate(2, 3))
        return {
            "title": self.fill(self._dice.choice(trade.titles))[:120],
            "description": self.fill(self._dice.choice(trade.descriptions)),
            "budget": max(low, round(price / 10) * 10) * 100,
            "category": trade.category,
            "skills": self._dice.sample(trade.skills, self._dice.randint(1, 3)),
        }

    def bid(self, budget: int) -> dict[str, Any]:
        """Return the message and price of a bid; some prices are above the budget."""
        price = round(budget * self._dice.uniform(0.75, 1.05) / 1_000) * 1_000
        return {"message": self.fill(self._dice.choice(BID_MESSAGES)), "price": max(1_000, price)}


def generate_steps(*, now: int, currency: str, seed: int = 1) -> list[Step]:
    """Return all steps of the crowd before `now` (ms), oldest first."""
    dice = random.Random(seed)  # noqa: S311  # not a secret
    texts = TextGenerator(dice)
    clients = [_person(dice, texts, "client", number, now) for number in range(CLIENT_COUNT)]
    freelancers = [_person(dice, texts, "freelancer", number, now) for number in range(FREELANCER_COUNT)]
    job_steps: list[Step] = []
    spent = dict.fromkeys((client.key for client in clients), 0)
    for number in range(JOB_COUNT):
        owner = dice.choice(clients)
        at = dice.randrange(owner.joined_at + HOUR_MS, now - MIN_AGE_MS)
        steps = list(_job_steps(dice, texts, f"job-{number}", owner, freelancers, at, currency))
        spent[owner.key] += max(step.arguments.get("price", step.arguments.get("budget", 0)) for step in steps)
        job_steps += steps
    registrations = [_registration(person, spent.get(person.key, 0)) for person in (*clients, *freelancers)]
    steps = [step for step in (*registrations, *job_steps) if step.at < now - MIN_AGE_MS]
    return sorted(steps, key=lambda step: step.at)


def _person(dice: random.Random, texts: TextGenerator, role: Role, number: int, now: int) -> Person:
    trade = dice.choice(TRADES)
    skills = dice.sample(trade.skills, dice.randint(2, 4)) if role == "freelancer" else []
    joined_at = now - MAX_AGE_MS + round(MAX_AGE_MS * 0.7 * dice.random() ** 2)
    return Person(f"{role}-{number}", texts.full_name(), role, trade, skills, joined_at)


def _registration(person: Person, spent: int) -> Step:
    # The opening balance is a quarter more than the person's jobs cost.
    arguments = {"name": person.name, "role": person.role, "skills": person.skills, "balance": spent + spent // 4}
    return Step(at=person.joined_at, action="register", actor=person.key, creates=person.key, arguments=arguments)


def _job_steps(
    dice: random.Random,
    texts: TextGenerator,
    job: str,
    owner: Person,
    freelancers: Sequence[Person],
    at: int,
    currency: str,
) -> Iterator[Step]:
    """Yield the steps of one job, from posting it to completing or cancelling it."""
    trade = dice.choice((owner.trade, *TRADES))
    fields = texts.job(trade) | {"currency": currency}
    yield Step(at=at, action="post", actor=owner.key, creates=job, arguments=fields)
    candidates = [person for person in freelancers if person.joined_at < at and person.trade is trade]
    bidders = dice.sample(candidates, min(len(candidates), dice.randrange(7)))
    yield from _comment_steps(dice, texts, job, owner, bidders, at)
    last_bid_at = at
    for number, bidder in enumerate(bidders):
        bid_at = at + round(dice.expovariate(1 / (9 * HOUR_MS))) + MINUTE_MS
        last_bid_at = max(last_bid_at, bid_at)
        bid, arguments = f"{job}-bid-{number}", texts.bid(fields["budget"])
        yield Step(at=bid_at, action="bid", actor=bidder.key, target=job, creates=bid, arguments=arguments)
    if not bidders or dice.random() < 0.12:
        if dice.random() < 0.6:
            yield _status_change(last_bid_at + dice.randrange(5 * DAY_MS, 15 * DAY_MS), owner, job, "cancelled")
        return
    hired = dice.randrange(len(bidders))
    hired_at = last_bid_at + dice.randrange(HOUR_MS, 3 * DAY_MS)
    yield Step(at=hired_at, action="hire", actor=owner.key, target=f"{job}-bid-{hired}")
    yield from _work_steps(dice, texts, job, owner, bidders[hired], hired_at)


def _work_steps(
    dice: random.Random, texts: TextGenerator, job: str, owner: Person, freelancer: Person, hired_at: int
) -> Iterator[Step]:
    at = hired_at + dice.randrange(20 * MINUTE_MS, DAY_MS)
    if dice.random() < 0.05:
        yield _status_change(at, freelancer, job, "cancelled")
        return
    yield _status_change(at, freelancer, job, "in_progress")
    at += dice.randrange(DAY_MS, 12 * DAY_MS)
    yield _status_change(at, freelancer, job, "submitted")
    if dice.random() < 0.15:
        at += dice.randrange(HOUR_MS, DAY_MS)
        yield _status_change(at, owner, job, "in_progress", note=texts.fill(dice.choice(CHANGE_NOTES)))
        at += dice.randrange(3 * HOUR_MS, 3 * DAY_MS)
        yield _status_change(at, freelancer, job, "submitted")
    yield _status_change(at + dice.randrange(HOUR_MS, 4 * DAY_MS), owner, job, "completed")


def _comment_steps(
    dice: random.Random, texts: TextGenerator, job: str, owner: Person, bidders: Sequence[Person], at: int
) -> Iterator[Step]:
    for bidder in bidders[: dice.randrange(3)]:
        at += dice.randrange(20 * MINUTE_MS, 8 * HOUR_MS)
        yield _comment(at, bidder, job, texts.fill(dice.choice(COMMENTS)))
        if dice.random() < 0.7:
            at += dice.randrange(10 * MINUTE_MS, 5 * HOUR_MS)
            yield _comment(at, owner, job, texts.fill(dice.choice(REPLIES)))


def _comment(at: int, author: Person, job: str, text: str) -> Step:
    return Step(at=at, action="comment", actor=author.key, target=job, arguments={"text": text})


def _status_change(at: int, actor: Person, job: str, target: JobStatus, **arguments: str) -> Step:
    return Step(at=at, action="change status", actor=actor.key, target=job, arguments={"target": target, **arguments})
