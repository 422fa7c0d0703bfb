"""Hindsight's own metrics, for Prometheus. One `Metrics` a process; labels are topics, partitions and fixed words."""

import logging
import math
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector

from operators.episodes import SEVERITIES
from operators.output import Counts, Found, Output

log = logging.getLogger(__name__)

BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
"""Upper bounds of the latency histograms, seconds; 60 is the promise, 20 and 1 are the targets."""
LIVE_US = 3_600_000_000
"""An event older than an hour when it is read is history: its latency says nothing about Hindsight."""


class LatencyHistogram(Collector):
    """A histogram that takes a batch of observations at once: `prometheus_client`'s own costs 1 µs each."""

    def __init__(self, name: str, documentation: str) -> None:
        self.name = name
        self.documentation = documentation
        self._counts = [0] * (len(BUCKETS) + 1)
        self._sum = 0.0

    def observe_since(self, times_us: Iterable[int], now_us: int) -> None:
        """Observe `now - time` for each time, microseconds since 1970.

        >>> histogram = LatencyHistogram("h", "")
        >>> histogram.observe_since([1_000_000, 1_950_000], 2_000_000)
        >>> list(histogram.cumulative())[:4]
        [('0.1', 1), ('0.25', 1), ('0.5', 1), ('1.0', 2)]
        """
        ages = sorted((now_us - time_us) / 1e6 for time_us in times_us)
        before = 0
        for place, bound in enumerate(BUCKETS):
            upto = bisect_left(ages, bound + 1e-9)
            self._counts[place] += upto - before
            before = upto
        self._counts[-1] += len(ages) - before
        self._sum += sum(ages)

    def cumulative(self) -> Iterator[tuple[str, int]]:
        """Bucket bounds and cumulative counts."""
        total = 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self._counts, strict=True):
            total += count
            yield bound, total

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """For the registry."""
        yield HistogramMetricFamily(self.name, self.documentation, buckets=list(self.cumulative()), sum_value=self._sum)


