"""Makes up the demo's crowd: who joins, what they post, bid, do and say, and when; the same for the same seed.

Everything is a step in the order of time, so that what is made later sorts later, and each is done by the unit of
work that serves real people. Needs the extra `demo`.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mimesis import Address, Food
from mimesis import Person as Names
from mimesis.locales import Locale

from services.demo.phrases import COMMENTS, NOTES, OFFERS, REPLIES, TRADES, Trade
from services.demo.steps import Step
from services.jobs.schemas import JobStatus
from services.schemas import Role
from services.times import DAY, HOUR, MINUTE

CLIENTS: Final = 70
FREELANCERS: Final = 160
JOBS: Final = 320
# How far back the market reaches, and how long before now it falls silent for the story of the few who can sign in.
REACH: Final = 110 * DAY
SILENCE: Final = 2 * DAY

_LOCALES: Final = (
    Locale.EN, Locale.EN_GB, Locale.DE, Locale.ES, Locale.FR, Locale.NL, Locale.PL, Locale.SV, Locale.PT_BR, Locale.TR,
    Locale.CS, Locale.FI, Locale.DA, Locale.HR,
)  # fmt: skip
_KINDS: Final = (
    "Bakery", "Bikes", "Books", "Brewery", "Clinic", "Coffee", "Dental", "Farm", "Furniture", "Garden Centre", "Hotel",
    "Joinery", "Law", "Music School", "Optics", "Pottery", "Records", "Travel", "Yoga", "& Daughters", "& Sons",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the crowd, by the key that later steps name them with."""

    key: str
    name: str
    role: Role
    trade: Trade
    skills: list[str]
    since: int


class TextGenerator:
    """Fills the gaps of the words, from a generator of its own."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        seed = dice.randrange(2**31)
        self._names = [Names(locale, seed=seed + at) for at, locale in enumerate(_LOCALES)]
        self._places = [Address(locale, seed=seed + at) for at, locale in enumerate(_LOCALES)]
        self._food = Food(Locale.EN, seed=seed)

    def name(self) -> str:
        """Somebody's full name."""
        return self._dice.choice(self._names).full_name()

    def fill(self, text: str) -> str:
        """The text without gaps."""
        return text.format(
            company=f"{self._dice.choice(self._names).last_name()} {self._dice.choice(_KINDS)}",
            city=self._dice.choice(self._places).city(),
            dish=self._food.dish().lower(),
            language=self._names[0].language(),
        )

    def job(self, trade: Trade) -> dict[str, Any]:
        """What a job of this trade says of itself; the budget in minor units, and round as people make them."""
        low, high = trade.prices
        price = min(high, low * (high / low) ** self._dice.betavariate(2, 3))
        return {
            "title": self.fill(self._dice.choice(trade.titles))[:120],
            "description": self.fill(self._dice.choice(trade.briefs)),
            "budget": max(low, round(price / 10) * 10) * 100,
            "category": trade.category,
            "skills": self._dice.sample(trade.skills, self._dice.randint(1, 3)),
        }

    def offer(self, budget: int) -> dict[str, Any]:
        """A bid's words and its price, now and then above the budget."""
        price = round(budget * self._dice.uniform(0.75, 1.05) / 1_000) * 1_000
        return {"message": self.fill(self._dice.choice(OFFERS)), "price": max(1_000, price)}


def steps(*, now: int, currency: str, seed: int = 1) -> list[Step]:
    """The whole crowd's doings before `now` (ms), the oldest first."""
    dice = random.Random(seed)  # noqa: S311  # no secret
    words = TextGenerator(dice)
    clients = [_someone(dice, words, "client", number, now) for number in range(CLIENTS)]
    freelancers = [_someone(dice, words, "freelancer", number, now) for number in range(FREELANCERS)]
    lives: list[Step] = []
    spent = dict.fromkeys((client.key for client in clients), 0)
    for number in range(JOBS):
        owner = dice.choice(clients)
        at = dice.randrange(owner.since + HOUR, now - SILENCE)
        life = list(_life(dice, words, f"job-{number}", owner, freelancers, at, currency))
        spent[owner.key] += max(step.about.get("price", step.about.get("budget", 0)) for step in life)
        lives += life
    joins = [_join(one, spent.get(one.key, 0)) for one in (*clients, *freelancers)]
    # What has not happened yet does not happen; of the last two days the story tells.
    return sorted((step for step in (*joins, *lives) if step.at < now - SILENCE), key=lambda step: step.at)


