"""Makes JavaScript shorter, and the same program: without what no engine reads.

It is for code as web/ has it: every statement ends with a semicolon and none is empty, and a slash begins a regular
expression only where nothing stands that could be divided. What is in quotes, templates and regular expressions stays
as it is.
"""

import re
from typing import Final

_QUOTED: Final = r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
_PATTERN: Final = r"(?:(?<=[(\[{,;=:!&|?\n])|(?<=[(\[{,;=:!&|?] ))/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\[\n])+/"
_MARK: Final = re.compile(rf"(?P<text>{_QUOTED}|{_PATTERN})|(?P<comment>//[^\n]*|/\*.*?\*/)|[`{{}}]", re.DOTALL)
_TEMPLATE: Final = re.compile(r"(?:\\.|(?!\$\{)[^`\\])*(?:`|\$\{)", re.DOTALL)
# A space parts two words, and two signs that would be another sign together.
_SPACE: Final = re.compile(r"(?P<needed>(?<=[\w$#])\s+(?=[\w$#])|(?<=\+)\s+(?=\+)|(?<=-)\s+(?=-))|\s+")
_LAST: Final = re.compile(r",(?=[)\]}])|;(?=\})")
# One name before an arrow needs no brackets.
_ONE_NAME: Final = re.compile(r"(?<![\w$#)])\(([a-zA-Z]\w*)\)(?==>)")
_TEXT: Final = "\0"


def compact(code: str) -> str:
    """Without comments, spaces, line ends, brackets around one name, last commas of lists, last semicolons of blocks.

    Raises ValueError where a template does not end.
    """
    plain, texts = _parted(code)
    plain = _LAST.sub("", _SPACE.sub(lambda space: " " if space["needed"] else "", plain))
    return _joined(_ONE_NAME.sub(r"\1", plain), texts)


def _joined(plain: str, texts: list[str]) -> str:
    kept = iter(texts)
    return re.sub(_TEXT, lambda _: next(kept), plain)


def _parted(code: str) -> tuple[str, list[str]]:
    """The code with a mark in the place of each text, and the texts; comments are in neither."""
    plain, texts = list[str](), list[str]()
    # How many braces are open, and how many were where each open `${` began.
    depth, inserts = 0, list[int]()
    at = 0
    while mark := _MARK.search(code, at):
        plain.append(code[at : mark.start()])
        at = mark.end()
        closes = mark[0] == "}" and inserts[-1:] == [depth]
        if mark[0] == "`" or closes:
            if closes:
                inserts.pop()
            text = _TEMPLATE.match(code, at)
            if text is None:
                raise ValueError("a template does not end")
            at = text.end()
            if text[0].endswith("${"):
                inserts.append(depth)
            texts.append(mark[0] + text[0])
            plain.append(_TEXT)
        elif mark["text"]:
            texts.append(mark["text"])
            plain.append(_TEXT)
        elif not mark["comment"]:
            depth += 1 if mark[0] == "{" else -1
            plain.append(mark[0])
    plain.append(code[at:])
    return "".join(plain), texts