class Metrics:
    """The registry and its metrics; methods are called once a batch."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self.records = Counter(
            "hindsight_records",
            "Records by what became of them: read = applied + late + duplicate + dead_letter (by reason).",
            ["topic", "outcome", "reason"],
            registry=registry,
        )
        self.event_to_row = LatencyHistogram(
            "hindsight_event_to_row_seconds", "From an event's time to the commit of its row, for live events."
        )
        self.event_to_pattern = LatencyHistogram(
            "hindsight_event_to_pattern_seconds",
            "From the time of the event that showed it (for panes: their end) to the commit of a pattern, live only.",
        )
        registry.register(self.event_to_row)
        registry.register(self.event_to_pattern)
        self.watermark = Gauge(
            "hindsight_watermark_seconds", "Event time of a partition, seconds since 1970.", ["topic", "partition"],
            registry=registry,
        )  # fmt: skip
        self.lag = Gauge(
            "hindsight_lag_records", "Records of a Kafka partition not read yet.", ["topic", "partition"],
            registry=registry,
        )  # fmt: skip
        self.panes = Gauge("hindsight_open_panes", "Open panes.", ["topic", "partition"], registry=registry)
        self.series = Gauge("hindsight_series", "Series watched.", ["topic", "partition"], registry=registry)
        self.refused = Gauge(
            "hindsight_series_refused_points", "Points kept as rows only: the partition has too many series.",
            ["topic", "partition"], registry=registry,
        )  # fmt: skip
        self.patterns = Counter(
            "hindsight_patterns", "Patterns opened or re-opened.", ["detector", "severity"], registry=registry
        )
        self.verdicts = Gauge(
            "hindsight_pattern_verdicts", "Patterns that people have judged, by the detector that found them.",
            ["detector", "verdict"], registry=registry,
        )  # fmt: skip
        self.night = Gauge(
            "hindsight_nightly_finished_seconds",
            "When a night last finished, seconds since 1970, as of the last upkeep; NaN: none has.", registry=registry,
        )  # fmt: skip
        self.night.set(math.nan)
        self.rules = Gauge("hindsight_sequence_rules", "Sequences that are looked for.", registry=registry)
        self.rules_refused = Counter(
            "hindsight_sequence_rules_refused", "New files of rules that were refused; the rules before them stayed.",
            registry=registry,
        )  # fmt: skip
        self.rows = Counter("hindsight_sink_rows", "Rows committed.", registry=registry)
        self.refused_rows = Counter(
            "hindsight_sink_refused_rows", "Rows that the database refused; they are dead letters.", registry=registry
        )
        self.retries = Counter(
            "hindsight_sink_retries", "Attempts that failed because the database was away.", registry=registry
        )
        self.queue = Gauge("hindsight_sink_queue_batches", "Batches waiting for the database.", registry=registry)
        self.blocked = Gauge(
            "hindsight_sink_blocked_seconds", "Time the flow has waited for the database: back-pressure.",
            registry=registry,
        )  # fmt: skip
        self.incidents = Gauge(
            "hindsight_incidents_open", "Open incidents; told by the process that groups patterns.", ["severity"],
            registry=registry,
        )  # fmt: skip
        self.correlator_lag = Gauge(
            "hindsight_correlator_lag_seconds",
            "How long the oldest change of a pattern had waited to be grouped; NaN: another process groups.",
            registry=registry,
        )
        self.correlator_lag.set(math.nan)
        self.snapshot_age = Gauge(
            "hindsight_snapshot_age_seconds", "Time since the last snapshot of the state began.", registry=registry
        )
        self._last_snapshot = time.monotonic()
        self.snapshot_age.set_function(lambda: time.monotonic() - self._last_snapshot)
        self.alerts_sent = Counter(
            "hindsight_alerts_sent", "Alerts that an Alertmanager accepted; those sent again included.", ["target"],
            registry=registry,
        )  # fmt: skip
        self.alerts_failed = Counter(
            "hindsight_alerts_failed", "Alerts in requests that an Alertmanager did not accept.", ["target"],
            registry=registry,
        )  # fmt: skip
        self.alerts_queue = Gauge(
            "hindsight_alerts_waiting", "Incidents with news that not every Alertmanager has.", registry=registry
        )
        self.alerts_refused = Counter(
            "hindsight_alerts_refused", "Incidents that were not sent because too many were open.", registry=registry
        )
        self.alert_seconds = LatencyHistogram(
            "hindsight_alert_seconds",
            "From the decision that people are to be told (a start, a rise or an end) until every Alertmanager has it.",
        )
        registry.register(self.alert_seconds)
        self.responses = Counter(
            "hindsight_responses", "Automated responses: sent, failed, or dry_run.", ["outcome"], registry=registry
        )
        for outcome in ("sent", "failed", "dry_run"):
            self.responses.labels(outcome)  # from 0 on: Prometheus sees no rise in a counter that is new
        self._counted: dict[tuple[str, int], Counts] = {}

    def alerts_posted(self, target: str, alerts: int, ok: bool) -> None:
        """A request with so many alerts was accepted by an Alertmanager (`sinks.alerts`), or not."""
        (self.alerts_sent if ok else self.alerts_failed).labels(target).inc(alerts)

    def alert_accepted(self, seconds: float) -> None:
        """News of an incident is with every Alertmanager, so long after it was decided."""
        self.alert_seconds.observe_since((0,), round(seconds * 1e6))

    def alerts_waiting(self, incidents: int) -> None:
        """So many incidents have news that not every Alertmanager has."""
        self.alerts_queue.set(incidents)

    def alert_refused(self) -> None:
        """There was no room for an incident."""
        self.alerts_refused.inc()

    def responded(self, outcome: str) -> None:
        """An automated response (`sinks.webhook`) was sent, has failed, or would have been sent."""
        self.responses.labels(outcome).inc()

    def resumed(self, topic: str, partition: int, counts: Counts) -> None:
        """Counts of an earlier run that the partition starts from: they are not counted again."""
        self._counted[topic, partition] = counts

    def snapshot_taken(self) -> None:
        """A partition's state was snapshot."""
        self._last_snapshot = time.monotonic()

    def processed(self, output: Output) -> None:
        """A batch has come out of the partition step."""
        topic, partition = output.batch.topic, output.batch.partition
        before = self._counted.get((topic, partition)) or Counts()
        now = output.counts
        self._counted[topic, partition] = now
        records = self.records.labels
        records(topic, "read", "").inc(now.read - before.read)
        records(topic, "applied", "").inc(now.applied - before.applied)
        records(topic, "late", "").inc(now.late - before.late)
        records(topic, "duplicate", "").inc(now.duplicates - before.duplicates)
        for reason, count in now.dead_letters.items():
            records(topic, "dead_letter", reason).inc(count - before.dead_letters.get(reason, 0))
        gauges = output.gauges
        place = (topic, str(partition))
        if gauges.watermark_us is not None:
            self.watermark.labels(*place).set(gauges.watermark_us / 1e6)
        self.panes.labels(*place).set(gauges.open_panes)
        self.series.labels(*place).set(gauges.series)
        self.refused.labels(*place).set(gauges.series_refused)
        for found in output.found:
            if found.change in ("opened", "reopened", "confirmed"):
                self.patterns.labels(found.pattern.detection_algorithm, found.pattern.severity).inc()

    def written(self, outputs: Sequence[Output], rows: int, now_us: int) -> None:
        """Outputs are committed."""
        self.rows.inc(rows)
        for output in outputs:
            oldest = output.batch.ingested_us - LIVE_US
            # They arrive nearly in order, so sorting is one pass; history is left out at a stroke.
            times = sorted(output.event_us)
            if times and times[-1] > oldest:
                self.event_to_row.observe_since(times[bisect_right(times, oldest) :], now_us)
            opened = [found.event_us for found in output.found if is_fresh(found, oldest)]
            if opened:
                self.event_to_pattern.observe_since(opened, now_us)

    def judged(self, verdicts: Mapping[tuple[str, str], int]) -> None:
        """People's verdicts so far, by detector and verdict."""
        for (detector, verdict), patterns in verdicts.items():
            self.verdicts.labels(detector, verdict).set(patterns)

    def correlated(self, incidents: Mapping[str, int] | None, lag_s: float) -> None:
        """A step of the correlator: open incidents by severity; None: another process groups. From its thread."""
        if incidents is None:
            self.incidents.clear()
            self.correlator_lag.set(math.nan)
            return
        for severity in SEVERITIES:
            self.incidents.labels(severity).set(incidents.get(severity, 0))
        self.correlator_lag.set(lag_s)

    def lagging(self, lag: Mapping[tuple[str, int], int]) -> None:
        """Kafka's high watermark less our position, by topic and partition."""
        for (topic, partition), records in lag.items():
            self.lag.labels(topic, str(partition)).set(records)

    def serve(self, host: str, port: int) -> WSGIServer | None:
        """Serve `/metrics`; a port that is taken is said once and does not stop the flow."""
        try:
            server, _ = start_http_server(port, addr=host, registry=self.registry)
        except OSError as problem:
            log.warning(
                "no metrics: %s:%d can't be used (%s); set ANALYTICS_METRICS_PORT", host, port, problem.strerror
            )
            return None
        return server


def is_fresh(found: Found, oldest_us: int) -> bool:
    """Whether a change is a live pattern's first appearance."""
    return found.change in ("opened", "reopened", "early") and found.event_us > oldest_us
