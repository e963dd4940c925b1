"""How much of a job there may be: the contract's numbers, each said once, for the rows, the bodies and the queries."""

from typing import Final

# Characters.
TITLE: Final = 120
DESCRIPTION: Final = 10_000
CATEGORY: Final = 40
SKILL: Final = 40
# Skills that a job names, and that a list can be narrowed by.
SKILLS: Final = 20
# Minor units of money: what still adds up a million times within 63 bits.
AMOUNT: Final = 10**12
