"""Prometheus metrics."""

import asyncio
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from realtime.manager import RealtimeManager
from services.database.database import Database

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# Seconds. Streams last longer and are counted in the last bucket.
BUCKETS_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Metrics:
    """The metrics registry of one hub."""

    def __init__(self, manager: RealtimeManager, database: Database) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "hub_http_requests", "Requests handled.", ("method", "route", "status"), registry=self._registry
        )
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._seconds = Histogram(
            "hub_http_request_seconds",
            "Time to the end of the response.",
            registry=self._registry,
            buckets=BUCKETS_SECONDS,
        )
        self._registry.register(_HubCollector(manager, database))
        ProcessCollector(registry=self._registry)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request; `route` is the path template."""
        counter = self._counters.get((method, route, status))
        if counter is None:
            counter = self._counters[method, route, status] = self._requests.labels(method, route, str(status))
        counter.inc()
        self._seconds.observe(seconds)

    def render(self) -> bytes:
        """Return the metrics in the text exposition format."""
        return generate_latest(self._registry)


class _HubCollector(Collector):
    """Reads the counters of the components for each scrape."""

    def __init__(self, manager: RealtimeManager, database: Database) -> None:
        self._manager, self._database = manager, database

    def collect(self) -> Iterator[Metric]:
        """Yield the current values."""
        manager = self._manager
        yield GaugeMetricFamily("hub_streams", "Open streams.", manager.connections)
        yield GaugeMetricFamily("hub_users_online", "Users with a stream.", manager.users_online)
        yield GaugeMetricFamily("hub_events_queued", "Events queued in this loop iteration.", manager.queued)
        yield GaugeMetricFamily("hub_log_position", "Last published position.", manager.head)
        yield GaugeMetricFamily("hub_tasks", "Tasks of the event loop.", len(asyncio.all_tasks()))
        yield GaugeMetricFamily(
            "hub_writes_waiting", "Units of work waiting for the writer.", self._database.queued_writes
        )
        yield CounterMetricFamily("hub_events_delivered", "Events written to streams.", manager.delivered)
        yield CounterMetricFamily(
            "hub_events_dropped", "Events that a slow stream must read from the log.", manager.dropped
        )
