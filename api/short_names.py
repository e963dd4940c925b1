"""Gives short names to what nobody outside a JavaScript module can see: private members, and what is declared inside.

A name becomes the same other name wherever it stands in its file, and no two names become one, so whatever it meant is
what it means. Names that are exported, imported, or used where the file does not declare them (`document`) stay.
"""

import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from string import ascii_letters
from typing import Final

import tree_sitter_javascript
from tree_sitter import Language, Node, Parser, Query, QueryCursor

_JAVASCRIPT: Final = Language(tree_sitter_javascript.language())
_QUERY: Final = Query(
    _JAVASCRIPT,
    """
    [(identifier) (shorthand_property_identifier) (shorthand_property_identifier_pattern)] @name
    (private_property_identifier) @private

    [(program) (statement_block) (arrow_function) (function_declaration) (function_expression) (method_definition)
     (generator_function_declaration) (for_statement) (for_in_statement) (catch_clause) (class_body)] @scope

    (lexical_declaration (variable_declarator name: (identifier) @declared))
    (class_declaration name: (identifier) @declared)
    (formal_parameters (identifier) @declared)
    (arrow_function parameter: (identifier) @declared)
    (catch_clause parameter: (identifier) @declared)
    (for_in_statement left: (identifier) @declared)
    (shorthand_property_identifier_pattern) @declared
    (pair_pattern value: (identifier) @declared)
    (array_pattern (identifier) @declared)
    (rest_pattern (identifier) @declared)
    (assignment_pattern left: (identifier) @declared)
    (function_declaration name: (identifier) @function)
    (generator_function_declaration name: (identifier) @function)

    (export_statement declaration: (_ name: (identifier) @outside))
    (export_statement declaration: (lexical_declaration (variable_declarator name: (identifier) @outside)))
    (export_specifier (identifier) @outside)
    (import_specifier (identifier) @outside)
    """,
)
_WORDS: Final = frozenset({b"do", b"if", b"in"})


def shortened(code: str) -> str:
    """The same program. Raises ValueError for what is no JavaScript."""
    source = code.encode()
    tree = Parser(_JAVASCRIPT).parse(source)
    if tree.root_node.has_error:
        raise ValueError("this is no JavaScript")
    found = {
        what: sorted(nodes, key=lambda node: node.start_byte)
        for what, nodes in QueryCursor(_QUERY).captures(tree.root_node).items()
    }
    names, private = found.get("name", []), found.get("private", [])
    stay = _seen_outside(found)
    uses = Counter(_text(node) for node in names)
    # `{ a }` would become `{ a: b }`: who stands so more often than not is left alone.
    pairs = Counter(_text(node) for node in names if node.type != "identifier")
    own = [name for name, count in uses.most_common() if name not in stay and pairs[name] * 2 < count]
    short = dict(zip(own, _free(uses.keys() - set(own)), strict=False))
    short |= dict(zip((name for name, _ in Counter(map(_text, private)).most_common()), _free((), b"#"), strict=False))
    return _renamed(source, [*names, *private], short).decode()


def _seen_outside(found: Mapping[str, list[Node]]) -> set[bytes]:
    """The names that mean something beyond this file, or that it uses without declaring them."""
    scopes = sorted((node.start_byte, node.end_byte) for node in found["scope"])
    where: dict[bytes, list[tuple[int, int]]] = {}
    for node in found.get("declared", []):
        where.setdefault(_text(node), []).append(_innermost(scopes, node.start_byte))
    for node in found.get("function", []):
        # Its name is known around it.
        around = node.parent.start_byte - 1 if node.parent else 0
        where.setdefault(_text(node), []).append(_innermost(scopes, around))
    stay = {_text(node) for node in found.get("outside", [])}
    for node in found.get("name", []):
        if not any(start <= node.start_byte < end for start, end in where.get(_text(node), [])):
            stay.add(_text(node))
    return stay


def _innermost(scopes: list[tuple[int, int]], at: int) -> tuple[int, int]:
    """The smallest scope around a place; scopes lie in each other or apart."""
    place = bisect_right(scopes, (at, sys.maxsize)) - 1
    while place > 0 and scopes[place][1] <= at:
        place -= 1
    return scopes[max(place, 0)]


def _free(taken: Iterable[bytes], first: bytes = b"") -> Iterator[bytes]:
    """Names of one letter, then of two, that are not `taken`."""
    taken = {*taken, *_WORDS}
    for length in (1, 2, 3):
        for letters in product(ascii_letters, repeat=length):
            name = first + "".join(letters).encode()
            if name not in taken:
                yield name


def _renamed(source: bytes, nodes: Iterable[Node], short: Mapping[bytes, bytes]) -> bytes:
    parts, at = list[bytes](), 0
    for node in sorted(nodes, key=lambda node: node.start_byte):
        name = short.get(_text(node))
        if name is None:
            continue
        pair = node.type.startswith("shorthand")
        parts += [source[at : node.start_byte], _text(node) + b": " + name if pair else name]
        at = node.end_byte
    return b"".join([*parts, source[at:]])


def _text(node: Node) -> bytes:
    return node.text or b""
