"""Size limits of a job, shared by rows, request bodies and queries."""

from typing import Final

# Characters.
MAX_TITLE: Final = 120
MAX_DESCRIPTION: Final = 10_000
MAX_CATEGORY: Final = 40
MAX_SKILL: Final = 40
# Skills of a job, and skills of a list filter.
MAX_SKILLS: Final = 20
# Minor units of a currency: a million such amounts still fit into 63 bits.
MAX_AMOUNT: Final = 10**12
