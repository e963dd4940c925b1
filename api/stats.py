"""The market in numbers, over HTTP."""

from api.call import Call
from services import stats
from services.stats import Stats


async def show(call: Call[None, None]) -> Stats:
    """Count open jobs, hires and completed jobs, and what was paid out."""
    return await call.read(stats.read)
