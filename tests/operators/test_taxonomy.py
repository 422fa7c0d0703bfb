import pytest

from operators.taxonomy import KINDS, Category, PatternClass, classify


def test_four_categories_of_four_classes():
    for category in Category:
        assert [c.category for c in PatternClass].count(category) == 4


@pytest.mark.parametrize(
    ("kind", "measure", "detector", "expected"),
    [
        ("resource", "cpu_usage", "spike", PatternClass.CPU_MEMORY_USAGE_TREND),
        ("resource", "memory_usage", "threshold", PatternClass.CPU_MEMORY_USAGE_TREND),
        ("resource", "disk_usage", "spike", PatternClass.RESOURCE_UTILIZATION_INEFFICIENCY),
        ("integration", "processing_ms", "threshold", PatternClass.RESPONSE_TIME_DEGRADATION),
        ("integration", "failed", "threshold", PatternClass.FAILURE_MODE),
        ("pipeline", "failed", "threshold", PatternClass.FAILURE_MODE),
        ("pipeline", "duration_s", "spike", PatternClass.BOTTLENECK_IDENTIFICATION),
        ("pipeline", "duration_s", "trend", PatternClass.PROCESS_OPTIMIZATION_OPPORTUNITY),
        ("step", "duration_s", "spike", PatternClass.BOTTLENECK_IDENTIFICATION),
        ("task", "duration_s", "spike", PatternClass.DEVELOPMENT_VELOCITY_TREND),
        ("code", "cyclomatic_complexity", "spike", PatternClass.COMPLEXITY_GROWTH_TREND),
        ("code", "duplicated_lines", "spike", PatternClass.CODE_SMELL_EVOLUTION),
        ("code", "lines_added", "spike", PatternClass.DEVELOPMENT_VELOCITY_TREND),
        ("code", "todo_count", "spike", PatternClass.TECHNICAL_DEBT_ACCUMULATION),
        ("metric", "http_requests", "spike", PatternClass.THROUGHPUT_OPTIMIZATION_OPPORTUNITY),
        ("metric", "request_latency_ms", "spike", PatternClass.RESPONSE_TIME_DEGRADATION),
        ("metric", "http_errors", "spike", PatternClass.FAILURE_MODE),
        ("metric", "anything", "spike", PatternClass.RESOURCE_UTILIZATION_INEFFICIENCY),
    ],
)
def test_classes(kind, measure, detector, expected):
    assert classify(kind, measure, detector) == (expected.category, expected)


@pytest.mark.parametrize(
    ("kind", "measure", "detector", "expected"),
    [
        ("code", "cyclomatic_complexity", "trend", PatternClass.REFACTORING_EFFECTIVENESS),
        ("code", "duplicated_lines", "drift", PatternClass.REFACTORING_EFFECTIVENESS),
        ("code", "cyclomatic_complexity", "spike", PatternClass.COMPLEXITY_GROWTH_TREND),
        ("pipeline", "failed", "drift", PatternClass.PREVENTION_EFFECTIVENESS),
        ("pipeline", "failed", "threshold", PatternClass.FAILURE_MODE),
        ("resource", "cpu_usage", "drift", PatternClass.CPU_MEMORY_USAGE_TREND),
        ("pipeline", "duration_s", "missing", PatternClass.PROCESS_OPTIMIZATION_OPPORTUNITY),
        ("integration", "sequence:r", "sequence", PatternClass.ERROR_PROPAGATION),
    ],
)
def test_classes_of_what_falls_and_of_what_is_foretold(kind, measure, detector, expected):
    assert classify(kind, measure, detector, "down") == (expected.category, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_class_for_any_measure(kind):
    assert classify(kind, "q", "spike")[1] in PatternClass


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="weather"):
        classify("weather", "rain", "spike")
