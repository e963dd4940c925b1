"""Numbers for Prometheus: what the parts count as plain integers, formatted here and nowhere else."""

import asyncio
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from realtime.manager import RealtimeManager
from services.database.database import Database

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Seconds; streams last longer than all of them and are counted in the last bucket.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Metrics:
    """The registry of one hub."""

    def __init__(self, manager: RealtimeManager, database: Database) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "hub_http_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._counts: dict[tuple[str, str, int], Counter] = {}
        self._seconds = Histogram(
            "hub_http_request_seconds", "Time to the end of an answer.", registry=self._registry, buckets=BUCKETS
        )
        self._registry.register(_Parts(manager, database))
        ProcessCollector(registry=self._registry)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request; `route` is the path's template."""
        count = self._counts.get((method, route, status))
        if count is None:
            count = self._counts[method, route, status] = self._requests.labels(method, route, str(status))
        count.inc()
        self._seconds.observe(seconds)

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self._registry)


class _Parts(Collector):
    """Asks the parts when somebody asks for the numbers."""

    def __init__(self, manager: RealtimeManager, database: Database) -> None:
        self._manager, self._database = manager, database

    def collect(self) -> Iterator[Metric]:
        """The present values."""
        manager = self._manager
        yield GaugeMetricFamily("hub_streams", "Open streams.", manager.connections)
        yield GaugeMetricFamily("hub_users_online", "Users with a stream.", manager.users_online)
        yield GaugeMetricFamily("hub_events_queued", "Events waiting for this turn's end.", manager.queued)
        yield GaugeMetricFamily("hub_log_position", "Last position announced.", manager.head)
        yield GaugeMetricFamily("hub_tasks", "Tasks of the event loop.", len(asyncio.all_tasks()))
        yield GaugeMetricFamily(
            "hub_writes_waiting", "Units of work waiting to be written.", self._database.queued_writes
        )
        yield CounterMetricFamily("hub_events_delivered", "Events written to streams.", manager.delivered)
        yield CounterMetricFamily("hub_events_dropped", "Events left for the log.", manager.dropped)
