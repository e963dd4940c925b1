"""Words that names and prose of this project do not use, and the terms that replace them."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from tests.architecture.source_files import identifiers, prose, script_identifiers, words_of

# Word of an identifier → the term of the glossary.
IDENTIFIERS: Final[Mapping[str, str]] = {
    "letter": "draft",
    "parcel": "send request",
    "pace": "rate limit",
    "knob": "setting",
    "chore": "periodic task",
    "lot": "write group, batch",
    "witness": "rollback detection",
    "onlooker": "user attention",
    "teller": "presence broadcaster",
    "standing": "membership, job state",
    "insides": "uvicorn internals",
    "few": "multimap",
    "several": "multimap",
    "upkeep": "housekeeping",
    "verdict": "decision, result",
    "judge": "decide, policy",
    "farewell": "bye frame",
    "told": "published",
    "untold": "unpublished",
}

# Phrase of a docstring, a comment or a document → what to write.
PROSE: Final[Mapping[str, str]] = {
    "whoever": "the user, the client",
    "somebody": "a user, a client",
    "oneself": "itself, the user",
    "one's": "the user's, your",
    "thereof": "of it",
    "anew": "again",
    "at hand": "cached, available",
    "is told": "receives, is notified",
    "be told": "receive, be notified",
    "goes out": "is sent",
    "comes back": "reconnects, returns",
    "behind it": "name the thing",
    "who asks": "the caller",
}

_PROSE = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, PROSE))})(?![\w-])", re.IGNORECASE)


def identifier_offences(name: str, text: str) -> list[str]:
    """Return `identifier: term` for each identifier of a file, and for its name, with a word of IDENTIFIERS."""
    if name.endswith(".py"):
        found = identifiers(text)
    elif name.endswith((".js", ".mjs", ".ts")):
        found = script_identifiers(text)
    else:
        found = set()
    stem = name.rpartition("/")[2].partition(".")[0]
    return [f"{identifier}: {term}" for identifier in sorted(found | {stem}) if (term := _term(identifier))]


def _term(identifier: str) -> str | None:
    for word in words_of(identifier):
        term = IDENTIFIERS.get(word) or IDENTIFIERS.get(word.removesuffix("s"))
        if term:
            return term
    return None


def prose_offences(name: str, text: str) -> Iterator[str]:
    """Yield `file:line: phrase → what to write` for each phrase of PROSE in docstrings, comments and documents."""
    for first_line, words in prose(name, text):
        flat = re.sub(r"\s", " ", words)
        for match in _PROSE.finditer(flat):
            line = first_line + words.count("\n", 0, match.start())
            yield f"{name}:{line}: {match[1]} → {PROSE[match[1].lower()]}"
