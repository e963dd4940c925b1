"""Builds the full-text search expression of a job list.

An expression is one FTS5 query with the words and filters of the list; typed text cannot add operators to it. For
PostgreSQL, `build_expression` would return a tsquery with the same words and facets.
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

# What the tokenizer of the index treats as a word. Where the two differ, FTS5 reads the word as a phrase, which finds
# the same jobs. Combining accents without a precomposed letter are part of a word.
_WORD: Final = re.compile(r"[^\W_](?:[^\W_]|[\u0300-\u036f])*")
# The index stores prefixes of this length. Shorter words match whole words only.
_INDEXED_PREFIX_LENGTH: Final = 3
# A longer prefix is replaced by the words that begin with it, up to this number. Each of them costs 30 µs.
_MAX_PREFIX_TERMS: Final = 64

_term = job_terms.c.term


def _first_term_from(lower_bound: ColumnElement[str]) -> ScalarSelect[str]:
    """Select the first term that is not below the bound and begins with the prefix."""
    terms = select(_term).where(_term >= lower_bound, _term < bindparam("prefix_end"))
    return terms.limit(1).scalar_subquery()


# A recursive query that seeks from each term to the next, because `job_terms` has one row per occurrence of a term.
# One statement, because each statement has a fixed cost. No term contains a control character.
_step = select(_first_term_from(bindparam("prefix")).label("term")).cte("step", recursive=True)
_step = _step.union_all(select(_first_term_from(_step.c.term + "\x01")).where(_step.c.term.is_not(None)))
_TERMS = select(_step.c.term).where(_step.c.term.is_not(None)).limit(_MAX_PREFIX_TERMS + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """The filter of a job list. A job matches any of `skills` and all words of `text`; budgets are in minor units."""

    status: JobStatus | None = None
    category: str | None = None
    owner_id: str | None = None
    skills: Sequence[str] = ()
    min_budget: int | None = None
    max_budget: int | None = None
    text: str | None = None


def build_expression(tx: Connection, job_filter: JobFilter) -> str | None:
    """Return the FTS5 expression that matches the filter, without deleted jobs; None if no job can match."""
    facets = [_quoted("all")]
    if job_filter.status is not None:
        facets.append(_quoted(STATUS + job_filter.status.replace("_", "")))
    if job_filter.category is not None:
        facets.append(_quoted("c" + _hex(services_text.normalize_nfc(job_filter.category))))
    if job_filter.owner_id is not None:
        facets.append(_quoted("o" + job_filter.owner_id.replace("-", "")))
    if job_filter.skills:
        facets.append(
            _any_of(
                "k" + _hex(spelling)
                for skill in job_filter.skills
                for spelling in _spellings(services_text.normalize_nfc(skill))
            )
        )
    if job_filter.min_budget is not None or job_filter.max_budget is not None:
        maximum = limits.MAX_AMOUNT if job_filter.max_budget is None else job_filter.max_budget
        budgets = list(_budget_facets(max(1, job_filter.min_budget or 1), maximum))
        if not budgets:
            return None
        facets.append(_any_of(budgets))
    expression = f"facets : ({' AND '.join(facets)})"
    if job_filter.text is None:
        return expression
    words = words_expression(tx, job_filter.text)
    return None if words is None else f"{{title description skills}} : ({words}) AND {expression}"


def words_expression(tx: Connection, text: str) -> str | None:
    """Return an expression for every word of `text`, the last one also as a prefix; None if it contains no word."""
    words = _WORD.findall(services_text.normalize_nfc(text))
    if not words:
        return None
    return " AND ".join([*(_quoted(word) for word in words[:-1]), _prefix(tx, words[-1])])


def prefix_expression(words: str, column: Literal["title"]) -> str:
    """Return an expression for the open jobs with these words in a column."""
    return f'{column} : ({words}) AND facets : "{STATUS}open"'


def prefix_range(prefix: str) -> dict[str, str]:
    """Return the bind parameters `prefix` and `prefix_end`: the range of all texts that begin with the prefix."""
    return {"prefix": prefix, "prefix_end": prefix + chr(0x10FFFF)}


def _prefix(tx: Connection, word: str) -> str:
    """Return an expression for the words that begin with `word`.

    FTS5 itself would read and sort the jobs of all these words, which is slow for a prefix of many jobs.
    """
    if len(word) < _INDEXED_PREFIX_LENGTH:
        return _quoted(word)
    if len(word) > _INDEXED_PREFIX_LENGTH and word.isascii():
        terms = _load_terms(tx, word.lower())
        if 0 < len(terms) <= _MAX_PREFIX_TERMS:
            return _any_of(terms)
    return _quoted(word) + "*"


def _load_terms(tx: Connection, prefix: str) -> list[str]:
    """Return the index's terms that begin with the prefix, at most `_MAX_PREFIX_TERMS` + 1."""
    return list(tx.execute(_TERMS, prefix_range(prefix)).scalars())


def _budget_facets(minimum: int, maximum: int) -> Iterator[str]:
    """Yield the facets that exactly the budgets from `minimum` to `maximum` have, about ten for each octal digit."""
    for length in range(len(f"{minimum:o}"), len(f"{maximum:o}") + 1):
        low, high = max(minimum, 8 ** (length - 1)), min(maximum, 8**length - 1)
        length_code = chr(96 + length)
        if (low, high) == (8 ** (length - 1), 8**length - 1):
            yield f"{BUDGET}{length_code}"
            continue
        while low <= high:
            # The number of trailing octal digits that are free within the range.
            free = 0
            while low % 8 ** (free + 1) == 0 and low + 8 ** (free + 1) - 1 <= high:
                free += 1
            yield f"{BUDGET}{length_code}{low:o}"[: 2 + length - free]
            low += 8**free


def _spellings(skill: str) -> Iterable[str]:
    """Return the spellings that the index may contain: its `lower` changes the 26 ASCII letters only."""
    spellings = (skill, skill.lower(), skill.upper(), skill.title(), skill.capitalize())
    return dict.fromkeys(_lower_ascii(spelling) for spelling in spellings)


def _lower_ascii(text: str) -> str:
    return "".join(character.lower() if character.isascii() else character for character in text)


def _hex(text: str) -> str:
    return text.encode().hex()


def _any_of(words: Iterable[str]) -> str:
    return "(" + " OR ".join(_quoted(word) for word in words) + ")"


def _quoted(word: str) -> str:
    """Return a word as an FTS5 string. Quotation marks are doubled, although no caller passes any."""
    return '"' + word.replace('"', '""') + '"'
