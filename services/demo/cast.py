"""The fixed demo users, jobs and bids."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unicodedata import normalize

import msgspec

from services.schemas import Role


@dataclass(frozen=True, slots=True)
class DemoPerson:
    """A demo user."""

    name: str
    role: Role
    skills: tuple[str, ...] = ()

    @property
    def first_name(self) -> str:
        """The name that bids, jobs and conversations refer to."""
        return self.name.partition(" ")[0]

    @property
    def email(self) -> str:
        """The first name without accents, at a domain that can never receive mail (RFC 2606)."""
        ascii_name = normalize("NFKD", self.first_name).encode("ascii", "ignore").decode()
        return f"{ascii_name.lower()}@demo.example"


@dataclass(frozen=True, slots=True)
class DemoBid:
    """A bid on a demo job. `freelancer` is a first name, `price` is in cents."""

    freelancer: str
    hours_ago: float
    price: int
    message: str


@dataclass(frozen=True, slots=True)
class DemoJob:
    """A demo job. `owner` and `hired` are first names, `budget` is in cents."""

    owner: str
    hours_ago: float
    title: str
    description: str
    budget: int
    category: str
    skills: tuple[str, ...]
    bids: tuple[DemoBid, ...] = ()
    hired: str | None = None


@dataclass(frozen=True, slots=True)
class _Cast:
    people: tuple[DemoPerson, ...]
    conversation_members: tuple[str, str, str]
    jobs: tuple[DemoJob, ...]


_CAST: Final = msgspec.json.decode((Path(__file__).parent / "data" / "cast.json").read_bytes(), type=_Cast)

PEOPLE: Final = _CAST.people
# First names: an owner, the freelancer they hired, and a freelancer with a question.
CONVERSATION_MEMBERS: Final = _CAST.conversation_members
JOBS: Final = _CAST.jobs
