"""What an incident looks like as an alert: one line stays one line, and nothing is too long or empty."""

from __future__ import annotations

import re

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.alerts import (
    MOST_EVIDENCE,
    MOST_LABEL,
    MOST_TEXT,
    Links,
    Stage,
    alert,
    annotations,
    identity_labels,
    signal,
    stage_labels,
)
from operators.episodes import SEVERITIES
from tests.notices import EVIDENCE, START_US, notice

TEXT = st.text(max_size=3000)


@settings(max_examples=60, deadline=None)
@given(TEXT, TEXT, TEXT, st.lists(TEXT, max_size=9))
def test_texts_from_outside_can_not_draw_over_the_rest(title: str, summary: str, entity: str, texts: list[str]) -> None:
    evidence = tuple(msgspec.structs.replace(EVIDENCE, entity=text) for text in texts)
    told = notice(
        title=title, summary=summary, entity=entity, changes=tuple(texts), earlier=tuple(texts), evidence=evidence
    )
    found = annotations(told, Links())
    for name, text in found.items():
        assert text
        assert len(text) <= MOST_TEXT, name
        lines = MOST_EVIDENCE if name in ("evidence", "changes", "earlier") else 1
        assert len(re.split(r"[\n\r\u2028\u2029\x0b\x0c]", text)) <= lines, name
    labels = identity_labels(told)
    assert all(len(value) <= MOST_LABEL for value in labels.values())
    assert not any(re.search(r"[\x00-\x1f]", value) for value in labels.values())


def test_only_the_stage_changes_the_labels() -> None:
    identity = identity_labels(notice())
    made = [
        stage_labels(identity, Stage(severity, escalated)) for severity in SEVERITIES for escalated in (False, True)
    ]
    assert len({tuple(sorted(labels.items())) for labels in made}) == 10
    for labels in made:
        assert {name for name in labels if labels.get(name) != identity.get(name)} <= {"severity", "escalated"}


def test_stages_are_ordered_by_severity_first() -> None:
    stages = [Stage(severity, escalated) for severity in SEVERITIES for escalated in (False, True)]
    for place, one in enumerate(stages):
        assert [one.above(other) for other in stages] == [other < place for other in range(10)]


def test_silence_is_told_by_the_strongest_pattern() -> None:
    silent = msgspec.structs.replace(EVIDENCE, detector="missing")
    assert signal(notice(evidence=(silent, EVIDENCE))) == "silence"
    assert signal(notice(evidence=(EVIDENCE, silent))) == "anomaly"
    assert signal(notice(evidence=())) == "anomaly"


def test_the_json_is_that_of_the_api() -> None:
    made = alert({"a": "b"}, Stage("high", False), notice(), START_US + 9, START_US, Links(incidents="https://x/i"))
    found = msgspec.json.decode(msgspec.json.encode(made))
    assert set(found) == {"labels", "annotations", "startsAt", "endsAt", "generatorURL"}
    assert found["startsAt"] == found["endsAt"] == "2026-01-05T10:15:30.000000Z", "it may not end before it starts"
    assert found["generatorURL"] == f"https://x/i/{notice().incident_id}"
    bare = msgspec.json.decode(msgspec.json.encode(alert({}, Stage("high", False), notice(), 0, 1, Links())))
    assert "generatorURL" not in bare
