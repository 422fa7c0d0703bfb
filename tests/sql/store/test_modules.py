from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import msgspec
import psycopg
import pytest

from sql.store import integration, patterns, performance, pipelines, stream, tasks
from sql.store.errors import NotFound
from sql.store.pool import Database
from sql.store.store import Store
from tests.sql.store.samples import DAY, T0, fill, parents, sample


def test_patterns(store: Store, database: Database) -> None:
    severities = ["low", "high", "critical"]
    rows = fill(
        database,
        patterns.DETECTED_PATTERNS,
        9,
        lambda n: {
            "id": uuid.uuid4(), "entity": f"shop/{n % 2}", "severity": severities[n % 3], "pattern_type": f"t{n % 2}",
            "detected_at": T0 + n * DAY, "last_observed_at": T0 + n * DAY, "is_active": n % 2 == 0,
            "resolved_at": None if n % 2 == 0 else T0 + n * DAY, "confidence_score": n / 10,
        },
    )  # fmt: skip
    newest = list(reversed(rows))
    whole = store.patterns.listing
    assert whole().items == newest
    assert whole(severities=["critical"]).items == [newest[0], newest[3], newest[6]]
    assert whole(severities=[]).items == []
    assert whole(types=["t1"], active=False, since=T0 + 3 * DAY, until=T0 + 7 * DAY).items == [newest[3], newest[5]]
    assert whole(entity="shop/1", least_confidence=0.5).items == [newest[1], newest[3]]
    assert len(whole(entity_part="HOP/1").items) == 4
    assert whole(entity_part="%").items == []
    assert whole(entity="x' OR true --").items == []
    assert whole(order="confidence_score", limit=2).items == newest[:2]
    assert whole(measure="none").items == whole(categories=["quality"]).items == []
    assert store.patterns.open_by_severity() == {"low": 2, "high": 1, "critical": 2}


def test_a_pattern_with_all_that_is_known_of_it(store: Store, database: Database) -> None:
    ids = [uuid.uuid4() for _ in range(4)]
    fill(database, patterns.DETECTED_PATTERNS, 4, lambda n: {"id": ids[n], "entity": "detail"})
    for parent, child, kind, strength in ((0, 1, "causes", 0.5), (2, 0, "precedes", 0.9), (1, 2, "causes", 1.0)):
        link = sample(
            patterns.PATTERN_RELATIONSHIPS,
            parent_pattern_id=ids[parent],
            child_pattern_id=ids[child],
            relationship_type=kind,
            relationship_strength=strength,
        )
        store.patterns.relationships.create(link)
    for hours, change in ((2, "resolved"), (1, "opened")):
        store.patterns.evolution.create(
            sample(
                patterns.PATTERN_EVOLUTION,
                pattern_id=ids[0],
                evolution_type=change,
                evolution_timestamp=T0 + timedelta(hours=hours),
            )
        )
    first = store.patterns.label(ids[0], "expected", actor="ann", note="it's fine", at=T0)
    assert store.patterns.label(ids[0], "false_positive", actor="ann", at=T0).id == first.id
    store.patterns.label(ids[0], "true_positive", actor="bob", at=T0 + DAY)

    detail = store.patterns.detail(ids[0])
    assert detail.pattern.id == ids[0]
    assert [(r.pattern.id, r.relationship.relationship_type) for r in detail.related] == [
        (ids[2], "precedes"),
        (ids[1], "causes"),
    ]
    assert [change.evolution_type for change in detail.evolution] == ["opened", "resolved"]
    assert [(c.actor, c.classification_value) for c in detail.classifications] == [
        ("ann", "false_positive"),
        ("bob", "true_positive"),
    ]
    assert msgspec.json.encode(detail).startswith(b'{"pattern":{"id":')
    with pytest.raises(NotFound):
        store.patterns.label(uuid.uuid4(), "expected")
    with pytest.raises(NotFound):
        store.patterns.detail(uuid.uuid4())


