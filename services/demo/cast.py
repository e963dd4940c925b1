"""The people, jobs and bids of the demo: what they are called, what they say, and how long ago it was."""

from dataclasses import dataclass
from unicodedata import normalize

from services.schemas import Role


@dataclass(frozen=True, slots=True)
class DemoPerson:
    """A demo user."""

    name: str
    role: Role
    skills: tuple[str, ...] = ()

    @property
    def email(self) -> str:
        """Their first name without accents, at a domain that can never receive mail (RFC 2606)."""
        plain = normalize("NFKD", self.name.partition(" ")[0]).encode("ascii", "ignore").decode()
        return f"{plain.lower()}@demo.example"


@dataclass(frozen=True, slots=True)
class DemoBid:
    """A bid on a demo job; `price` in cents."""

    freelancer: str
    hours_ago: float
    price: int
    message: str


@dataclass(frozen=True, slots=True)
class DemoJob:
    """A demo job; `owner`, `by` and `hired` are first names, `budget` in cents."""

    owner: str
    hours_ago: float
    title: str
    description: str
    budget: int
    category: str
    skills: tuple[str, ...]
    bids: tuple[DemoBid, ...] = ()
    hired: str | None = None


PEOPLE = (
    DemoPerson("Maya Lindqvist", "client"),
    DemoPerson("Tomás Herrera", "client"),
    DemoPerson("Priya Raman", "client"),
    DemoPerson("Jonas Weber", "client"),
    DemoPerson("Amara Okafor", "freelancer", ("python", "postgresql", "api design")),
    DemoPerson("Luca Ferri", "freelancer", ("javascript", "css", "accessibility")),
    DemoPerson("Hana Sato", "freelancer", ("illustration", "branding", "figma")),
    DemoPerson("Dmitri Volkov", "freelancer", ("devops", "linux", "postgresql")),
    DemoPerson("Chloé Martin", "freelancer", ("copywriting", "translation", "french")),
    DemoPerson("Kwame Mensah", "freelancer", ("photography", "video editing")),
    DemoPerson("Sofia Novak", "freelancer", ("data analysis", "python", "excel")),
    DemoPerson("Robin Ekström", "admin"),
)

# Who talks: an owner, whom they hired, and somebody who asks; by first name.
CONVERSATION_MEMBERS = ("Tomás", "Hana", "Luca")

JOBS = (
    DemoJob(
        "Tomás",
        46,
        "Logo and colours for a neighbourhood bakery",
        "We open in six weeks and have a name, an oven and no logo.\nOne logo, two colours, usable on a paper bag.",
        60_000,
        "Design",
        ("branding", "illustration"),
        (
            DemoBid(
                "Hana", 44, 58_000, "I have drawn for two cafés in town; sketches on Thursday, files a week later."
            ),
            DemoBid("Luca", 43, 45_000, "Happy to do a simple word mark that also works on the web."),
        ),
        hired="Hana",
    ),
    DemoJob(
        "Maya",
        40,
        "Move our shop's orders from spreadsheets to a database",
        "Four years of orders in eleven spreadsheets. We want one PostgreSQL database and a page that lists them.",
        240_000,
        "Software",
        ("python", "postgresql"),
        (
            DemoBid(
                "Amara", 38, 230_000, "I would import them in a day, agree on the odd rows with you, then build it."
            ),
            DemoBid("Dmitri", 37.5, 250_000, "Database, backups and a small server included; I have done this before."),
            DemoBid("Sofia", 30, 190_000, "The cleaning is the work here, and cleaning data is what I do all week."),
        ),
    ),
    DemoJob(
        "Priya",
        33,
        "Product photos of 40 ceramic pieces",
        "White background, two angles each. Pieces can be brought to your studio.",
        85_000,
        "Photography",
        ("photography",),
        (DemoBid("Kwame", 31, 80_000, "Two days in my studio, retouched files the week after."),),
    ),
    DemoJob(
        "Jonas",
        28,
        "Translate our handbook into French",
        "62 pages, plain language, a glossary exists. Sworn translation is not needed.",
        140_000,
        "Writing",
        ("translation", "french"),
        (DemoBid("Chloé", 27, 135_000, "Native speaker; a chapter a day, and I will keep your glossary up to date."),),
    ),
    DemoJob(
        "Maya",
        22,
        "Make our booking page usable with a keyboard",
        "A customer wrote that she cannot book without a mouse. Find what is wrong and mend it.",
        70_000,
        "Software",
        ("javascript", "accessibility"),
        (
            DemoBid("Luca", 21, 70_000, "I test with a screen reader as well and hand over a short report."),
            DemoBid("Amara", 20, 75_000, "I can do this next week, with tests that keep it that way."),
        ),
    ),
    DemoJob(
        "Priya",
        17,
        "A dashboard of last year's sales",
        "Monthly revenue by product and shop; we have CSV exports. Something our accountant can open.",
        90_000,
        "Data",
        ("data analysis", "excel"),
        (DemoBid("Sofia", 15, 88_000, "A workbook with pivots, and the script that refreshes it."),),
    ),
    DemoJob(
        "Tomás",
        11,
        "Two-minute film about our bakery",
        "Morning shift, first customers, bread. For the website and for social media.",
        120_000,
        "Video",
        ("video editing",),
        (DemoBid("Kwame", 9, 115_000, "One morning of filming and two rounds of changes."),),
    ),
    DemoJob(
        "Jonas",
        6,
        "Backups and monitoring for three small servers",
        "Debian, nginx, PostgreSQL. We want to sleep at night.",
        110_000,
        "Operations",
        ("linux", "devops"),
        (DemoBid("Dmitri", 5, 105_000, "Daily backups with a restore that is tested every week, and alerts by mail."),),
    ),
    DemoJob(
        "Maya",
        3,
        "Rewrite our terms so that people understand them",
        "Nine pages of terms from 2014. Our lawyer will check the result.",
        65_000,
        "Writing",
        ("copywriting",),
    ),
    DemoJob(
        "Priya",
        1,
        "Icons for our app, 24 of them",
        "Line icons on a 24 px grid, SVG. The list and our colours are ready.",
        48_000,
        "Design",
        ("illustration", "figma"),
    ),
)
