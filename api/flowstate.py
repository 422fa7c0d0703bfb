"""What running flows say of themselves: their Prometheus metrics, read over HTTP.

Lag, watermarks and queues live in the flow's process and nowhere in the database.
"""

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping

import msgspec
import urllib3
from prometheus_client.parser import text_string_to_metric_families

SECONDS = 1.0
"""How long a flow is waited for."""
AGAIN_SECONDS = 2.0
"""How long what was read is given again: each page asks, and there are many."""
_PLACES = {
    "hindsight_watermark_seconds": "watermark_seconds",
    "hindsight_lag_records": "lag",
    "hindsight_open_panes": "open_panes",
    "hindsight_series": "series",
}
_WHOLE = {
    "hindsight_sink_queue_batches": "queue_batches",
    "hindsight_correlator_lag_seconds": "correlator_lag_seconds",
    "process_start_time_seconds": "started_seconds",
}
_LATENCIES = {
    "hindsight_event_to_row_seconds": "event_to_row",
    "hindsight_event_to_pattern_seconds": "event_to_pattern",
}


class Quantiles(msgspec.Struct, frozen=True, kw_only=True):
    """Median and 99th percentile in seconds since the flow began, of `n` live events."""

    n: int
    p50: float | None
    p99: float | None


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A partition of an input. `watermark_seconds` is its event time since 1970, `lag` records not read yet (Kafka)."""

    topic: str
    partition: int
    watermark_seconds: float | None = None
    lag: int | None = None
    open_panes: int | None = None
    series: int | None = None


class FlowState(msgspec.Struct, frozen=True, kw_only=True):
    """A flow; without anything but `is_up` where it does not answer. Its address is not told: it is the operator's."""

    number: int
    is_up: bool
    records_read: int | None = None
    queue_batches: int | None = None
    correlator_lag_seconds: float | None = None
    event_to_row: Quantiles | None = None
    event_to_pattern: Quantiles | None = None
    partitions: list[Place] = []


class Flows:
    """Reads the metrics of flows at these addresses; from any thread."""

    def __init__(self, urls: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._urls = tuple(urls)
        self._clock = clock
        self._http = urllib3.PoolManager(maxsize=2, retries=False, timeout=SECONDS)
        self._lock = threading.Lock()
        self._until = -math.inf
        self._found: list[FlowState] = []

    def states(self) -> list[FlowState]:
        """The flows, in the order of their addresses."""
        with self._lock:
            if self._clock() >= self._until:
                self._found = [self._state(number, url) for number, url in enumerate(self._urls)]
                self._until = self._clock() + AGAIN_SECONDS
            return self._found

    def _state(self, number: int, url: str) -> FlowState:
        try:
            answer = self._http.request("GET", url, redirect=False)
            if answer.status != 200:
                return FlowState(number=number, is_up=False)
            return state_of(number, answer.data.decode())
        except (urllib3.exceptions.HTTPError, ValueError, KeyError):
            return FlowState(number=number, is_up=False)


def state_of(number: int, text: str) -> FlowState:
    """A flow by its metrics; raises `ValueError` for what are none.

    >>> state = state_of(0, '''hindsight_lag_records{topic="a",partition="1"} 5.0
    ... hindsight_records_total{topic="a",outcome="read",reason=""} 7.0
    ... ''')
    >>> state.records_read, state.partitions[0].lag
    (7, 5)
    """
    places: dict[tuple[str, int], dict[str, float]] = {}
    whole: dict[str, float] = {}
    buckets: dict[str, list[tuple[float, float]]] = {}
    read = 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = sample.labels
            if sample.name in _PLACES:
                place = places.setdefault((labels["topic"], int(labels["partition"])), {})
                place[_PLACES[sample.name]] = sample.value
            elif sample.name in _WHOLE and math.isfinite(sample.value):
                whole[_WHOLE[sample.name]] = sample.value
            elif sample.name == "hindsight_records_total" and labels["outcome"] == "read":
                read += sample.value
            elif sample.name.removesuffix("_bucket") in _LATENCIES and "le" in labels:
                name = _LATENCIES[sample.name.removesuffix("_bucket")]
                buckets.setdefault(name, []).append((float(labels["le"]), sample.value))
    return FlowState(
        number=number,
        is_up=True,
        records_read=int(read),
        queue_batches=_whole(whole.get("queue_batches")),
        correlator_lag_seconds=whole.get("correlator_lag_seconds"),
        event_to_row=quantiles(buckets.get("event_to_row", [])),
        event_to_pattern=quantiles(buckets.get("event_to_pattern", [])),
        partitions=[_place(topic, partition, held) for (topic, partition), held in sorted(places.items())],
    )


def _place(topic: str, partition: int, held: Mapping[str, float]) -> Place:
    return Place(
        topic=topic,
        partition=partition,
        watermark_seconds=held.get("watermark_seconds"),
        lag=_whole(held.get("lag")),
        open_panes=_whole(held.get("open_panes")),
        series=_whole(held.get("series")),
    )


def _whole(value: float | None) -> int | None:
    return None if value is None or not math.isfinite(value) else int(value)


def quantiles(buckets: list[tuple[float, float]]) -> Quantiles | None:
    """Quantiles of a cumulative histogram, by a straight line within a bucket as Prometheus does; None without values.

    >>> quantiles([(1.0, 10.0), (2.0, 10.0), (math.inf, 10.0)])
    Quantiles(n=10, p50=0.5, p99=0.99)
    """
    ordered = sorted(buckets)
    total = ordered[-1][1] if ordered else 0.0
    if not total:
        return None
    return Quantiles(n=int(total), p50=_quantile(ordered, 0.5 * total), p99=_quantile(ordered, 0.99 * total))


def _quantile(ordered: list[tuple[float, float]], rank: float) -> float:
    low, before = 0.0, 0.0
    for high, count in ordered:
        if count >= rank:
            if math.isinf(high):
                return low
            return low + (high - low) * (rank - before) / (count - before)
        low, before = high, count
    return low
