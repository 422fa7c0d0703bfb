"""One event is told once, and the list varies; nothing is lost."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.mining.results import Mined
from operators.mining.telling import LEAST_SCORE, MOST_OF_ONE, WINDOW, component, listed, told
from tests.operators.mining.test_validate import FINDING, NOW

DAY = 86_400_000_000


def mined(entity="shop", kind="rule", measure="failed", score=0.5, subject="pipeline", **fields):
    key = fields.pop("key", f"{entity}|{kind}|{measure}|{fields}")
    finding = msgspec.structs.replace(FINDING, entities=(entity,), kind=kind, measure=measure, key=key, **fields)
    return Mined(finding, "confirmed", score, "", subject)


def change(entity, day, measure="failed", subject="pipeline", score=0.5):
    at = NOW - (100 - day) * DAY
    return mined(entity, "change_point", measure, score, subject, first_seen_us=at,
                 evidence={"at_us": at, "before": 0.5, "after": 0.1})  # fmt: skip


def test_a_step_and_its_pipeline_are_one_event_told_by_the_step():
    found = [change("shop", 30, score=0.9), change("shop/test", 33, subject="step", score=0.5),
             change("shop", 31, "duration_s", score=0.4)]  # fmt: skip
    [line] = told(found)
    assert line.one.finding.entities == ("shop/test",) and len(line.others) == 2
    assert line.sentence.endswith(" It shows in shop and shop (duration) as well.")


def test_several_steps_are_told_by_the_pipeline():
    found = [change("shop", 30, score=0.9), *(change(f"shop/{n}", 30, subject="step") for n in range(3))]
    [line] = told(found)
    assert line.one.finding.entities == ("shop",)


def test_other_components_and_other_times_are_other_events():
    assert len(told([change("shop", 30), change("bank", 30), change("shop", 60, "duration_s")])) == 3


def test_the_changes_of_one_series_are_one_story():
    [line] = told([change("shop", 20, score=0.9), change("shop", 80, score=0.2)])
    assert line.one.score == 0.2
    assert "It changed before: from 50 % to 10 % around" in line.sentence


def test_errors_of_a_component_are_one_line():
    def error(entity, name, support, score):
        return mined(entity, "error_signature", subject="step", support=support, score=score,
                     evidence={"signature": name, "with": []})  # fmt: skip

    found = [error("shop/a", "TestA", 12, 0.4), error("shop/b", "TestA", 9, 0.3), error("shop/a", "TestB", 8, 0.2)]
    [line] = told(found)
    assert line.sentence.endswith(" The same in b. Others that come back: “TestB” (8).")


def test_a_flaky_step_and_its_pipeline_are_one_line():
    [line] = told([mined("shop", "flaky", score=0.9), mined("shop/e2e", "flaky", subject="step", score=0.5)])
    assert line.one.finding.entities == ("shop/e2e",) and line.sentence.endswith(" It shows in shop as well.")


def test_no_component_fills_the_list_while_there_are_others():
    found = [mined("shop", score=0.9 - n / 100, key=f"a{n}") for n in range(8)]
    found += [mined(f"other-{n}", kind=f"kind-{n}", score=0.1) for n in range(7)]
    first = [component(line.one) for line in told(found)[:WINDOW]]
    assert first.count("shop") == MOST_OF_ONE and first[:3] == ["shop"] * 3
    alone = [mined("shop", score=0.9 - n / 100, key=f"a{n}") for n in range(8)]
    assert [line.one for line in told(alone)] == alone


def test_what_is_worth_hardly_anything_is_not_listed():
    found = [mined(score=0.5), mined("bank", score=LEAST_SCORE / 2)]
    assert [line.one for line in listed(found)] == found[:1] and len(told(found)) == 2


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["shop", "bank", "desk"]), st.sampled_from(["rule", "change_point"]), st.integers(0, 90)
        ),
        max_size=25,
    )
)
def test_every_finding_is_in_one_line(drawn):
    found = [
        change(entity, day, f"m{n}") if kind == "change_point" else mined(entity, key=f"k{n}")
        for n, (entity, kind, day) in enumerate(drawn)
    ]
    lines = told(found)
    ids = [one.id for line in lines for one in (line.one, *line.others)]
    assert sorted(ids) == sorted(one.id for one in found)
