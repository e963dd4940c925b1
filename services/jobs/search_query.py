"""How lists of jobs are found: what is wanted, as one expression of the FTS5 index, which nothing typed gets out of.

The seam for PostgreSQL: there, `expression` makes a tsquery over a tsvector with the same words and facets.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import ColumnElement, Connection, ScalarSelect, bindparam, select

from services import limits
from services import text as services_text
from services.jobs.schemas import JobStatus
from services.tables import job_terms
from services.tables.job_search import BUDGET, STATUS

# What the index's tokenizer makes words of. Where the two disagree, a word is a phrase to FTS5, and found all the same.
# Accents of their own, where no letter has them in it, are part of words.
_WORD: Final = re.compile(r"[^\W_](?:[^\W_]|[\u0300-\u036f])*")
# The length of the beginnings that the index keeps: shorter ones are whole words.
_KEPT: Final = 3
# A longer beginning is looked up as the words that begin so, if they are few; each of them costs 30 µs.
_FEW: Final = 64

_term = job_terms.c.term


def _first_from(least: ColumnElement[str]) -> ScalarSelect[str]:
    """The index's first word from `least` on that begins as it should."""
    found = select(_term).where(_term >= least, _term < bindparam("beyond"))
    return found.limit(1).scalar_subquery()


# From word to word, one seek each: there is no list of them alone, only of each place where one is written. In one
# statement, because each statement costs something beside SQLite. No word has a control character in it.
_step = select(_first_from(bindparam("least")).label("term")).cte("step", recursive=True)
_step = _step.union_all(select(_first_from(_step.c.term + "\x01")).where(_step.c.term.is_not(None)))
_TERMS = select(_step.c.term).where(_step.c.term.is_not(None)).limit(_FEW + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """What a list is narrowed by: a job has any of `skills`, every word of `text`; budgets are in minor units."""

    status: JobStatus | None = None
    category: str | None = None
    owner_id: str | None = None
    skills: Sequence[str] = ()
    min_budget: int | None = None
    max_budget: int | None = None
    text: str | None = None


def build_expression(tx: Connection, wanted: JobFilter) -> str | None:
    """The FTS5 expression that finds the jobs wanted, deleted ones never; None where nothing can be found."""
    facets = [_quoted("all")]
    if wanted.status is not None:
        facets.append(_quoted(STATUS + wanted.status.replace("_", "")))
    if wanted.category is not None:
        facets.append(_quoted("c" + _hex(services_text.normalize_nfc(wanted.category))))
    if wanted.owner_id is not None:
        facets.append(_quoted("o" + wanted.owner_id.replace("-", "")))
    if wanted.skills:
        facets.append(
            _any(
                "k" + _hex(spelling)
                for skill in wanted.skills
                for spelling in _spellings(services_text.normalize_nfc(skill))
            )
        )
    if wanted.min_budget is not None or wanted.max_budget is not None:
        most = limits.AMOUNT if wanted.max_budget is None else wanted.max_budget
        budgets = list(_budgets(max(1, wanted.min_budget or 1), most))
        if not budgets:
            return None
        facets.append(_any(budgets))
    found = f"facets : ({' AND '.join(facets)})"
    if wanted.text is None:
        return found
    words = words_expression(tx, wanted.text)
    return None if words is None else f"{{title description skills}} : ({words}) AND {found}"


def words_expression(tx: Connection, text: str) -> str | None:
    """Every word of `text`, the last one as a beginning too; None where there is no word in it."""
    words = _WORD.findall(services_text.normalize_nfc(text))
    if not words:
        return None
    return " AND ".join([*(_quoted(word) for word in words[:-1]), _beginning(tx, words[-1])])


def prefix_expression(words: str, column: Literal["title"]) -> str:
    """The open jobs that have these words in a column."""
    return f'{column} : ({words}) AND facets : "{STATUS}open"'


def _beginning(tx: Connection, word: str) -> str:
    """Words that begin so. FTS5 itself would read and sort all their jobs, which takes long where there are many."""
    if len(word) < _KEPT:
        return _quoted(word)
    if len(word) > _KEPT and word.isascii():
        terms = _terms(tx, word.lower())
        if 0 < len(terms) <= _FEW:
            return _any(terms)
    return _quoted(word) + "*"


def _terms(tx: Connection, beginning: str) -> list[str]:
    """The index's words that begin so, one more than `_FEW` at most."""
    asked = {"least": beginning, "beyond": beginning + chr(0x10FFFF)}
    return list(tx.execute(_TERMS, asked).scalars())


def _budgets(least: int, most: int) -> Iterator[str]:
    """The facets that the budgets from `least` to `most` have and no others, some ten for each octal digit."""
    for length in range(len(f"{least:o}"), len(f"{most:o}") + 1):
        low, high = max(least, 8 ** (length - 1)), min(most, 8**length - 1)
        letter = chr(96 + length)
        if (low, high) == (8 ** (length - 1), 8**length - 1):
            yield f"{BUDGET}{letter}"
            continue
        while low <= high:
            spare = 0
            while low % 8 ** (spare + 1) == 0 and low + 8 ** (spare + 1) - 1 <= high:
                spare += 1
            yield f"{BUDGET}{letter}{low:o}"[: 2 + length - spare]
            low += 8**spare


def _spellings(skill: str) -> Iterable[str]:
    """What the index may have of a skill, whose `lower` knows the 26 letters; of others, the usual spellings."""
    spellings = (skill, skill.lower(), skill.upper(), skill.title(), skill.capitalize())
    return dict.fromkeys(_lower(spelling) for spelling in spellings)


def _lower(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def _hex(text: str) -> str:
    return text.encode().hex()


def _any(words: Iterable[str]) -> str:
    return "(" + " OR ".join(_quoted(word) for word in words) + ")"


def _quoted(word: str) -> str:
    """A word as an FTS5 string; what is used here has no quotation marks in it, and would do no harm."""
    return '"' + word.replace('"', '""') + '"'
