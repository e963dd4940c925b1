"""What the outside sees of our objects: msgspec structs whose JSON is the contract's, camelCase."""

from typing import Literal

from msgspec import Struct

Role = Literal["client", "freelancer", "admin"]


class Schema(Struct, frozen=True, rename="camel", kw_only=True):
    """A value that leaves the house as a JSON object."""


class Person(Schema, frozen=True):
    """Somebody, as others see them inside another object."""

    id: str
    name: str
