"""Patterns over nights: new, found again, missed and retired, back again; an earlier night changes nothing later."""

from datetime import UTC, datetime, timedelta

import msgspec
import psycopg
import pytest

from operators.identity import identity
from operators.mining.baselines import Analytics, Baseline
from operators.mining.features import Feature
from operators.mining.finding import Finding
from operators.mining.results import FADING, Mined, relations
from operators.taxonomy import PatternClass
from sinks.nightly import write_baselines, write_features, write_patterns, write_relations

FIRST = datetime(2026, 1, 5, tzinfo=UTC)
BASE = Finding(
    miner="flaky", key="k", kind="flaky", pattern_class=PatternClass.FAILURE_MODE, entities=("shop/main",),
    measure="failed", support=12, total=40, confidence=0.3, effect=2.5, effect_name="rate_ratio", p_value=1e-4,
    q_value=1e-3, first_seen_us=1767000000000000, last_seen_us=1767500000000000, sentence="It is flaky.",
    sql="SELECT 1",
)  # fmt: skip


def mined(key, score=0.5, subject="pipeline", status="confirmed", **changes):
    return Mined(msgspec.structs.replace(BASE, key=key, **changes), status, score, "", subject)


def night(number):
    return FIRST + timedelta(days=number)


def state(connection):
    rows = connection.execute(
        "SELECT pattern_data ->> 'key', is_active, confidence_score, jsonb_array_length(pattern_data -> 'missed'),"
        " resolved_at FROM detected_patterns ORDER BY 1"
    ).fetchall()
    return {key: (active, round(confidence, 6), missed, resolved) for key, active, confidence, missed, resolved in rows}


def lines(connection, key):
    rows = connection.execute(
        "SELECT e.evolution_type FROM pattern_evolution AS e JOIN detected_patterns AS p ON p.id = e.pattern_id"
        " WHERE p.pattern_data ->> 'key' = %s ORDER BY e.evolution_timestamp, e.evolution_type DESC",
        [key],
    ).fetchall()
    return [row[0] for row in rows]


@pytest.fixture
def connection(database):
    with psycopg.connect(database, autocommit=True) as held:
        yield held


def write(connection, found, number, miners=("flaky",)):
    with connection.transaction():
        return write_patterns(connection, found, miners, night(number))


def test_a_pattern_found_again_is_updated_and_one_that_is_missed_fades_until_it_is_retired(connection):
    assert write(connection, [mined("a"), mined("b")], 0).new == 2
    stored = write(connection, [mined("a", score=0.8, support=15)], 1)
    assert (stored.new, stored.again, stored.missed, stored.retired) == (0, 1, 1, 0)
    assert connection.execute("SELECT count(*), max(observation_count) FROM detected_patterns").fetchone() == (2, 15)
    sure = 1.0 - BASE.q_value
    assert state(connection)["b"] == (True, round(sure * FADING, 6), 1, None)
    write(connection, [mined("a", score=0.8)], 2)
    assert write(connection, [mined("a", score=0.8)], 3).retired == 1
    assert state(connection)["b"] == (False, round(sure * FADING**3, 6), 3, night(3))
    assert write(connection, [mined("a", score=0.8)], 4).missed == 0  # retired is retired
    assert lines(connection, "a") == ["opened", "strengthening"]
    assert lines(connection, "b") == ["opened", "weakening", "weakening", "weakening", "resolved"]
    # Back again: the same pattern, open again.
    assert write(connection, [mined("a"), mined("b")], 5).again == 2
    assert state(connection)["b"] == (True, round(sure, 6), 0, None)
    assert connection.execute("SELECT count(*) FROM execution_patterns").fetchone() == (2,)


def test_a_night_twice_is_a_night_once(connection):
    write(connection, [mined("a"), mined("b")], 0)
    write(connection, [mined("a")], 1)
    once = state(connection)
    assert write(connection, [mined("a")], 1).missed == 0
    assert state(connection) == once and lines(connection, "b") == ["opened", "weakening"]


def test_an_earlier_night_run_later_changes_nothing_of_what_a_later_one_said(connection):
    write(connection, [mined("a"), mined("b")], 0)
    write(connection, [mined("a", score=0.9)], 5)
    held = state(connection)
    write(connection, [mined("b", score=0.1)], 3)
    assert state(connection) == held


def test_patterns_of_a_miner_that_was_left_out_do_not_fade(connection):
    write(connection, [mined("a")], 0)
    assert write(connection, [], 1, miners=("rules",)).missed == 0
    assert state(connection)["a"][2] == 0


@pytest.mark.parametrize(
    ("subject", "table", "changes"),
    [
        ("task", "task_patterns", {"evidence": {"examples": ["7d444840-9dc0-11d1-b245-5ffdce74fad2", "no uuid"]}}),
        ("step", "execution_patterns", {}),
        ("integration", "integration_patterns", {"entities": ("github→jira:webhook",)}),
        ("series", "performance_patterns", {"kind": "change_point"}),
    ],
)
def test_each_kind_has_its_table(connection, subject, table, changes):
    write(connection, [mined("a", subject=subject, **changes)], 0)
    assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,)
    if subject == "task":
        assert len(connection.execute("SELECT task_ids FROM task_patterns").fetchone()[0]) == 1
    if subject == "integration":
        assert connection.execute("SELECT systems_involved FROM integration_patterns").fetchone() == (
            ["github", "jira"],
        )


