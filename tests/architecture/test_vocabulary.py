"""Vocabulary of names and prose; each rule has a planted offence."""

import pytest

from services.tables import metadata
from tests.architecture.source_files import tracked_files, words_of
from tests.architecture.vocabulary import IDENTIFIERS, PROSE, identifier_offences, prose_offences

# The word lists themselves, and what is built from other files.
EXCLUDED = ("tests/architecture/vocabulary.py", "web/dist/", "requirements.lock")
FILES = {
    name: path.read_text("utf-8", "replace")
    for name, path in tracked_files().items()
    if not name.startswith(EXCLUDED) and name.endswith((".py", ".js", ".mjs", ".ts", ".css", ".c", ".md"))
}


def test_identifiers_use_the_terms_of_the_glossary() -> None:
    offences = {name: found for name, text in FILES.items() if (found := identifier_offences(name, text))}
    assert offences == {}


@pytest.mark.parametrize("word", IDENTIFIERS)
def test_identifier_rule_finds_a_planted_word(word: str) -> None:
    for source in (f"{word} = 1", f"def f(old_{word}s): ...", f"class New{word.title()}: ...", f"log.info('{word} x')"):
        assert identifier_offences("services/x.py", source), source
    assert identifier_offences("web/x.js", f"const my{word.title()} = 1;")
    assert identifier_offences(f"services/{word}.py", "")


def test_words_that_only_contain_a_word_are_allowed() -> None:
    assert identifier_offences("services/x.py", "slot = workspace = outstanding = letterhead = 1") == []


def test_tables_and_columns_use_the_terms_of_the_glossary() -> None:
    names = {name for table in metadata.tables.values() for name in (table.name, *(c.name for c in table.columns))}
    assert {name for name in names if set(words_of(name)) & set(IDENTIFIERS)} == set()


def test_prose_uses_plain_terms() -> None:
    assert [offence for name, text in FILES.items() for offence in prose_offences(name, text)] == []


@pytest.mark.parametrize("phrase", PROSE)
def test_prose_rule_finds_a_planted_phrase(phrase: str) -> None:
    first, _, rest = phrase.partition(" ")
    folded = f"{first}\n{rest}" if rest else phrase
    assert list(prose_offences("services/x.py", f'"""The hub {folded} x."""'))
    assert list(prose_offences("services/x.py", f"x = 1  # The hub {phrase.title()} x"))
    assert list(prose_offences("web/x.js", f"// The hub {phrase} x"))
    assert list(prose_offences("docs/x.md", f"The hub {phrase} x"))


def test_code_blocks_and_strings_are_not_prose() -> None:
    assert list(prose_offences("docs/x.md", "```\nwhoever\n```\n")) == []
    assert list(prose_offences("services/x.py", "x = 'whoever'")) == []
