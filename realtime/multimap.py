"""A compact multimap: one value, or a dict of several, per key."""

from collections.abc import Iterable
from typing import TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Many(dict[_Value, None]):
    """Two values or more of one key, in insertion order. A key with one value needs no dict of 232 bytes."""


def add(index: dict[_Key, _Value | Many[_Value]], key: _Key, value: _Value) -> None:
    """Add a value that the key does not have yet."""
    current = index.get(key)
    if current is None:
        index[key] = value
    elif isinstance(current, Many):
        current[value] = None
    else:
        index[key] = Many([(current, None), (value, None)])


def discard(index: dict[_Key, _Value | Many[_Value]], key: _Key, value: _Value) -> None:
    """Remove a value that the key has. The key is removed with its last value."""
    current = index[key]
    if isinstance(current, Many):
        del current[value]
        if not current:
            del index[key]
    else:
        del index[key]


def values(index: dict[_Key, _Value | Many[_Value]], key: _Key) -> Iterable[_Value]:
    """Return the values of a key in insertion order."""
    current = index.get(key)
    if current is None:
        return ()
    return current if isinstance(current, Many) else (current,)