def test_findings_are_shown_with_their_sql_and_are_no_news_to_the_correlator(connection):
    write(connection, [mined("a")], 0)
    row = connection.execute("SELECT kind, sentence, sql, support, total, status FROM nightly_findings").fetchone()
    assert row == ("flaky", "It is flaky.", "SELECT 1", 12, 40, "confirmed")
    assert connection.execute("SELECT count(*) FROM pattern_changes").fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM open_patterns").fetchone() == (0,)


def test_relations(connection):
    cause = mined("cause", entities=("shop",), score=0.9)
    effect = mined("effect", entities=("desk",), score=0.8)
    link = mined("link", kind="propagation", entities=("desk", "shop"), score=0.7, confidence=0.6,
                 evidence={"lag_s": 900.0, "median_lag_s": 90.0})  # fmt: skip
    step = mined("step", entities=("shop/test",), subject="step", score=0.5)
    half = BASE.first_seen_us + (BASE.last_seen_us - BASE.first_seen_us) // 2
    when = mined("when", kind="rule", entities=("shop",), score=0.4, first_seen_us=half)
    gone = mined("gone", entities=("shop",), score=0.3, first_seen_us=1, last_seen_us=2)
    found = [cause, effect, link, step, when, gone]
    rows = relations(found)
    said = {(row.kind, row.parent, row.child): row for row in rows}
    assert said["precedes", cause.id, effect.id].offset_s == 90.0
    assert ("causes", step.id, cause.id) in said
    assert said["correlates_with", cause.id, when.id].strength == pytest.approx(0.5)
    assert not [row for row in rows if gone.id in (row.parent, row.child)]  # another time
    assert not [row for row in rows if row.kind == "causes" and when.id in (row.parent, row.child)]
    assert not [row for row in rows if row.kind == "precedes" and link.id in (row.parent, row.child)]
    write(connection, found, 0)
    for _ in range(2):
        assert write_relations(connection, rows, night(0)) == len(rows)
    assert connection.execute("SELECT count(*) FROM pattern_relationships").fetchone() == (len(rows),)


def usual(kind, number, size=20):
    """A baseline of a thing called shop and the comparison with it, of a night."""
    at = night(number)
    baseline = Baseline(
        id=identity("baseline", f"{kind}{number}"), component_name="shop", component_kind=kind, baseline_type="weekly",
        baseline_metrics={"error_rate": {"mean": 0.1}}, confidence_level=0.95, sample_size=size, established_at=at,
        valid_until=at + timedelta(days=7),
    )  # fmt: skip
    now = Analytics(
        id=identity("analytics", f"{kind}{number}"), component_name="shop", component_kind=kind,
        metric_type="error_rate", baseline_value=0.1, current_value=0.2, performance_delta=100.0,
        measurement_window=timedelta(days=7), analyzed_at=at, context_metadata={},
    )  # fmt: skip
    return baseline, now


def test_a_pipeline_and_a_project_of_one_name_each_have_their_baseline(connection):
    for number, size in ((0, 20), (1, 30), (1, 31)):  # two nights, the second one twice
        rows, now = zip(usual("pipeline", number, size), usual("task", number, size + 100), strict=True)
        with connection.transaction():
            write_baselines(connection, rows, now)
    found = "SELECT component_kind, sample_size FROM performance_baselines WHERE {} ORDER BY 1, 2"
    assert connection.execute(found.format("is_active")).fetchall() == [("pipeline", 31), ("task", 131)]
    assert connection.execute(found.format("NOT is_active")).fetchall() == [("pipeline", 20), ("task", 120)]
    assert connection.execute(
        "SELECT component_kind, count(*) FROM performance_analytics GROUP BY 1 ORDER BY 1"
    ).fetchall() == [("pipeline", 2), ("task", 2)]
    # An earlier night that is run later does not take its place.
    with connection.transaction():
        write_baselines(connection, [usual("task", -1)[0]], [])
    assert connection.execute(found.format("is_active")).fetchall() == [("pipeline", 31), ("task", 131)]


def test_a_feature_that_a_night_no_longer_has_rests(connection):
    def features(number, *names):
        made = [Feature("code", name, "own", "so", 0.2, 0.1, True, {"target": "failed"}) for name in names]
        with connection.transaction():
            write_features(connection, made, night(number))
        rows = "SELECT feature_name FROM feature_engineering WHERE is_active ORDER BY 1"
        return [name for (name,) in connection.execute(rows).fetchall()]

    assert features(1, "lines", "axis_1") == ["code.axis_1", "code.lines"]
    assert features(0, "lines", "axis_0") == ["code.axis_0", "code.axis_1", "code.lines"]  # an earlier night, run later
    assert features(2, "lines") == ["code.lines"]


def test_what_only_an_old_night_finds_is_past(connection):
    write(connection, [mined("now")], 5)
    with connection.transaction():
        stored = write_patterns(connection, [mined("now"), mined("then")], (), night(1), old=True)
    assert (stored.new, stored.missed) == (1, 0)
    found = state(connection)
    assert found["now"][0] and not found["then"][0] and found["then"][3] == night(1)
    assert lines(connection, "then") == ["resolved", "opened"]
