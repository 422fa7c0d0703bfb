"""The kinds of pattern there are: four categories of four classes each (specification 1.4)."""

from enum import StrEnum


class Category(StrEnum):
    """What a pattern is about; the values are those of `detected_patterns.pattern_category`."""

    PERFORMANCE = "performance"
    QUALITY = "quality"
    WORKFLOW = "workflow"
    ERROR = "error"


class PatternClass(StrEnum):
    """A class of pattern, four to a category; the values are the specification's names, in snake case."""

    CPU_MEMORY_USAGE_TREND = "cpu_memory_usage_trend"
    RESPONSE_TIME_DEGRADATION = "response_time_degradation"
    THROUGHPUT_OPTIMIZATION_OPPORTUNITY = "throughput_optimization_opportunity"
    RESOURCE_UTILIZATION_INEFFICIENCY = "resource_utilization_inefficiency"

    COMPLEXITY_GROWTH_TREND = "complexity_growth_trend"
    TECHNICAL_DEBT_ACCUMULATION = "technical_debt_accumulation"
    CODE_SMELL_EVOLUTION = "code_smell_evolution"
    REFACTORING_EFFECTIVENESS = "refactoring_effectiveness"

    DEVELOPMENT_VELOCITY_TREND = "development_velocity_trend"
    BOTTLENECK_IDENTIFICATION = "bottleneck_identification"
    COLLABORATION_EFFECTIVENESS = "collaboration_effectiveness"
    PROCESS_OPTIMIZATION_OPPORTUNITY = "process_optimization_opportunity"

    FAILURE_MODE = "failure_mode_classification"
    ERROR_PROPAGATION = "error_propagation"
    RECOVERY_TIME = "recovery_time_analysis"
    PREVENTION_EFFECTIVENESS = "prevention_strategy_effectiveness"

    @property
    def category(self) -> Category:
        """The category that the class belongs to."""
        return _CATEGORY[self]


_CATEGORY = dict(
    zip(PatternClass, (category for category in Category for _ in range(4)), strict=True)
)  # the classes stand in the order of their categories

KINDS = ("metric", "resource", "pipeline", "step", "task", "integration", "code")
"""What a series can be of."""

_BY_WORD: dict[str, tuple[tuple[tuple[str, ...], PatternClass], ...]] = {
    "any": (
        (("recovery", "mttr", "restore"), PatternClass.RECOVERY_TIME),
        (("cascade", "propagat"), PatternClass.ERROR_PROPAGATION),
        (("retry", "retries", "prevent"), PatternClass.PREVENTION_EFFECTIVENESS),
        (("fail", "error", "exception", "crash", "timeout", "5xx"), PatternClass.FAILURE_MODE),
    ),
    "code": (
        (("complex", "cyclomatic", "cognitive", "nesting", "halstead"), PatternClass.COMPLEXITY_GROWTH_TREND),
        (("smell", "duplicat", "lint", "dead_code"), PatternClass.CODE_SMELL_EVOLUTION),
        (("refactor", "maintainab"), PatternClass.REFACTORING_EFFECTIVENESS),
        (("author", "review", "owner", "reviewer"), PatternClass.COLLABORATION_EFFECTIVENESS),
        (
            ("commit", "churn", "lines_added", "lines_deleted", "velocity"),
            PatternClass.DEVELOPMENT_VELOCITY_TREND,
        ),
    ),
    "resource": ((("cpu", "memory"), PatternClass.CPU_MEMORY_USAGE_TREND),),
    "metric": (
        (("cpu", "memory", "load_average"), PatternClass.CPU_MEMORY_USAGE_TREND),
        (("lead_time", "velocity", "commit", "deploy"), PatternClass.DEVELOPMENT_VELOCITY_TREND),
        (("review", "handover"), PatternClass.COLLABORATION_EFFECTIVENESS),
        (("queue", "wait", "backlog"), PatternClass.BOTTLENECK_IDENTIFICATION),
        (("latency", "response", "duration", "elapsed", "_ms$"), PatternClass.RESPONSE_TIME_DEGRADATION),
        (
            ("throughput", "request", "qps", "rps", "bytes", "per_second"),
            PatternClass.THROUGHPUT_OPTIMIZATION_OPPORTUNITY,
        ),
        (("complexity",), PatternClass.COMPLEXITY_GROWTH_TREND),
        (("coverage", "debt"), PatternClass.TECHNICAL_DEBT_ACCUMULATION),
    ),
    "integration": ((("processing_ms",), PatternClass.RESPONSE_TIME_DEGRADATION),),
}

