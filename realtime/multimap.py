"""Few: one thing, or a dict of several; most users have one stream, and a dict for one takes 232 bytes."""

from collections.abc import Iterable
from typing import TypeVar

_Key = TypeVar("_Key")
_Thing = TypeVar("_Thing")


class Many(dict[_Thing, None]):
    """Two things or more, in the order in which they came."""


def add(index: dict[_Key, _Thing | Many[_Thing]], key: _Key, value: _Thing) -> None:
    """Add a thing that is not there yet."""
    few = index.get(key)
    if few is None:
        index[key] = value
    elif isinstance(few, Many):
        few[value] = None
    else:
        index[key] = Many([(few, None), (value, None)])


def discard(index: dict[_Key, _Thing | Many[_Thing]], key: _Key, value: _Thing) -> None:
    """Take out a thing that is there; the key goes with the last."""
    few = index[key]
    if isinstance(few, Many):
        del few[value]
        if not few:
            del index[key]
    else:
        del index[key]


def values(index: dict[_Key, _Thing | Many[_Thing]], key: _Key) -> Iterable[_Thing]:
    """What is there, in the order in which it came."""
    few = index.get(key)
    if few is None:
        return ()
    return few if isinstance(few, Many) else (few,)
