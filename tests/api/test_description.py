"""The OpenAPI description, and the API held against it."""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema_rs import Draft202012Validator
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from api import shapes
from api.app import create
from api.routes.analyses import AnalysisRequest
from api.routes.feedback import Outcome, Verdict
from api.tokens import new_token
from tests.api import analyses
from tests.api.conftest import CONFIG, Api, Written
from tests.api.rows import opportunity, patterns, series
from tests.api.serving import served

SECONDS = 8.0
"""After so long, each operation that is left is tried once: a slow machine must not make it fail."""


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, one) for path, all_ in document["paths"].items() for method, one in all_.items()]


def test_every_route_is_described(api: Api) -> None:
    document = api.get("/openapi.json")
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) >= {
        "/patterns", "/patterns/{pattern_id}", "/patterns/stream", "/patterns/analyze", "/analyses/{analysis_id}",
        "/recommendations", "/models/{model_id}/performance", "/series", "/series/{series_id}/points",
        "/series/{entity}/{measure}/points", "/kpis", "/quality", "/events", "/feedback", "/health/live",
        "/health/ready", "/metrics", "/incidents", "/incidents/{incident_id}",
    }  # fmt: skip
    for path, method, one in operations(document):
        place = f"{method} {path}"
        assert one["description"], place
        assert {"401", "429", "500", "503"} <= set(one["responses"]), place
        for status, answer in one["responses"].items():
            assert answer["description"], place
            if status >= "400":
                assert "application/problem+json" in answer["content"], place
        if method in ("post", "delete"):
            assert one["security"] == [{"token": []}], place
    # What is never answered is not described.
    assert "HTTPValidationError" not in str(document)


def test_references_lead_somewhere_and_examples_fit(api: Api) -> None:
    document = api.get("/openapi.json")
    names = set(re.findall(r"#/components/schemas/([^'\"]+)", str(document)))
    assert names <= set(document["components"]["schemas"])
    checked = 0
    for path, method, one in operations(document):
        contents = [*one.get("requestBody", {}).get("content", {}).values()]
        contents += [content for answer in one["responses"].values() for content in answer.get("content", {}).values()]
        for content in contents:
            found = [content["example"]] if "example" in content else []
            found += [example["value"] for example in content.get("examples", {}).values()]
            whole = {**content["schema"], "components": document["components"]}
            for example in found:
                problems = list(Draft202012Validator(whole).iter_errors(example))
                assert not problems, f"{method} {path}: {problems[0].message}"
                checked += 1
    assert checked >= 10


@pytest.mark.parametrize("shape", [Verdict, Outcome, AnalysisRequest, shapes.EventResults])
def test_examples_are_read_by_the_api_itself(api: Api, shape: Any) -> None:
    from api.examples import ANALYSIS, OUTCOME, RESULTS, VERDICT

    example = {Verdict: VERDICT, Outcome: OUTCOME, AnalysisRequest: ANALYSIS, shapes.EventResults: RESULTS}[shape]
    assert msgspec.json.decode(msgspec.json.encode(example), type=shape)


def test_schemathesis(database: str) -> None:
    """Requests made from the description, right ones and wrong ones: no 5xx, and every answer as described."""
    made = create(database, CONFIG, event_log=Written(), analyse=analyses.quick)
    store = made.services.store
    with served(made) as url:
        patterns(store, 3)
        store.performance.opportunities.save(opportunity())
        number = series(database, "web-1", "cpu_usage", [(minute, 1.0) for minute in range(30)])
        token, row = new_token("test", "admin")
        store.tokens.tokens.create(row)
        document = made.routes.openapi()
        schema = schemathesis.openapi.from_dict(document)
        tried: Counter[str] = Counter()
        began = time.monotonic()
        for path, method, about in operations(document):
            if path == "/patterns/stream":
                continue  # it has no end
            operation = schema[path][method.upper()]
            strategy = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
            if about.get("parameters") or about.get("requestBody"):
                strategy |= operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

            @settings(
                max_examples=5 if time.monotonic() - began < SECONDS else 1,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(strategy)
            def holds(case: Any) -> None:
                tried[f"{case.operation.method} {case.operation.path}"] += 1
                if "series_id" in case.path_parameters and tried.total() % 2:
                    case.path_parameters["series_id"] = str(number)
                # That the end comes after the start, no schema can say.
                unsaid = [positive_data_acceptance] if case.operation.path == "/patterns/analyze" else []
                headers = {"Authorization": f"Bearer {token}"}
                case.call_and_validate(base_url=url, headers=headers, excluded_checks=unsaid)

            holds()
        assert len(tried) == len(operations(document)) - 1