_OTHERWISE = {
    "metric": PatternClass.RESOURCE_UTILIZATION_INEFFICIENCY,
    "resource": PatternClass.RESOURCE_UTILIZATION_INEFFICIENCY,
    "pipeline": PatternClass.BOTTLENECK_IDENTIFICATION,
    "step": PatternClass.BOTTLENECK_IDENTIFICATION,
    "task": PatternClass.DEVELOPMENT_VELOCITY_TREND,
    "integration": PatternClass.RESPONSE_TIME_DEGRADATION,
    "code": PatternClass.TECHNICAL_DEBT_ACCUMULATION,
}


_BETTER_BELOW = {
    PatternClass.COMPLEXITY_GROWTH_TREND: PatternClass.REFACTORING_EFFECTIVENESS,
    PatternClass.TECHNICAL_DEBT_ACCUMULATION: PatternClass.REFACTORING_EFFECTIVENESS,
    PatternClass.CODE_SMELL_EVOLUTION: PatternClass.REFACTORING_EFFECTIVENESS,
    PatternClass.FAILURE_MODE: PatternClass.PREVENTION_EFFECTIVENESS,
}
"""What it is when that falls for good: the same numbers tell that work was worth it."""

_LASTING = frozenset({"trend", "drift"})
"""Detectors of changes that stay."""


def classify(kind: str, measure: str, detector: str, direction: str = "up") -> tuple[Category, PatternClass]:
    """The category and class of a pattern that `detector` finds in a series of `kind` and `measure`.

    The measure's words decide, then the kind; a slow trend (`detector` "trend") in how long a run takes, or runs that
    do not come (`missing`), are a process to improve rather than a bottleneck. Complexity, debt or failures that fall
    to stay (`direction` "down") speak of refactoring or prevention; a sequence foretells what errors lead to. Raises
    ValueError for a kind that is not among `KINDS`.

    >>> classify("resource", "cpu_usage", "threshold")
    (<Category.PERFORMANCE: 'performance'>, <PatternClass.CPU_MEMORY_USAGE_TREND: 'cpu_memory_usage_trend'>)
    >>> classify("pipeline", "failed", "threshold")[0].value, classify("code", "complexity", "spike")[0].value
    ('error', 'quality')
    >>> classify("code", "complexity", "trend", "down")[1].value
    'refactoring_effectiveness'
    """
    if kind not in _OTHERWISE:
        raise ValueError(f"unknown kind of series: {kind!r}")
    found = PatternClass.ERROR_PROPAGATION if detector == "sequence" else _by_words(kind, measure)
    if found is None:
        found = _OTHERWISE[kind]
        if detector in ("trend", "missing") and found is PatternClass.BOTTLENECK_IDENTIFICATION:
            found = PatternClass.PROCESS_OPTIMIZATION_OPPORTUNITY
    if direction == "down" and detector in _LASTING and (kind == "code" or measure == "failed"):
        found = _BETTER_BELOW.get(found, found)
    return found.category, found


def _by_words(kind: str, measure: str) -> PatternClass | None:
    words = measure.lower() + "$"  # the end is a word too: "_ms$"
    for group in ("any", kind):
        for parts, pattern_class in _BY_WORD.get(group, ()):
            if any(part in words for part in parts):
                return pattern_class
    return None
