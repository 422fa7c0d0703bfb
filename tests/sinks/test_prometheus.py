"""Hindsight's own metrics: what they count, also after a restart, and that their labels stay few."""

import re
import urllib.request
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest

from operators import events
from operators.records import Mark
from sinks.prometheus import BUCKETS, LIVE_US, LatencyHistogram, Metrics
from tests.partitions import TOPIC, Runner
from tests.samples import NOW_US, metric, raw, time_at
from tests.sequences import sequence


def counted(metrics: Metrics) -> dict[tuple[str, str], float]:
    """The conservation counters by outcome and reason."""
    found = {}
    for family in metrics.registry.collect():
        for one in family.samples:
            if one.name == "hindsight_records_total" and one.value:
                assert set(one.labels) == {"topic", "outcome", "reason"}
                assert one.labels["topic"] == TOPIC
                found[one.labels["outcome"], one.labels["reason"]] = one.value
    return found


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def wanted(runner: Runner) -> dict[tuple[str, str], float]:
    counts = runner.counts
    outcomes = {"read": counts.read, "applied": counts.applied, "late": counts.late, "duplicate": counts.duplicates}
    found: dict[tuple[str, str], float] = {(name, ""): n for name, n in outcomes.items() if n}
    return found | {("dead_letter", reason): n for reason, n in counts.dead_letters.items()}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 60), st.integers(0, 60))
def test_counters_are_those_of_the_records_of_this_life(seed: int, size: int, cut: int) -> None:
    """What earlier lives had counted is not counted again; nor is a batch that is counted cumulatively."""
    values = sequence(seed, size)
    runner, before, after = Runner(), Metrics(), Metrics()
    for value_ in values[:cut]:
        before.processed(runner.feed([value_]))
    assert counted(before) == wanted(runner)
    runner.restart()
    earlier = wanted(runner)
    import msgspec

    counts = runner.counts
    after.resumed(TOPIC, 0, msgspec.structs.replace(counts, dead_letters=dict(counts.dead_letters)))
    assert counted(after) == {}
    for start in range(cut, len(values), 7):
        after.processed(runner.feed(values[start : start + 7]))
    both = counted(after)
    assert {key: both.get(key, 0) + earlier.get(key, 0) for key in both | earlier} == wanted(runner)
    dead = sum(n for (outcome, _), n in both.items() if outcome == "dead_letter")
    others = sum(both.get((outcome, ""), 0) for outcome in ("applied", "late", "duplicate"))
    assert both.get(("read", ""), 0) == others + dead, "conservation"


def test_gauges_stand_where_the_partition_stands() -> None:
    metrics, runner = Metrics(), Runner()
    metrics.processed(runner.feed([b"{}"]))
    place = {"topic": TOPIC, "partition": "0"}
    assert value(metrics, "hindsight_watermark_seconds", **place) is None
    metrics.processed(runner.feed([metric(1, 1, 1), metric(1, 11, 2, system="other")]))
    assert value(metrics, "hindsight_watermark_seconds", **place) == 1_767_607_211
    assert value(metrics, "hindsight_open_panes", **place) == 2
    assert value(metrics, "hindsight_series", **place) == 2
    assert value(metrics, "hindsight_series_refused_points", **place) == 0
    metrics.lagging({(TOPIC, 0): 17})
    assert value(metrics, "hindsight_lag_records", **place) == 17


def cpu(percent: float, at_s: float, number: int) -> bytes:
    data = {"host": "web-1", "resource_type": "cpu", "usage_percentage": percent}
    return raw("resource.sampled", data, id=f"c{number}", time=time_at(at_s))


def test_patterns_are_counted_as_they_open() -> None:
    metrics, runner = Metrics(), Runner()
    for out in (
        runner.feed([cpu(99, 1, 1)]),
        runner.feed([cpu(99, 20, 2)]),
        runner.feed([cpu(1, at, at) for at in (31, 32, 33)]),
        runner.feed([cpu(99, 40, 9)]),
    ):
        metrics.processed(out)
    total = sum(one.value for one in samples(metrics, "hindsight_patterns_total"))
    assert total == 2, "opened and re-opened"


