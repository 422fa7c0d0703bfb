"""The routes that read."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from sinks.prometheus import Metrics
from sql.store.models import Model
from sql.store.patterns import PatternEvolution, PatternRelationship
from sql.store.pipelines import PipelineExecution
from sql.store.stream import DeadLetter
from tests.api.conftest import Api
from tests.api.rows import MINUTE, T0, opportunity, pattern, patterns, series

SPECIFIED = {
    "id", "pattern_type", "confidence_score", "detected_at", "description", "impact_assessment", "recommendations",
}  # fmt: skip
ADVISED = {
    "id", "recommendation_type", "priority_score", "potential_improvement", "effort_estimate", "description",
    "implementation_steps",
}  # fmt: skip


def ids(found: list[dict[str, Any]]) -> list[int]:
    return [uuid.UUID(one["id"]).int for one in found]


def test_patterns_have_the_specifications_fields_and_its_path_has_an_alias(api: Api) -> None:
    patterns(api.store, 1)
    api.store.performance.opportunities.save(opportunity())
    (found,) = api.get("/patterns")
    assert set(found) >= SPECIFIED
    assert found["description"] == "cpu_usage of web-1 is 93 % (1)."
    assert found["impact_assessment"] == {
        "severity": "high", "significance_score": 0.8, "duration_seconds": 300.0, "observation_count": 1,
        "value": 93.0, "expected": 41.0,
    }  # fmt: skip
    assert [one["description"] for one in found["recommendations"]] == ["Keep what was fetched."]
    assert api.get("/api/v1/patterns") == [found]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({}, [4, 3, 2, 1]),
        ({"pattern_types": ["trend", "drift"]}, [4, 3]),
        ({"severities": "low"}, [2]),
        ({"confidence_threshold": 0.95}, [3]),
        ({"start_date": (T0 + 2 * MINUTE).isoformat(), "end_date": (T0 + 4 * MINUTE).isoformat()}, [3, 2]),
        ({"start_date": "2026-01-06"}, []),
        ({"active": "false"}, [1]),
        ({"entity": "web-1", "measure": "cpu_usage"}, [3, 2, 1]),
        ({"entity_part": "EB-9"}, [4]),
        ({"categories": "error"}, [4]),
        ({"order": "confidence_score", "descending": "false", "limit": 2}, [1, 2]),
    ],
)
def test_filters(api: Api, query: dict[str, Any], wanted: list[int]) -> None:
    api.store.patterns.patterns.save_all(
        [
            pattern(1, is_active=False, resolved_at=T0 + 9 * MINUTE, confidence_score=0.8),
            pattern(2, severity="low", confidence_score=0.85),
            pattern(3, pattern_type="trend", confidence_score=0.99),
            pattern(4, pattern_type="drift", entity="web-9", pattern_category="error"),
            pattern(5, confidence_score=0.3),
        ]
    )
    assert ids(api.get("/patterns", **query)) == wanted


def test_pages_have_no_gap_while_rows_come_in(api: Api) -> None:
    before = {row.id.int for row in patterns(api.store, 60)}
    ended = threading.Event()

    def insert() -> None:
        number = 1000
        while not ended.is_set():
            api.store.patterns.patterns.save(pattern(number, at=T0 + (number % 90) * MINUTE))
            number += 1

    writer = threading.Thread(target=insert)
    writer.start()
    try:
        found: list[int] = []
        url = "/api/v1/patterns?limit=7"
        while url:
            response = api.client.get(url)
            assert response.status_code == 200
            found += ids(response.json())
            link = response.links.get("next", {}).get("url", "")
            assert not link or link.startswith("/api/v1/patterns?")
            url = link
            assert len(found) < 5000
    finally:
        ended.set()
        writer.join()
    assert len(found) == len(set(found))
    assert before <= set(found)


def test_a_cursor_of_another_listing_is_a_conflict(api: Api) -> None:
    patterns(api.store, 3)
    after = str(api.client.get("/patterns?limit=1").links["next"]["url"]).partition("after=")[2]
    assert api.get(f"/patterns?limit=1&active=true&after={after}", 409)["type"].endswith("cursor-of-another-listing")
    assert api.get("/patterns?after=nonsense", 409)["status"] == 409


def test_a_pattern_with_all_that_is_known_of_it(api: Api) -> None:
    store = api.store
    one = pattern(5)
    store.patterns.patterns.save_all([pattern(1), pattern(2, entity="db"), one, pattern(9)])
    store.patterns.relationships.save(
        PatternRelationship(
            parent_pattern_id=uuid.UUID(int=2), child_pattern_id=one.id, relationship_type="precedes",
            relationship_strength=0.7, temporal_offset=180, discovered_at=T0,
        )
    )  # fmt: skip
    store.patterns.evolution.save(
        PatternEvolution(
            pattern_id=one.id, evolution_type="strengthening", current_state={"score": 9}, change_magnitude=2.0,
            evolution_timestamp=T0 + 6 * MINUTE,
        )
    )  # fmt: skip
    store.patterns.label(one.id, "expected", actor="ada", note="load test")
    minutes = [(minute, 40.0) for minute in [*range(-25, 5), *range(20, 35)]]
    series(api.url, "web-1", "cpu_usage", minutes)

    found = api.get(f"/patterns/{one.id}")
    assert set(found) >= SPECIFIED
    assert found["evidence"]["evidence"] == {"z": 7.5}
    assert ids(found["earlier"]) == [1]
    assert [(r["relationship_type"], r["is_parent"], r["offset_seconds"]) for r in found["relations"]] == [
        ("precedes", True, 180)
    ]
    assert [change["evolution_type"] for change in found["history"]] == ["strengthening"]
    assert [(said["value"], said["by"], said["note"]) for said in found["judgements"]] == [
        ("expected", "ada", "load test")
    ]
    around = found["series"]
    assert around["series"]["entity"] == "web-1" and len(around["points"]) == 45
    assert around["gaps"] == [{"start": "2026-01-05T10:04:20Z", "end": "2026-01-05T10:20:00Z"}]
    assert found["incident_id"] is None
    assert api.get("/patterns/00000000-0000-0000-0000-0000000000ff", 404)["title"] == "Not Found"
    assert api.get("/patterns/7", 404)["status"] == 404


def test_series_by_name_and_by_id(api: Api) -> None:
    number = series(api.url, "shop/main{a=1}", "cpu/0", [(minute, float(minute)) for minute in range(120)])
    series(api.url, "web-1", "load", [(0, 1.0)])
    assert api.get("/series", entity_part="SHOP") == [
        {"id": str(number), "entity": "shop/main{a=1}", "measure": "cpu/0", "kind": "resource"}
    ]
    by_id = api.get(f"/series/{number}/points", width=12, start_date=T0.isoformat(), end_date="2026-01-05T12:00:00Z")
    path = f"/series/{quote('shop/main{a=1}', safe='')}/{quote('cpu/0', safe='')}/points"
    assert api.get(path, width=12, start_date=T0.isoformat(), end_date="2026-01-05T12:00:00Z") == by_id
    assert by_id["step"] == 600 and len(by_id["points"]) == 12
    assert by_id["points"][1] == {"time": "2026-01-05T10:10:00Z", "n": 10, "min": 10.0, "max": 19.0, "avg": 14.5}
    # Without a range: up to the last value.
    assert api.get(path)["points"][-1]["max"] == 119.0
    assert api.get("/series/web-1/load/points", start_date="2026-01-07", end_date="2026-01-06")["points"] == []
    api.get("/series/web-1/no/points", 404)
    api.get("/series/12345/points", 404)
    api.get("/series/99999999999999999999/points", 422)
    api.get("/series/web-1/load/points", 422, width=0)


def test_a_name_with_slashes_may_be_written_plainly(api: Api) -> None:
    series(api.url, "shop/main/build", "duration_s", [(0, 1.0)])
    assert len(api.get("/series/shop/main/build/duration_s/points")["points"]) == 1


def test_recommendations(api: Api) -> None:
    for name, priority in [("web-1", 0.9), ("web-2", 0.6), ("web-3", 0.2)]:
        api.store.performance.opportunities.save(opportunity(component_affected=name, priority_score=priority))
    found = api.get("/recommendations")
    assert [one["component_name"] for one in found] == ["web-1", "web-2"]
    assert set(found[0]) >= ADVISED
    assert found[0]["implementation_steps"] == ["Add a cache.", "Measure."]
    assert found[0]["supporting_data"] == {"runs": 7}
    assert len(api.get("/recommendations", priority_threshold=0)) == 3
    assert [one["component_name"] for one in api.get("/recommendations", component_name="web-2")] == ["web-2"]
    assert api.get("/recommendations", optimization_types=["index"]) == []


def test_incidents(api: Api) -> None:
    patterns(api.store, 2)
    insert = """
        INSERT INTO incidents (id, title, summary, entity, category, pattern_class, severity, confidence, status,
            started_at, updated_at, patterns, series)
        VALUES (%s, 't', 's', 'web-1', 'performance', 'c', 'high', 0.9, %s, %s, %s, 1, 1)
    """
    with psycopg.connect(api.url) as connection:
        for number, status in [(1, "open"), (2, "resolved")]:
            started = T0 + number * MINUTE
            connection.execute(insert, [uuid.UUID(int=number), status, started, T0 + timedelta(hours=1)])
            connection.execute(
                "INSERT INTO incident_patterns (pattern_id, incident_id, joined_at) VALUES (%s, %s, %s)",
                [uuid.UUID(int=number), uuid.UUID(int=number), T0],
            )
    assert ids(api.get("/incidents")) == [2, 1]
    assert ids(api.get("/incidents", statuses="open")) == [1]
    assert ids(api.get(f"/incidents/{uuid.UUID(int=2)}")["members"]) == [2]
    assert api.get(f"/patterns/{uuid.UUID(int=1)}")["incident_id"] == str(uuid.UUID(int=1))
    api.get(f"/incidents/{uuid.UUID(int=9)}", 404)


def test_models(api: Api) -> None:
    model = Model(
        model_name="failures", model_type="classification", model_purpose="p", algorithm_name="a", model_version="1",
        model_parameters={}, training_data_hash="a" * 64, model_artifact_path="x", performance_metrics={"auc": 0.8},
    )  # fmt: skip
    version = api.store.models.register(model, "b" * 64)
    found = api.get(f"/models/{version.model_id}/performance")
    assert (found["model_name"], found["performance_metrics"]) == ("failures", {"auc": 0.8})
    assert api.get("/models/failures/performance") == found
    api.get("/models/nothing/performance", 404)
    api.get(f"/models/{uuid.uuid4()}/performance", 404)


def test_key_figures_and_quality(api: Api) -> None:
    patterns(api.store, 3)
    with psycopg.connect(api.url) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO stream_counters VALUES ('a.v1', 0, %s, %s, %s, %s)",
            [("read", "", 10, T0), ("applied", "", 7, T0), ("dead_letter", "bad_time", 2, T0)],
        )
    found = {one["name"]: one for one in api.get("/kpis", start_date="2026-01-05", end_date="2026-01-06")}
    assert found["patterns_detected_per_day"]["value"] == 3.0
    assert found["pipeline_failure_rate"]["value"] is None
    assert api.get("/kpis", start_date="2026-01-06", end_date="2026-01-06") == []
    quality = api.get("/quality")
    assert quality["inputs"][0]["difference"] == quality["total"]["difference"] == 1
    assert quality["total"]["dead_letter_reasons"] == {"bad_time": 2}


def test_an_overview_of_what_is_open(api: Api) -> None:
    api.store.patterns.patterns.save_all(
        [
            pattern(1, severity="critical"), pattern(2), pattern(3, is_active=False, resolved_at=T0 + 9 * MINUTE),
            pattern(4, detection_algorithm="nightly: rules"),
            pattern(5, at=T0 + timedelta(days=2), event_time=T0, ingested_at=T0, written_at=T0 + timedelta(days=2)),
        ]
    )  # fmt: skip
    found = api.get("/overview")
    assert found["open_patterns"] == {"critical": 1, "high": 2}
    assert found["open_incidents"] == {} and found["latency"] == {"n": 0, "p50": None, "p99": None}
    assert [(one["day"][:10], one["severity"], one["n"]) for one in found["days"]] == [
        ("2026-01-05", "critical", 1), ("2026-01-05", "high", 2), ("2026-01-07", "high", 1),
    ]  # fmt: skip
    assert [one["day"][:10] for one in api.get("/overview", days=2)["days"]] == ["2026-01-07"]
    # What was mined at night is a finding, and a pattern all the same.
    assert ids(api.get("/findings")) == ids(api.get("/patterns", origin="nightly")) == [4]
    assert ids(api.get("/patterns", origin="live")) == [5, 3, 2, 1]


def test_findings_that_are_retired_come_only_when_they_are_asked_for(api: Api) -> None:
    def mined(number: int, missed: int) -> Any:
        data = {"missed": [f"2026-01-0{at}" for at in range(missed)], "found_at": "2026-01-05T00:00:00+00:00"}
        gone = {"is_active": False, "resolved_at": T0 + 9 * MINUTE} if missed == 3 else {}
        return pattern(number, detection_algorithm="nightly: rules", pattern_data=data, **gone)

    api.store.patterns.patterns.save_all([mined(1, 0), mined(2, 2), mined(3, 3)])
    found = {int(one["id"][-1]): one for one in api.get("/findings", retired="true")}
    assert {number: (one["nights_missed"], one["is_active"]) for number, one in found.items()} == {
        1: (0, True), 2: (2, True), 3: (3, False),
    }  # fmt: skip
    assert found[2]["found_at"] == "2026-01-05T00:00:00Z"
    assert sorted(ids(api.get("/findings"))) == [1, 2]
    assert ids(api.get("/findings", active="false")) == ids(api.get("/findings", active="false", retired="true")) == [3]


def test_nights_and_the_quality_of_their_data(api: Api) -> None:
    assert api.get("/nights") == api.get("/nights/quality") == []
    with psycopg.connect(api.url) as connection:
        connection.execute(
            "INSERT INTO nightly_runs (id, range_start, range_end, engine, status, summary, problem, started_at,"
            " finished_at) SELECT ('0000000' || n || '-0000-0000-0000-000000000000')::uuid, '2025-01-01Z',"
            " '2026-01-01Z'::timestamptz + n * interval '1 d', 'embedded', CASE n WHEN 3 THEN 'failed' ELSE 'finished'"
            " END, '{\"new\": 4}', CASE n WHEN 3 THEN 'no room' END, %s, %s FROM generate_series(1, 3) AS n",
            [T0, T0 + MINUTE],
        )
        cursor = connection.cursor()
        cursor.executemany(
            "INSERT INTO nightly_quality (run_id, table_name, source, n, active_days, coverage, longest_gap_days,"
            " stale_days, duplicates, impossible, checks, missing, status, problems) VALUES"
            " ('00000002-0000-0000-0000-000000000000', 'runs', %s, %s, 9, 0.5, 3, 1, 0, 0, '{}', '{}', %s, %s)",
            [("a", 9, "good", []), ("b", 2, "notice", ["a gap"]), ("c", 1, "bad", ["twice"])],
        )
    nights = api.get("/nights", limit=2)
    assert [(one["range_end"], one["status"], one["problem"]) for one in nights] == [
        ("2026-01-04T00:00:00Z", "failed", "no room"), ("2026-01-03T00:00:00Z", "finished", None),
    ]  # fmt: skip
    assert nights[1]["summary"] == {"new": 4} and nights[1]["skipped_parts"] == 0
    quality = api.get("/nights/quality")
    assert [(one["source"], one["status"], one["problems"]) for one in quality] == [
        ("c", "bad", ["twice"]), ("b", "notice", ["a gap"]), ("a", "good", []),
    ]  # fmt: skip


def test_work_is_shown_up_to_the_last_of_each_kind(api: Api) -> None:
    assert api.get("/work") == {
        "last": {"run": None, "attempt": None, "exchange": None}, "pipelines": [], "tasks": [], "integrations": [],
    }  # fmt: skip

    def ran(number: int, days: int, status: str) -> PipelineExecution:
        at = T0 + timedelta(days=days)
        return PipelineExecution(
            pipeline_name="shop", execution_id=str(number), execution_start=at, execution_end=at + MINUTE,
            status=status, total_duration=60.0, trigger_type="manual", event_finished=True, event_time=at, event_id="e",
        )  # fmt: skip

    api.store.pipelines.executions.save_all([ran(1, 0, "success"), ran(2, 40, "failure"), ran(3, 41, "cancelled")])
    (shop,) = api.get("/work")["pipelines"]
    assert (shop["runs"], shop["judged"], shop["failed"]) == (2, 1, 1)
    assert api.get("/work", days=60)["pipelines"][0]["runs"] == 3
    assert api.get("/work", start_date="2026-01-05", end_date="2026-01-06")["pipelines"][0]["runs"] == 1
    assert api.get("/work", start_date="2026-01-06", end_date="2026-01-05")["pipelines"] == []
    assert [run["execution_id"] for run in api.get("/runs", statuses=["failure", "cancelled"])] == ["3", "2"]
    assert api.get("/steps", pipeline_name="shop", start_date="2026-01-05", end_date="2026-01-06") == []


def test_dead_letters_with_the_beginning_of_their_bytes(api: Api) -> None:
    values = {1: b"\xff" + b"x" * 5000, 2: None}
    for number, value in values.items():
        api.store.stream.dead_letters.save(
            DeadLetter(
                id=uuid.UUID(int=number), topic="a.v1", partition=0, record_offset=number, reason="not_json",
                record_value=value, received_at=T0 + number * MINUTE,
            )
        )  # fmt: skip
    none, cut = api.get("/dead-letters")
    assert (none["bytes"], none["sample"]) == (None, None)
    assert (cut["bytes"], len(cut["sample"]), cut["sample"][:2]) == (5001, 2000, "\ufffdx")
    assert api.get("/dead-letters", reasons="bad_time") == []


def test_the_system_and_its_flows(start: Any) -> None:
    from prometheus_client import start_http_server

    metrics = Metrics()
    metrics.watermark.labels("a.v1", "3").set(1767607200.0)
    metrics.lag.labels("a.v1", "3").set(7)
    server, _ = start_http_server(0, addr="127.0.0.1", registry=metrics.registry)
    try:
        port = server.server_port
        api = start(flow_metrics=(f"http://127.0.0.1:{port}/metrics", "http://127.0.0.1:1/metrics"))
        up, down = api.get("/system")["flows"]
        assert (up["is_up"], down["is_up"]) == (True, False)
        (place,) = up["partitions"]
        assert (place["topic"], place["partition"], place["watermark_seconds"], place["lag"]) == (
            "a.v1", 3, 1767607200.0, 7,
        )  # fmt: skip
        assert "127.0.0.1" not in str([up, down])
    finally:
        server.shutdown()
        server.server_close()
