"""What a host counts, and how Prometheus reads it. Snapshots of several workers can be summed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import attrs
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

CONTENT_TYPE = CONTENT_TYPE_LATEST

Snapshot = list[list[Any]]
"""``[name, [label values], number]``, as it goes through JSON."""


@attrs.frozen
class _Kind:
    type: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...] = ()


METRICS: Mapping[str, _Kind] = {
    "voxpy_calls": _Kind("counter", "Calls that began, by provider.", ("provider",)),
    "voxpy_calls_ended": _Kind("counter", "Sessions that ended, by cause.", ("reason",)),
    "voxpy_calls_refused": _Kind(
        "counter",
        "Calls refused: full, late, busy, limit, draining, not_found, not_proven, error.",
        ("cause",),
    ),
    "voxpy_lines_not_released": _Kind(
        "counter", "Hang-ups that the provider's API did not confirm, by provider.", ("provider",)
    ),
    "voxpy_call_troubles": _Kind(
        "counter",
        "What went wrong within calls, by kind: odd_messages, late_ms, abandoned_handlers.",
        ("kind",),
    ),
    "voxpy_agent_failures": _Kind(
        "counter", "Sessions refused, responses failed, connections lost by speech services."
    ),
    "voxpy_calls_not_kept": _Kind(
        "counter", "Calls of which the disk did not take all: record, recording, trace, history."
    ),
    "voxpy_history_away": _Kind("gauge", "Workers that do not reach a shared call history."),
    "voxpy_history_spooled": _Kind(
        "counter", "Rows of sessions kept on this host until the shared call history was back."
    ),
    "voxpy_uploads": _Kind(
        "counter",
        "Files of calls on their way to a store: stored, failed (tried again).",
        ("result",),
    ),
    "voxpy_uploads_waiting": _Kind("gauge", "Sessions of which not all is stored yet."),
    "voxpy_call_seconds": _Kind("counter", "Seconds of all calls that ended."),
    "voxpy_calls_running": _Kind("gauge", "Calls that run now."),
    "voxpy_calls_limit": _Kind("gauge", "Calls that may run at once."),
    "voxpy_cpu_seconds": _Kind("counter", "CPU seconds of the process, all threads together."),
    "voxpy_connections_refused": _Kind(
        "counter", "Connections closed before a call, by cause.", ("cause",)
    ),
    "voxpy_connections_open": _Kind("gauge", "Connections that are open now."),
    "voxpy_http_requests": _Kind("counter", "HTTP requests by path and status.", ("path", "code")),
    "voxpy_callbacks": _Kind(
        "counter", "Callbacks: taken, failed (tried again), lost.", ("result",)
    ),
    "voxpy_fleet_store_up": _Kind("gauge", "Whether what hosts share can be reached.", ("worker",)),
    "voxpy_fleet_store_errors": _Kind("counter", "Operations on what hosts share that failed."),
    "voxpy_fleet_members": _Kind(
        "gauge", "Processes that share with this one, itself included.", ("worker",)
    ),
    "voxpy_fleet_versions": _Kind(
        "gauge", "Different states of the files that the hosts run by.", ("worker",)
    ),
    "voxpy_reloads": _Kind("counter", "Reloads of changed files: good, bad.", ("result",)),
    "voxpy_draining": _Kind("gauge", "Workers that take no new calls because they stop."),
    "voxpy_worker_restarts": _Kind("counter", "Workers started again after they died."),
    "voxpy_media_ticks": _Kind("counter", "Ticks of the media clock, 20 ms each.", ("worker",)),
    "voxpy_media_ticks_skipped": _Kind(
        "counter", "Ticks given up after a stall of over 100 ms.", ("worker",)
    ),
    "voxpy_media_late_seconds": _Kind(
        "gauge", "Lateness of the media clock, last 15-30 s.", ("worker", "quantile")
    ),
    "voxpy_media_core_share": _Kind(
        "gauge", "Part of a CPU core the loop uses, last 15-30 s.", ("worker",)
    ),
}
"""Names without the ``_total`` that Prometheus puts behind counters."""


class Metrics:
    """The numbers of one process."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, tuple[str, ...]], float] = {}

    def add(self, name: str, *labels: str, amount: float = 1) -> None:
        """Count; ``labels`` in the order of the table."""
        key = self._key(name, labels)
        self._values[key] = self._values.get(key, 0) + amount

    def set(self, name: str, *labels: str, value: float) -> None:
        """Set a gauge, or a counter that somebody else counts."""
        self._values[self._key(name, labels)] = value

    def snapshot(self) -> Snapshot:
        """Return everything, ready for JSON."""
        return [[name, list(labels), value] for (name, labels), value in self._values.items()]

    def _key(self, name: str, labels: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        assert len(METRICS[name].labels) == len(labels), name
        return name, labels


def total(snapshots: Iterable[Snapshot], *, counters_only: bool = False) -> Snapshot:
    """Add snapshots up; ``counters_only`` keeps what must not vanish with a worker that died."""
    summed: dict[tuple[str, tuple[str, ...]], float] = {}
    for name, labels, value in (entry for snapshot in snapshots for entry in snapshot):
        if not counters_only or METRICS[name].type == "counter":
            key = (name, tuple(labels))
            summed[key] = summed.get(key, 0) + value
    return [[name, list(labels), value] for (name, labels), value in summed.items()]


def exposition(snapshot: Snapshot) -> bytes:
    """Return Prometheus' text format. A metric without labels stands there from the start, as 0."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(snapshot))
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        for name, kind in METRICS.items():
            family: Any = GaugeMetricFamily if kind.type == "gauge" else CounterMetricFamily
            metric = family(name, kind.help, labels=kind.labels)
            found = [(labels, value) for n, labels, value in self._snapshot if n == name]
            if not found and not kind.labels:
                found = [([], 0.0)]
            for labels, value in found:
                metric.add_metric(labels, value)
            yield metric
