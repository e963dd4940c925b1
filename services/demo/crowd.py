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

from services.demo.phrases import BID_MESSAGES, CHANGE_NOTES, COMMENTS, REPLIES, TRADES, Trade
from services.demo.steps import Step
from services.jobs.schemas import JobStatus
from services.schemas import Role
from services.times import DAY_MS, HOUR_MS, MINUTE_MS

CLIENT_COUNT: Final = 70
FREELANCER_COUNT: Final = 160
JOB_COUNT: Final = 320
# How far back the market reaches, and how long before now it falls silent for the story of the few who can sign in.
MAX_AGE_MS: Final = 110 * DAY_MS
MIN_AGE_MS: Final = 2 * DAY_MS

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

    def full_name(self) -> str:
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
        """A bid's words and its price, now and then above the budget."""
        price = round(budget * self._dice.uniform(0.75, 1.05) / 1_000) * 1_000
        return {"message": self.fill(self._dice.choice(BID_MESSAGES)), "price": max(1_000, price)}


def generate_steps(*, now: int, currency: str, seed: int = 1) -> list[Step]:
    """The whole crowd's doings before `now` (ms), the oldest first."""
    dice = random.Random(seed)  # noqa: S311  # no secret
    words = TextGenerator(dice)
    clients = [_someone(dice, words, "client", number, now) for number in range(CLIENT_COUNT)]
    freelancers = [_someone(dice, words, "freelancer", number, now) for number in range(FREELANCER_COUNT)]
    lives: list[Step] = []
    spent = dict.fromkeys((client.key for client in clients), 0)
    for number in range(JOB_COUNT):
        owner = dice.choice(clients)
        at = dice.randrange(owner.since + HOUR_MS, now - MIN_AGE_MS)
        life = list(_life(dice, words, f"job-{number}", owner, freelancers, at, currency))
        spent[owner.key] += max(step.arguments.get("price", step.arguments.get("budget", 0)) for step in life)
        lives += life
    joins = [_join(one, spent.get(one.key, 0)) for one in (*clients, *freelancers)]
    # What has not happened yet does not happen; of the last two days the story tells.
    return sorted((step for step in (*joins, *lives) if step.at < now - MIN_AGE_MS), key=lambda step: step.at)


def _someone(dice: random.Random, words: TextGenerator, role: Role, number: int, now: int) -> Person:
    trade = dice.choice(TRADES)
    skills = dice.sample(trade.skills, dice.randint(2, 4)) if role == "freelancer" else []
    since = now - MAX_AGE_MS + round(MAX_AGE_MS * 0.7 * dice.random() ** 2)
    return Person(f"{role}-{number}", words.full_name(), role, trade, skills, since)


def _join(one: Person, money: int) -> Step:
    # A little more than all their jobs will cost.
    about = {"name": one.name, "role": one.role, "skills": one.skills, "money": money + money // 4}
    return Step(at=one.since, action="join", actor=one.key, creates=one.key, arguments=about)


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
    yield Step(at=at, action="post", actor=owner.key, creates=job, arguments=about)
    able = [one for one in freelancers if one.since < at and one.trade is trade]
    bidders = dice.sample(able, min(len(able), dice.randrange(7)))
    yield from _talk(dice, words, job, owner, bidders, at)
    decided = at
    for number, one in enumerate(bidders):
        when = at + round(dice.expovariate(1 / (9 * HOUR_MS))) + MINUTE_MS
        decided = max(decided, when)
        yield Step(
            at=when, action="bid", actor=one.key, target=job, creates=f"{job}-bid-{number}", arguments=words.bid(about["budget"])
        )
    if not bidders or dice.random() < 0.12:
        if dice.random() < 0.6:
            yield _move(decided + dice.randrange(5 * DAY_MS, 15 * DAY_MS), owner, job, "cancelled")
        return
    winner = dice.randrange(len(bidders))
    hired = decided + dice.randrange(HOUR_MS, 3 * DAY_MS)
    yield Step(at=hired, action="hire", actor=owner.key, target=f"{job}-bid-{winner}")
    yield from _work(dice, words, job, owner, bidders[winner], hired)


def _work(
    dice: random.Random, words: TextGenerator, job: str, owner: Person, worker: Person, hired: int
) -> Iterator[Step]:
    at = hired + dice.randrange(20 * MINUTE_MS, DAY_MS)
    if dice.random() < 0.05:
        yield _move(at, worker, job, "cancelled")
        return
    yield _move(at, worker, job, "in_progress")
    at += dice.randrange(DAY_MS, 12 * DAY_MS)
    yield _move(at, worker, job, "submitted")
    if dice.random() < 0.15:
        at += dice.randrange(HOUR_MS, DAY_MS)
        yield _move(at, owner, job, "in_progress", note=words.fill(dice.choice(CHANGE_NOTES)))
        at += dice.randrange(3 * HOUR_MS, 3 * DAY_MS)
        yield _move(at, worker, job, "submitted")
    yield _move(at + dice.randrange(HOUR_MS, 4 * DAY_MS), owner, job, "completed")


def _talk(
    dice: random.Random, words: TextGenerator, job: str, owner: Person, bidders: Sequence[Person], at: int
) -> Iterator[Step]:
    for one in bidders[: dice.randrange(3)]:
        at += dice.randrange(20 * MINUTE_MS, 8 * HOUR_MS)
        yield Step(at=at, action="comment", actor=one.key, target=job, arguments={"text": words.fill(dice.choice(COMMENTS))})
        if dice.random() < 0.7:
            at += dice.randrange(10 * MINUTE_MS, 5 * HOUR_MS)
            yield Step(at=at, action="comment", actor=owner.key, target=job, arguments={"text": words.fill(dice.choice(REPLIES))})


def _move(at: int, by: Person, job: str, target: JobStatus, **more: str) -> Step:
    return Step(at=at, action="move", actor=by.key, target=job, arguments={"target": target, **more})
