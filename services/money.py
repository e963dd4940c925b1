"""How an amount of money is written for people; inside it is an integer in minor units (cents)."""


def render(amount: int, currency: str) -> str:
    """`1234550` and `USD` → `12,345.50 USD`."""
    whole, cents = divmod(amount, 100)
    return f"{whole:,}.{cents:02d} {currency}"
