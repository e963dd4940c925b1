"""The market in numbers, over HTTP."""

from api.operations.call import Call
from services.jobs import statistics as stats
from services.jobs.statistics import Stats


async def show(call: Call[None, None]) -> Stats:
    """Count open jobs, hires and completed jobs, and what was paid out."""
    return await call.read(stats.read)