def test_tasks(store: Store, database: Database) -> None:
    rows = fill(
        database,
        tasks.TASKS,
        4,
        lambda n: {
            "external_id": f"T{n}", "project_name": f"p{n % 2}", "status": "open" if n < 3 else "done",
            "updated_at": T0 + n * DAY, "title": f"Fix 100 % of №{n}", "assigned_to_name": "ann", "priority": n,
        },
    )  # fmt: skip
    assert store.tasks.listing(project="p0").items == [rows[2], rows[0]]
    assert store.tasks.listing(project="p1", statuses=["done"], assignee="ann", title="100 %").items == [rows[3]]
    assert store.tasks.listing(least_priority=3).items[0] == rows[3]
    edge = store.tasks.dependencies.create(
        sample(tasks.TASK_DEPENDENCIES, parent_task_id=rows[0].id, dependent_task_id=rows[1].id)
    )
    assert store.tasks.waits_for(rows[1].id) == store.tasks.awaited_by(rows[0].id) == [edge]
    assert store.tasks.waits_for(rows[0].id) == []
    runs = fill(
        database,
        tasks.TASK_EXECUTIONS,
        5,
        lambda n: {
            "task_id": rows[0].id, "attempt": n, "project_name": "p0", "execution_start": T0 + n * DAY,
            "execution_end": T0 + n * DAY + timedelta(seconds=10 * n), "status": "error" if n == 4 else "success",
        },
    )  # fmt: skip
    assert store.tasks.attempts(task_id=rows[0].id, statuses=["error"], project="p0").items == [runs[4]]
    (flow,) = store.tasks.flow(T0, T0 + 5 * DAY)
    assert (flow.project_name, flow.attempts, flow.failures, flow.median_seconds) == ("p0", 5, 1, 20.0)
    assert flow.p95_seconds == pytest.approx(38.0)
    pattern = store.tasks.patterns.create(sample(tasks.TASK_PATTERNS, pattern_id=uuid.uuid4(), task_ids=[rows[2].id]))
    assert store.tasks.patterns_of(rows[2].id) == [pattern]
    assert store.tasks.patterns_of(rows[2].id, before=T0) == store.tasks.patterns_of(rows[1].id) == []


def test_pipelines(store: Store, database: Database) -> None:
    words = ["success", "failure", "cancelled", "success", "running"]
    runs = fill(
        database,
        pipelines.PIPELINE_EXECUTIONS,
        5,
        lambda n: {
            "execution_id": str(n), "pipeline_name": "build", "execution_start": T0 + n * DAY, "status": words[n],
            "execution_end": None, "total_duration": 10.0 * n, "commit_sha": f"c{n}",
        },
    )  # fmt: skip
    steps = fill(
        database,
        pipelines.STEP_EXECUTIONS,
        3,
        lambda n: {
            "pipeline_execution_id": runs[0].id, "step_order": 2 - n, "step_name": f"s{n % 2}",
            "pipeline_name": "build",
            "status": "failure" if n == 1 else "success", "execution_end": T0 + timedelta(seconds=n),
        },
    )  # fmt: skip
    assert store.pipelines.listing(pipeline="build", statuses=["success"]).items == [runs[3], runs[0]]
    assert store.pipelines.listing(commit_sha="c2", since=T0, until=T0 + 3 * DAY).items == [runs[2]]
    assert store.pipelines.steps(runs[0]) == steps[::-1]
    (health,) = store.pipelines.health(T0, T0 + 5 * DAY)
    assert (health.name, health.runs, health.judged, health.failed, health.median_seconds) == ("build", 5, 3, 1, 20.0)
    assert health.last_start == T0 + 4 * DAY
    assert [(s.name, s.runs, s.failed) for s in store.pipelines.step_health("build", T0, T0 + DAY)] == [
        ("s1", 1, 1),
        ("s0", 2, 0),
    ]
    configurations = fill(
        database,
        pipelines.PIPELINE_CONFIGURATIONS,
        2,
        lambda n: {"pipeline_name": "build", "configuration_version": str(n), "is_active": n == 1},
    )
    assert store.pipelines.active_configurations("build") == configurations[1:]
    found = store.pipelines.patterns.create(
        sample(pipelines.EXECUTION_PATTERNS, pattern_id=uuid.uuid4(), pipeline_name="build")
    )
    assert store.pipelines.patterns_of("build", T0, T0 + DAY) == [found]


def test_integration(store: Store, database: Database) -> None:
    cause = uuid.uuid4()
    events = fill(
        database,
        integration.INTEGRATION_EVENTS,
        4,
        lambda n: {
            "source_system": "git", "target_system": "jira", "event_type": f"t{n % 2}", "correlation_id": cause,
            "status": ["success", "partial", "success", "failure"][n], "event_timestamp": T0 + n * DAY,
            "processing_duration": float(n),
        },
    )  # fmt: skip
    assert store.integration.listing(source="git", event_types=["t1"], statuses=["failure"]).items == [events[3]]
    assert store.integration.listing(target="jira", correlation_id=cause, until=T0 + DAY).items == [events[0]]
    (failing, well) = store.integration.health(T0, T0 + 4 * DAY)
    assert (failing.event_type, failing.events, failing.failed, failing.median_ms) == ("t1", 2, 2, 2.0)
    assert (well.failed, well.last_at) == (0, T0 + 2 * DAY)
    links = [
        store.integration.correlations.create(
            sample(
                integration.EVENT_CORRELATIONS, primary_event_id=events[a].id, related_event_id=events[b].id,
                discovered_at=T0 + n * DAY,
            )
        )
        for n, (a, b) in enumerate([(0, 1), (2, 0), (1, 2)])
    ]  # fmt: skip
    assert store.integration.correlated(events[0].id) == links[:2]
    impact = store.integration.impacts.create(sample(integration.EVENT_IMPACTS, event_id=events[0].id))
    assert store.integration.impacts_of(events[0].id) == [impact]
    pattern = store.integration.patterns.create(
        sample(integration.INTEGRATION_PATTERNS, pattern_id=uuid.uuid4(), systems_involved=["git", "jira"])
    )
    assert store.integration.patterns_of("jira", T0, T0 + DAY) == [pattern]
    assert store.integration.patterns_of("slack", T0, T0 + DAY) == []


