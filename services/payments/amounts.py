"""How an amount of money is written for people; inside it is an integer in minor units (cents)."""

from typing import Final

# ISO 4217, table A.1: those whose minor unit is not a hundredth, or who have none. Amounts are written, and typed, with
# two decimals everywhere.
UNSUPPORTED_CURRENCIES: Final = frozenset((
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF",
    "XPF", "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND", "CLF", "UYW",
    "XAG", "XAU", "XBA", "XBB", "XBC", "XBD", "XDR", "XPD", "XPT", "XSU", "XTS", "XUA", "XXX",
))  # fmt: skip


def format_amount(amount: int, currency: str) -> str:
    """`1234550` and `USD` → `12,345.50 USD`."""
    whole, cents = divmod(amount, 100)
    return f"{whole:,}.{cents:02d} {currency}"
