"""Events and patterns as tokens, for sequences (`operators.detect.rules` says what rules make of them).

================================== ============================================
token                              of
================================== ============================================
`pipeline:NAME:STATUS`             a run that has ended, or `started`
`step:PIPELINE/STEP:STATUS`        a step of it that did not end well
`task:PROJECT:STATUS`              an execution of a task (`tasks` without a project)
`integration:A→B:TYPE:STATUS`      an integration event
`configured:NAME`                  a new configuration of a pipeline
`pattern:RULE or DETECTOR:ENTITY`  a pattern that opened
================================== ============================================
"""

from operators import types as e
from operators.encode import integration_entity
from operators.patterns import Pattern

USUAL = frozenset({"success", "skipped"})
"""How steps end that nobody writes rules about: most do, and there are many."""


def tokens_of(event: e.Event) -> list[str]:
    """Tokens of an event, in order; none for a sample of a metric, a machine or code, and for what people say."""
    match event:
        case e.PipelineStarted():
            return [f"pipeline:{event.data.pipeline_name}:started"]
        case e.PipelineFinished():
            name = event.data.pipeline_name
            steps = sorted(event.data.steps or (), key=lambda step: step.step_order)
            odd = [f"step:{name}/{step.step_name}:{step.status}" for step in steps if step.status not in USUAL]
            return [*odd, f"pipeline:{name}:{event.data.status}"]
        case e.PipelineConfigured():
            return [f"configured:{event.data.pipeline_name}"]
        case e.TaskFinished():
            return [f"task:{event.data.project_id or 'tasks'}:{event.data.status}"]
        case e.IntegrationOccurred():
            return [f"integration:{integration_entity(event.data)}:{event.data.status}"]
    return []


def token_of_pattern(pattern: Pattern) -> str:
    """The token of a pattern that has opened: its rule where it has one, else its detector."""
    return f"pattern:{pattern.evidence.get('rule', pattern.pattern_type)}:{pattern.entity}"


def entity_of(token: str) -> str:
    """What a token is about.

    >>> entity_of("integration:a→b:push:failure"), entity_of("pattern:spike:web{az=a}"), entity_of("configured:shop")
    ('a→b:push', 'web{az=a}', 'shop')
    """
    kind, _, rest = token.partition(":")
    if kind == "pattern":
        return rest.partition(":")[2]
    return rest if kind == "configured" else rest.rpartition(":")[0]
