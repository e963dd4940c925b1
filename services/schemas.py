"""Base class of every JSON object the API returns, and the ones all domains share."""

from typing import Literal

from msgspec import Struct

Role = Literal["client", "freelancer", "admin"]


class Schema(Struct, frozen=True, rename="camel", kw_only=True):
    """Base of the JSON objects of the API; fields are camelCase in JSON."""


class Person(Schema, frozen=True):
    """A user, as part of another object."""

    id: str
    name: str
