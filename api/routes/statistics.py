"""Marketplace statistics."""

from api.operations.call import Call
from services.jobs import statistics
from services.jobs.statistics import Statistics


async def get_statistics(call: Call[None, None]) -> Statistics:
    """Get the number of open jobs, hires and completed jobs, and the amount paid out."""
    return await call.read(statistics.get_statistics)
