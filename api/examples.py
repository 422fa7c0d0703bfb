"""Examples in the description, as the API would answer."""

from typing import Any

PATTERN: dict[str, Any] = {
    "id": "7c496dde-3569-5b36-b5a7-19d2ef6a435b",
    "pattern_type": "threshold",
    "confidence_score": 0.94,
    "detected_at": "2026-01-05T10:15:30Z",
    "description": "cpu_usage of web-1 is 93 %, above the limit of 80 %.",
    "impact_assessment": {
        "severity": "high", "significance_score": 0.81, "duration_seconds": 340.0, "observation_count": 34,
        "value": 93.0, "expected": 41.0,
    },
    "recommendations": [],
    "pattern_name": "High cpu_usage on web-1",
    "pattern_class": "cpu_memory_usage_trend",
    "pattern_category": "performance",
    "severity": "high",
    "direction": "up",
    "significance_score": 0.81,
    "entity": "web-1",
    "measure": "cpu_usage",
    "is_active": True,
    "opened_at": "2026-01-05T10:15:30Z",
    "last_observed_at": "2026-01-05T10:21:10Z",
    "resolved_at": None,
    "observation_count": 34,
    "detection_algorithm": "threshold",
}  # fmt: skip
RECOMMENDATION: dict[str, Any] = {
    "id": "0b1e3a5c-2f1d-5b6a-9d1f-0c5f1f6f6d11",
    "recommendation_type": "cache",
    "priority_score": 0.9,
    "potential_improvement": 22.5,
    "effort_estimate": "low",
    "description": "Keep the dependencies of acme/build between runs.",
    "implementation_steps": ["Add a cache step before install.", "Key it by the lock file."],
    "component_name": "acme/build",
    "status": "identified",
    "identified_at": "2026-01-05T02:00:00Z",
    "supporting_data": {"runs": 412},
}
INCIDENT: dict[str, Any] = {
    "id": "e5d4d2b1-7f0c-5a5e-8f6d-2f4c6c1b8a90",
    "title": "web-1: cpu_usage and latency",
    "summary": "cpu_usage of web-1 is 93 %; two more series with it.",
    "entity": "web-1",
    "category": "performance",
    "pattern_class": "cpu_memory_usage_trend",
    "severity": "high",
    "confidence": 0.94,
    "status": "open",
    "merged_into": None,
    "is_wide": False,
    "started_at": "2026-01-05T10:15:30Z",
    "updated_at": "2026-01-05T10:21:10Z",
    "ended_at": None,
    "patterns": 3,
    "series": 3,
    "reopened": 0,
    "contributors": [["web-1 cpu_usage", 0.7]],
    "known_changes": [],
    "earlier": [],
    "inhibited": None,
}
SERIES: dict[str, Any] = {"id": "-4611686018427387904", "entity": "web-1", "measure": "cpu_usage", "kind": "resource"}
POINTS: dict[str, Any] = {
    "series": SERIES,
    "start": "2026-01-05T10:00:00Z",
    "end": "2026-01-05T10:30:00Z",
    "step": 60,
    "points": [{"time": "2026-01-05T10:00:00Z", "n": 12, "min": 39.5, "max": 44.0, "avg": 41.2}],
    "gaps": [{"start": "2026-01-05T10:05:00Z", "end": "2026-01-05T10:12:00Z"}],
}
KPI: dict[str, Any] = {"name": "pipeline_failure_rate", "value": 0.07, "unit": "share", "sample": 412}
EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "run-4711",
    "source": "ci://github/acme/shop",
    "type": "dev.hindsight.metric.sampled.v1",
    "time": "2026-01-05T10:15:30.250Z",
    "data": {"metric_name": "latency", "metric_value": 12.5, "metric_unit": "ms", "source_system": "shop"},
}
RESULTS: dict[str, Any] = {
    "accepted": 1,
    "rejected": 1,
    "results": [
        {"index": 0, "id": "run-4711", "status": "accepted", "reason": None, "detail": None},
        {
            "index": 1, "id": None, "status": "rejected", "reason": "bad_envelope",
            "detail": "Object missing required field `type`",
        },
    ],
}  # fmt: skip
VERDICT: dict[str, Any] = {"pattern_id": PATTERN["id"], "verdict": "expected", "note": "load test"}
OUTCOME: dict[str, Any] = {"recommendation_id": RECOMMENDATION["id"], "status": "implemented"}
ANALYSIS: dict[str, Any] = {"start_date": "2026-01-05T00:00:00Z", "end_date": "2026-01-06T00:00:00Z", "entity": "web-1"}