def test_performance(store: Store, database: Database) -> None:
    analyses = fill(
        database, performance.PERFORMANCE_ANALYTICS, 3, lambda n: {"component_name": "a", "analyzed_at": T0 + n * DAY}
    )
    assert store.performance.analyses(component="a", since=T0 + DAY).items == analyses[:0:-1]
    assert store.performance.analyses(metric_types=["none"]).items == []
    older = sample(performance.PERFORMANCE_BASELINES, component_name="a", valid_until=None)
    newer = msgspec.structs.replace(
        sample(performance.PERFORMANCE_BASELINES, component_name="a", established_at=T0 + DAY, valid_until=None)
    )
    assert store.performance.baseline("a", "daily") is None
    for baseline in (older, newer, newer):
        assert store.performance.establish(baseline) == baseline
        assert store.performance.baseline("a", "daily") == baseline
    assert store.performance.baselines.get(older.id).is_active is False
    advice = fill(
        database,
        performance.OPTIMIZATION_OPPORTUNITIES,
        3,
        lambda n: {"component_affected": "a", "priority_score": float(n), "recommendation_text": f"do {n}"},
    )
    ask = store.performance.recommendations
    assert ask(component="a", types=[advice[0].opportunity_type], least_priority=1.0).items == advice[:0:-1]
    store.performance.opportunities.update(advice[2].id, {"status": "dismissed"})
    store.performance.opportunities.save(advice[2])
    assert ask(component="a", statuses=["identified"], efforts=["low"]).items == advice[1::-1]
    pattern = store.performance.patterns.create(
        sample(performance.PERFORMANCE_PATTERNS, pattern_id=uuid.uuid4(), affected_components=["a", "b"])
    )
    assert store.performance.patterns_of("b", T0, T0 + DAY) == [pattern]


def test_stream_and_kpis(store: Store, database: Database, module_database: str) -> None:
    letters = fill(
        database,
        stream.DEAD_LETTERS,
        3,
        lambda n: {"id": uuid.uuid4(), "topic": "t", "reason": f"r{n % 2}", "received_at": T0 + n * DAY},
    )
    assert store.stream.listing(topic="t", reasons=["r0"]).items == [letters[2], letters[0]]
    edge = store.stream.dependencies.create(sample(stream.CODE_DEPENDENCIES, codebase_id="c", to_node="b"))
    assert store.stream.depends_on("c", "b") == [edge]
    with psycopg.connect(module_database) as connection:
        connection.execute("INSERT INTO stream_counters VALUES ('t', 0, 'read', '', 5, now())")
    assert [(c.input, c.outcome, c.n) for c in store.stream.quality()] == [("t", "read", 5)]

    parents(database)
    store.patterns.label(uuid.UUID(int=5), "true_positive", at=T0)
    start = datetime(2030, 1, 1, tzinfo=UTC)
    nothing = {kpi.name: kpi for kpi in store.stream.kpis(start, start + DAY)}
    assert len(nothing) == 12
    assert {kpi.value for kpi in nothing.values()} == {None, 0.0}
    store.pipelines.executions.create(
        sample(
            pipelines.PIPELINE_EXECUTIONS, execution_id="kpi", execution_start=start, execution_end=None,
            status="failure", total_duration=60.0,
        )
    )  # fmt: skip
    fill(
        database,
        patterns.DETECTED_PATTERNS,
        2,
        lambda n: {
            "id": uuid.UUID(int=100 + n), "detected_at": start, "last_observed_at": start, "opened_at": start,
            "event_time": start, "written_at": start + timedelta(seconds=4),
        },
    )  # fmt: skip
    for verdict, hour in (("false_positive", 1), ("true_positive", 2)):
        store.patterns.label(uuid.UUID(int=100), verdict, at=start + timedelta(hours=hour))
    store.patterns.label(uuid.UUID(int=101), "false_positive", at=start)
    kpis = {kpi.name: (kpi.value, kpi.sample) for kpi in store.stream.kpis(start, start + 2 * DAY)}
    assert kpis["pipeline_failure_rate"] == (1.0, 1)
    assert kpis["patterns_detected_per_day"] == (1.0, 2)
    assert kpis["time_to_detection"] == (4.0, 2)
    assert kpis["false_positive_rate"] == kpis["pattern_accuracy"] == (0.5, 2)
