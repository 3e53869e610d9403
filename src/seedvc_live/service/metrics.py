"""Prometheus metrics of the server. A registry of its own: two servers in one process do not mix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST

_BLOCK_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.16, 0.25, 0.5, 1.0)
_WAIT_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 1.0)
_START_BUCKETS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)

_TOTALS = {
    "blocks": "blocks",
    "late_blocks": "late_blocks",
    "dropped_blocks": "dropped_blocks",
    "received_packets": "received_packets",
    "lost_packets": "lost_packets",
}


class Metrics:
    """What /metrics shows.

    Args:
        sessions: called at each scrape: running sessions by engine.
        workers: called at each scrape: media workers by state.
    """

    def __init__(self, sessions: Callable[[], dict[str, int]], workers: Callable[[], dict[str, int]]) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Gauges(sessions, workers))

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"seedvc_live_{name}", text, labels, registry=self.registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"seedvc_live_{name}", text, registry=self.registry, buckets=buckets)

        self.started = counter("sessions_started", "Sessions that were opened.", "engine")
        self.closed = counter("sessions_closed", "Sessions that ended.", "reason")
        self.refused = counter("sessions_refused", "Offers that were refused.", "problem")
        self.restarts = counter("worker_restarts", "Media workers that ended by themselves and were replaced.")
        self.clips = counter("clips", "Uploaded clips by outcome: `stored`, or the problem.", "outcome")
        self.concealed = counter("concealed_seconds", "Output that was made up for input or blocks that were missing.")
        self._totals = {
            key: counter(name, f"{name.replace('_', ' ').capitalize()} of all sessions.")
            for key, name in _TOTALS.items()
        }
        self.block_seconds = histogram("block_seconds", "Time to convert a block.", _BLOCK_BUCKETS)
        self.queue_seconds = histogram("queue_seconds", "Time a block waits for the engine.", _WAIT_BUCKETS)
        self.first_audio = histogram("first_audio_seconds", "From the offer to the first audio.", _START_BUCKETS)

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self.registry)

    def take(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        """Count what a session did between two of its statistics, which are running totals."""
        for key, total in self._totals.items():
            total.inc(_growth(before, now, key))
        self.concealed.inc(_growth(before, now, "concealed_ms") / 1000.0)
        for seconds in _numbers(now.get("block_seconds")):
            self.block_seconds.observe(seconds)
        for milliseconds in _numbers(now.get("queue_ms")):
            self.queue_seconds.observe(milliseconds / 1000.0)


def _growth(before: dict[str, Any], now: dict[str, Any], key: str) -> float:
    return max(0.0, float(now.get(key) or 0) - float(before.get(key) or 0))


def _numbers(values: Any) -> Iterator[float]:
    if isinstance(values, list):
        yield from (float(value) for value in values)


class _Gauges(Collector):
    """Read when asked for, so that they are never out of date."""

    def __init__(self, sessions: Callable[[], dict[str, int]], workers: Callable[[], dict[str, int]]) -> None:
        self._sources = (
            ("seedvc_live_sessions", "Running sessions.", "engine", sessions),
            ("seedvc_live_workers", "Media workers.", "state", workers),
        )

    def collect(self) -> Iterable[Metric]:
        for name, text, label, source in self._sources:
            family = GaugeMetricFamily(name, text, labels=[label])
            for value, number in source().items():
                family.add_metric([value], number)
            yield family