def samples(metrics: Metrics, name: str) -> list[Any]:
    return [one for family in metrics.registry.collect() for one in family.samples if one.name == name]


def buckets(metrics: Metrics, name: str) -> dict[str, float]:
    return {one.labels["le"]: one.value for one in samples(metrics, f"{name}_bucket")}


def test_there_is_a_bucket_at_a_minute() -> None:
    metrics = Metrics()
    for name in ("hindsight_event_to_row_seconds", "hindsight_event_to_pattern_seconds"):
        found = buckets(metrics, name)
        assert {"1.0", "20.0", "60.0", "+Inf"} <= set(found)
        assert list(found) == [*map(str, BUCKETS), "+Inf"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 100_000, 100_001, 59_999_999, 60_000_000, 60_000_001, 10**10, -5])))
def test_a_histogram_counts_what_is_at_most_its_bound(ages_us: list[int]) -> None:
    histogram = LatencyHistogram("h", "help")
    for part in (ages_us[::2], ages_us[1::2]):
        histogram.observe_since([NOW_US - age for age in part], NOW_US)
    for bound, total in histogram.cumulative():
        limit = float(bound)
        assert total == sum(age / 1e6 <= limit for age in ages_us), bound
    (family,) = histogram.collect()
    assert family.samples[-1].value * 1e6 == sum(ages_us) or abs(family.samples[-1].value * 1e6 - sum(ages_us)) < 1


def test_latencies_are_those_of_live_events() -> None:
    metrics, runner = Metrics(), Runner()
    at_us = 1_767_607_200_000_000 + 3_600_000_000
    out = runner.feed([cpu(99, 3600, 1), metric(1, 3599, 2), metric(1, 3600 - LIVE_US / 1e6, "old")], now_us=at_us)
    metrics.written([out], 5, at_us + 2_000_000)
    row, pattern = (buckets(metrics, f"hindsight_event_to_{what}_seconds") for what in ("row", "pattern"))
    assert (row["1.0"], row["2.5"], row["5.0"], row["+Inf"]) == (0, 1, 2, 2)
    assert (pattern["1.0"], pattern["2.5"], pattern["+Inf"]) == (0, 1, 1)
    assert value(metrics, "hindsight_sink_rows_total") == 5
    again = runner.feed([cpu(99, 3620, 3)], Mark.STOP_AT_END, at_us)
    metrics.written([again], 1, at_us + 90_000_000)
    assert buckets(metrics, "hindsight_event_to_pattern_seconds")["+Inf"] == 1, "observed again is not news"


def test_labels_are_few() -> None:
    """Whatever the number of series, values and ids."""
    metrics, runner = Metrics(), Runner()
    values: list[bytes | None] = [metric(1, n, n, name=f"m{n}", system=f"s{n}") for n in range(300)]
    metrics.processed(runner.feed([*values, *sequence(3, 60)], Mark.END))
    labels = {
        label
        for line in generate_latest(metrics.registry).decode().splitlines()
        for label in re.findall(r"(\w+)=", line)
    }
    assert labels <= {"topic", "partition", "outcome", "reason", "detector", "severity", "le"}
    reasons = {one.labels["reason"] for one in samples(metrics, "hindsight_records_total")}
    assert reasons <= set(events.REASONS) | {""}
    assert len(generate_latest(metrics.registry).splitlines()) < 250


def test_the_snapshot_age_starts_anew() -> None:
    metrics = Metrics()
    metrics._last_snapshot -= 100
    assert 100 <= (value(metrics, "hindsight_snapshot_age_seconds") or 0) < 110
    metrics.snapshot_taken()
    assert (value(metrics, "hindsight_snapshot_age_seconds") or 0) < 10


def test_they_are_served_and_a_taken_port_is_no_end() -> None:
    metrics = Metrics()
    server = metrics.serve("127.0.0.1", 0)
    assert server
    try:
        port = server.server_port
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        assert "# TYPE hindsight_event_to_row_seconds histogram" in text
        assert Metrics().serve("127.0.0.1", port) is None
    finally:
        server.shutdown()
        server.server_close()