def _someone(dice: random.Random, words: TextGenerator, role: Role, number: int, now: int) -> Person:
    trade = dice.choice(TRADES)
    skills = dice.sample(trade.skills, dice.randint(2, 4)) if role == "freelancer" else []
    since = now - REACH + round(REACH * 0.7 * dice.random() ** 2)
    return Person(f"{role}-{number}", words.name(), role, trade, skills, since)


def _join(one: Person, money: int) -> Step:
    # A little more than all their jobs will cost.
    about = {"name": one.name, "role": one.role, "skills": one.skills, "money": money + money // 4}
    return Step(at=one.since, act="join", by=one.key, makes=one.key, about=about)


def _life(
    dice: random.Random,
    words: TextGenerator,
    job: str,
    owner: Person,
    freelancers: Sequence[Person],
    at: int,
    currency: str,
) -> Iterator[Step]:
    """One job from its posting to its end, or to where it still is."""
    trade = dice.choice((owner.trade, *TRADES))
    about = words.job(trade) | {"currency": currency}
    yield Step(at=at, act="post", by=owner.key, makes=job, about=about)
    able = [one for one in freelancers if one.since < at and one.trade is trade]
    bidders = dice.sample(able, min(len(able), dice.randrange(7)))
    yield from _talk(dice, words, job, owner, bidders, at)
    decided = at
    for number, one in enumerate(bidders):
        when = at + round(dice.expovariate(1 / (9 * HOUR))) + MINUTE
        decided = max(decided, when)
        yield Step(
            at=when, act="bid", by=one.key, on=job, makes=f"{job}-bid-{number}", about=words.offer(about["budget"])
        )
    if not bidders or dice.random() < 0.12:
        if dice.random() < 0.6:
            yield _move(decided + dice.randrange(5 * DAY, 15 * DAY), owner, job, "cancelled")
        return
    winner = dice.randrange(len(bidders))
    hired = decided + dice.randrange(HOUR, 3 * DAY)
    yield Step(at=hired, act="hire", by=owner.key, on=f"{job}-bid-{winner}")
    yield from _work(dice, words, job, owner, bidders[winner], hired)


def _work(
    dice: random.Random, words: TextGenerator, job: str, owner: Person, worker: Person, hired: int
) -> Iterator[Step]:
    at = hired + dice.randrange(20 * MINUTE, DAY)
    if dice.random() < 0.05:
        yield _move(at, worker, job, "cancelled")
        return
    yield _move(at, worker, job, "in_progress")
    at += dice.randrange(DAY, 12 * DAY)
    yield _move(at, worker, job, "submitted")
    if dice.random() < 0.15:
        at += dice.randrange(HOUR, DAY)
        yield _move(at, owner, job, "in_progress", note=words.fill(dice.choice(NOTES)))
        at += dice.randrange(3 * HOUR, 3 * DAY)
        yield _move(at, worker, job, "submitted")
    yield _move(at + dice.randrange(HOUR, 4 * DAY), owner, job, "completed")


def _talk(
    dice: random.Random, words: TextGenerator, job: str, owner: Person, bidders: Sequence[Person], at: int
) -> Iterator[Step]:
    for one in bidders[: dice.randrange(3)]:
        at += dice.randrange(20 * MINUTE, 8 * HOUR)
        yield Step(at=at, act="comment", by=one.key, on=job, about={"text": words.fill(dice.choice(COMMENTS))})
        if dice.random() < 0.7:
            at += dice.randrange(10 * MINUTE, 5 * HOUR)
            yield Step(at=at, act="comment", by=owner.key, on=job, about={"text": words.fill(dice.choice(REPLIES))})


def _move(at: int, by: Person, job: str, target: JobStatus, **more: str) -> Step:
    return Step(at=at, act="move", by=by.key, on=job, about={"target": target, **more})
