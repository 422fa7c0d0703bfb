"""What people say."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

from flows.feedback import adjustments_of
from tests.api.conftest import Api
from tests.api.rows import opportunity, patterns


def test_a_verdict_is_stored_and_signed_and_detection_learns_of_it(api: Api) -> None:
    (pattern,) = patterns(api.store, 1)
    said = {"pattern_id": str(pattern.id), "verdict": "false_positive", "note": "backup"}
    assert api.post("/feedback", said, 201) == {
        "pattern_id": str(pattern.id), "verdict": "false_positive", "recommendation_id": None, "status": None,
        "actor": "test write",
    }  # fmt: skip
    assert [(one["value"], one["by"]) for one in api.get(f"/patterns/{pattern.id}")["judgements"]] == [
        ("false_positive", "test write")
    ]
    assert adjustments_of(api.url)


def test_the_outcome_of_a_recommendation(api: Api) -> None:
    found = api.store.performance.opportunities.save(opportunity())
    said = {
        "recommendation_id": str(found.id), "status": "implemented", "implemented_at": "2026-01-06T00:00:00+01:00",
    }  # fmt: skip
    assert api.post("/feedback", said, 201)["status"] == "implemented"
    assert [one["status"] for one in api.get("/recommendations")] == ["completed"]
    with psycopg.connect(api.url) as connection:
        query = "SELECT recommendation_id, implementation_status FROM recommendation_effectiveness"
        assert connection.execute(query).fetchall() == [(found.id, "implemented")]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 422, "recommendation_id"),
        ({"pattern_id": "7", "verdict": "expected"}, 422, "body.pattern_id: Invalid UUID"),
        ({"pattern_id": str(uuid.UUID(int=9)), "verdict": "expected"}, 404, "There is no"),
        ({"pattern_id": str(uuid.UUID(int=9)), "verdict": "wrong"}, 422, "body.verdict"),
        ({"pattern_id": str(uuid.UUID(int=9)), "verdict": "expected", "who": "me"}, 422, "who"),
        ({"pattern_id": str(uuid.UUID(int=9)), "verdict": "expected", "note": "a\0b"}, 422, "note"),
        ({"recommendation_id": str(uuid.UUID(int=9)), "status": "pending"}, 404, "There is no"),
        (
            {"recommendation_id": str(uuid.UUID(int=9)), "status": "pending", "implemented_at": "2026-01-06T00:00:00"},
            422, "implemented_at",
        ),
    ],
)  # fmt: skip
def test_what_is_not_understood(api: Api, body: dict[str, Any], status: int, words: str) -> None:
    assert words in api.post("/feedback", body, status)["detail"]
