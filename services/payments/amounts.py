"""Formats amounts of money for people."""

from typing import Final

# Currencies of ISO 4217, table A.1, without a minor unit of one hundredth. Amounts always have two decimals.
UNSUPPORTED_CURRENCIES: Final = frozenset((
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF",
    "XPF", "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND", "CLF", "UYW",
    "XAG", "XAU", "XBA", "XBB", "XBC", "XBD", "XDR", "XPD", "XPT", "XSU", "XTS", "XUA", "XXX",
))  # fmt: skip


def format_amount(amount: int, currency: str) -> str:
    """Return an amount in minor units as text: 1234550 and USD become `12,345.50 USD`."""
    whole, cents = divmod(amount, 100)
    return f"{whole:,}.{cents:02d} {currency}"
