"""The market in numbers, over HTTP."""

from api.operations.call import Call
from services.jobs import statistics
from services.jobs.statistics import Statistics


async def show(call: Call[None, None]) -> Statistics:
    """Count open jobs, hires and completed jobs, and what was paid out."""
    return await call.read(statistics.get_statistics)
