"""The market in numbers, over HTTP."""

from api.operations.call import Call
from services.jobs import statistics as stats
from services.jobs.statistics import Statistics


async def show(call: Call[None, None]) -> Statistics:
    """Count open jobs, hires and completed jobs, and what was paid out."""
    return await call.read(stats.get_statistics)
