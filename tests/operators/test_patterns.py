import re
import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.detect import threshold
from operators.detect.verdict import Verdict
from operators.identity import NAMESPACE
from operators.patterns import (
    Episode,
    Life,
    Pattern,
    Subject,
    advance,
    expire,
    pattern_id,
    severity,
    significance,
    snapshot_pattern,
)  # fmt: skip

SECOND = 1_000_000
DAY = 86_400 * SECOND
WEB = Subject("web-1", "cpu_usage", "resource", "hindsight.events.metric.v1", 3)
LIFE = Life()


def verdict(score=10.0, confidence=0.9, abnormal=True, direction="up"):
    return Verdict(score, 5.0, 30.0, 20.0, 40.0, direction, confidence, abnormal, {"mean": score})


NORMAL = None
HOLD = verdict(4.0, 0.6, abnormal=False)
WEAK = verdict(5.0, 0.65)
STRONG = verdict()


def drive(steps, life=LIFE, resume=False, subject=WEB):
    """Changes as (kind, pattern) of judgements (time, verdict), and the episode that is left."""
    episode, told = None, []
    for time, said in steps:
        if resume and episode is not None:
            episode = msgspec.msgpack.decode(msgspec.msgpack.encode(episode), type=Episode)
        episode, change = advance(episode, subject, "spike", said, 97.2 if said else 30.0, time, life)
        if change is not None:
            told.append((change.kind, change.pattern))
    return told, episode


def every(seconds, *verdicts):
    return [(i * seconds * SECOND, said) for i, said in enumerate(verdicts)]


def kinds(told):
    return [kind for kind, _ in told]


def test_an_incident_opens_is_observed_and_resolves():
    told, episode = drive(every(10, NORMAL, STRONG, STRONG, NORMAL, NORMAL, NORMAL))
    assert kinds(told) == ["opened", "observed", "resolved"]
    opened, _, resolved = (pattern for _, pattern in told)
    assert opened.pattern_id == resolved.pattern_id
    assert (opened.opened_us, opened.observation_count, opened.is_active) == (10 * SECOND, 1, True)
    assert (resolved.observation_count, resolved.last_observed_us, resolved.resolved_us, resolved.is_active) == (
        2, 20 * SECOND, 50 * SECOND, False,
    )  # fmt: skip
    assert not episode.active


def test_a_weak_verdict_opens_nothing_but_holds_what_is_open():
    assert drive(every(10, WEAK, WEAK, WEAK)) == ([], None)
    told, _ = drive(every(10, STRONG, WEAK))
    assert kinds(told) == ["opened", "observed"]


def test_the_configured_confidence_decides():
    assert kinds(drive(every(10, WEAK), Life(open_confidence=0.6))[0]) == ["opened"]
    assert drive(every(10, STRONG), Life(open_confidence=0.95)) == ([], None)


def test_a_hold_neither_opens_nor_counts_as_normal():
    assert drive(every(10, HOLD)) == ([], None)
    told, episode = drive(every(10, STRONG, NORMAL, NORMAL, HOLD, NORMAL, NORMAL))
    assert kinds(told) == ["opened"]
    assert episode.active
    assert episode.count == 1


def test_a_sparse_series_resolves_at_the_first_normal_value_after_a_while():
    told, _ = drive(every(3600, STRONG, NORMAL))
    assert kinds(told) == ["opened", "resolved"]


def test_coming_back_soon_is_the_same_pattern_and_counts_on():
    told, episode = drive(every(10, STRONG, NORMAL, NORMAL, NORMAL, NORMAL, STRONG))
    assert kinds(told) == ["opened", "resolved", "opened"]
    assert len({pattern.pattern_id for _, pattern in told}) == 1
    assert told[-1][1].observation_count == 2
    assert told[-1][1].is_active
    assert told[-1][1].resolved_us is None
    assert episode.reopened == 1


def test_coming_back_weakly_opens_nothing():
    told, episode = drive(every(10, STRONG, NORMAL, NORMAL, NORMAL, WEAK))
    assert kinds(told) == ["opened", "resolved"]
    assert not episode.active


def test_a_sparse_series_reopens_within_a_few_normal_values():
    assert len({p.pattern_id for _, p in drive(every(7200, STRONG, NORMAL, NORMAL, STRONG))[0]}) == 1
    assert len({p.pattern_id for _, p in drive(every(7200, STRONG, *[NORMAL] * 5, STRONG))[0]}) == 2


def test_a_flapping_pattern_takes_longer_to_resolve():
    flap = [STRONG, NORMAL, NORMAL, NORMAL]
    assert kinds(drive(every(10, *flap, *flap))[0]) == ["opened", "resolved", "opened"]
    assert kinds(drive(every(10, *flap, *flap, *[NORMAL] * 3))[0]) == [
        "opened",
        "resolved",
        "opened",
        "resolved",
    ]


def test_a_resolved_incident_is_forgotten_after_the_flap_time():
    calm = [NORMAL] * 70
    assert drive(every(10, STRONG, *calm))[1] is None
    assert len({p.pattern_id for _, p in drive(every(10, STRONG, *calm, STRONG))[0]}) == 2


def test_growing_worse_is_told():
    told, _ = drive(every(10, verdict(6.0), verdict(7.0), verdict(9.1), verdict(9.2)))
    assert kinds(told) == ["opened", "observed", "strengthening", "observed"]
    assert told[-1][1].peak_score == 9.2


def test_lasting_is_told_as_more_severe():
    told, _ = drive(every(60, *[STRONG] * 8))
    assert kinds(told).count("strengthening") == 1
    assert (told[0][1].severity, told[-1][1].severity) == ("medium", "high")


def test_a_silent_series_lets_go():
    _, episode = drive(every(10, STRONG))
    assert expire(episode, WEB, 86_399 * SECOND) == (episode, None)
    episode, change = expire(episode, WEB, 86_400 * SECOND)
    assert change.kind == "resolved"
    assert change.pattern.resolved_us == 0
    assert expire(episode, WEB, 86_401 * SECOND) == (None, None)


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 10, 10, 10, 60, 700, 2000]),
        st.one_of(
            st.sampled_from([NORMAL, NORMAL, NORMAL, HOLD, WEAK]),
            st.builds(verdict, score=st.floats(5.0, 50.0), confidence=st.floats(0.5, 1.0)),
        ),
    ),
    max_size=80,
).map(lambda gaps: [(sum(gap for gap, _ in gaps[: i + 1]) * SECOND, said) for i, (_, said) in enumerate(gaps)])


def brute_force(steps, life=LIFE):
    """(opened_us, count, re-openings) of each pattern, found by walking the whole list forward from each opening."""
    found, at = [], 0
    while at < len(steps):
        time, said = steps[at]
        if said is None or not said.abnormal or said.confidence < life.open_confidence:
            at += 1
            continue
        count, back, last = 0, 0, time
        while True:
            end, normals = at, 0
            for end in range(at, len(steps)):
                now, said = steps[end]
                if said is not None:
                    normals = 0
                    count += said.abnormal
                    last = now if said.abnormal else last
                    continue
                normals += 1
                if normals == life.close_after * min(4, 1 + back) or now - last >= life.quiet_us:
                    break
            else:
                at = len(steps)
                break
            resolved, normals, again = steps[end][0], 0, None
            for at in range(end + 1, len(steps)):
                now, said = steps[at]
                normals += said is None
                near = now - resolved <= life.flap_us or normals < life.flap_count
                if not near or (said is not None and said.abnormal and said.confidence >= life.open_confidence):
                    again = at if near else None
                    break
            else:
                at = len(steps)
            if again is None:
                break
            back += 1
        found.append((time, count, back))
    return found


def patterns_of(told):
    last = {}
    for kind, pattern in told:
        last[pattern.pattern_id] = (
            pattern.opened_us,
            pattern.observation_count,
            pattern.evidence["reopened"],
        )
        assert kind != "opened" or pattern.is_active
    return sorted(last.values())


@given(STEPS)
def test_incidents_are_what_a_brute_force_search_finds(steps):
    expected = brute_force(steps)
    told, _ = drive(steps)
    assert patterns_of(told) == sorted(expected)


@given(STEPS)
def test_a_restart_at_every_step_changes_nothing(steps):
    told, episode = drive(steps)
    again, twin = drive(steps, resume=True)
    assert told == again
    assert episode == twin


@given(STEPS)
def test_changes_follow_the_life_of_a_pattern(steps):
    open_id, known = None, set()
    confident = {time for time, said in steps if said is not None and said.abnormal and said.confidence >= 0.7}
    for kind, pattern in drive(steps)[0]:
        if kind == "opened":
            assert open_id is None
            assert pattern.last_observed_us in confident
            assert (pattern.pattern_id in known) == (pattern.evidence["reopened"] > 0)
            open_id = pattern.pattern_id
            known.add(open_id)
        assert pattern.pattern_id == open_id
        assert pattern.pattern_id == pattern_id("spike", WEB.entity, WEB.measure, pattern.opened_us)
        assert pattern.confidence >= 0.7, "never open with a confidence below the threshold"
        assert pattern.is_active == (kind != "resolved")
        assert pattern.opened_us <= pattern.last_observed_us <= (pattern.resolved_us or pattern.last_observed_us)
        assert 0.0 <= pattern.significance <= 1.0
        assert pattern.observation_count >= 1
        assert len(pattern.evidence["recent"]) <= 10
        if kind == "resolved":
            open_id = None


def test_the_id_is_derived_from_the_series_and_the_time():
    assert pattern_id("spike", "a", "b", 5) == uuid.uuid5(NAMESPACE, "pattern:spike\0a\0b\0" + "5")
    assert len({pattern_id("spike", "a", "b", 5), pattern_id("spike", "ab", "", 5), pattern_id("spike", "a", "b", 6),
                pattern_id("threshold", "a", "b", 5)}) == 4  # fmt: skip


def test_a_spike_says_what_is_usual():
    told, _ = drive(every(10, STRONG))
    pattern = told[0][1]
    assert pattern.pattern_name == "cpu_usage of web-1 spiked to 97.2 (usual 20–40)"
    assert pattern.pattern_type == "spike"
    assert (pattern.category, pattern.pattern_class) == ("performance", "cpu_memory_usage_trend")
    assert pattern.explanation.endswith("seen once, first at 1970-01-01T00:00:00.000Z.")
    assert len(pattern.detection_algorithm) <= 100


def test_a_pattern_is_json():
    told, _ = drive(every(10, STRONG, STRONG, NORMAL))
    raw = msgspec.json.encode(told[0][1])
    assert msgspec.json.decode(raw, type=Pattern) == told[0][1]
    assert msgspec.json.decode(raw)["category"] == "performance"


def run_threshold(values, measure="cpu_usage"):
    rule, state, episode, told = threshold.rule_for(measure), threshold.ThresholdState(), None, []
    for i, value in enumerate(values):
        episode, change = advance(episode, WEB, "threshold", threshold.judge(state, rule, value), value, i * SECOND)
        if change is not None:
            told.append((i, change.kind, change.pattern))
    return told


def test_a_limit_clearly_passed_opens_at_once_and_barely_passed_at_the_second():
    assert [(i, kind) for i, kind, _ in run_threshold([50, 88.0])] == [(1, "opened")]
    assert [(i, kind) for i, kind, _ in run_threshold([50, 80.1, 80.1])] == [(2, "opened")]
    assert run_threshold([50, 80.1, 50, 80.1, 50]) == []


def test_a_limit_says_its_rule():
    pattern = run_threshold([97.24])[0][2]
    assert pattern.pattern_name == "cpu_usage of web-1 above 80 % (peak 97.24 %)"
    assert pattern.detection_algorithm == "threshold: high_cpu_usage"
    assert "high_cpu_usage" in pattern.explanation
    assert pattern.severity == "high"


def test_an_error_rate_says_its_counts():
    rule, state = threshold.rule_for("failed"), threshold.RateState()
    said = threshold.judge_rate(state, rule, 0, 40, 9)
    ci = Subject("acme/shop", "failed", "pipeline", "file", 0)
    _, change = advance(None, ci, "threshold", said, state.rate, 0)
    pattern = change.pattern
    assert pattern.pattern_name == "acme/shop fails too often: 22.5 % of runs (limit 5 %)"
    assert "9 of the last 40 runs of acme/shop failed" in pattern.explanation
    assert (pattern.category, pattern.value) == ("error", 0.225)


def test_a_welcome_change_is_info():
    faster = Subject("acme/shop", "duration_s", "pipeline", "file", 0)
    told, _ = drive(every(10, verdict(50.0, direction="down")), subject=faster)
    assert told[0][1].severity == "info"
    assert "dropped to" in told[0][1].pattern_name


@pytest.mark.parametrize("entity", ["e" * 2000, "ü" * 300])
def test_a_name_fits_its_column(entity):
    told, _ = drive(every(10, STRONG), subject=Subject(entity, "cpu_usage", "resource", "t", 0))
    assert len(told[0][1].pattern_name) <= 255
    assert told[0][1].pattern_name.endswith("(usual 20–40)")


@given(st.floats(1.0, 1e6), st.floats(1.0, 1e6), st.integers(0, 10**12), st.integers(1, 10**6))
def test_severity_grows_with_the_score_and_the_time(one, other, duration, count):
    order = ("info", "low", "medium", "high", "critical")
    low, high = sorted((one, other))
    assert order.index(severity(low, duration, count)) <= order.index(severity(high, duration, count))
    assert order.index(severity(low, 0, 1)) <= order.index(severity(low, duration, count))
    assert significance(low, 5.0) <= significance(high, 5.0) < 1.0


def test_an_open_incident_stays_small():
    rule, state, episode = threshold.rule_for("failed"), threshold.RateState(), None
    for i in range(200):
        said = threshold.judge_rate(state, rule, i * 10 * SECOND, 10**9, 10**9 - i)
        episode, _ = advance(episode, WEB, "threshold", said, state.rate, 1_767_608_130_250_000 + i)
    assert episode is not None
    assert len(msgspec.msgpack.encode(episode)) < 600
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(episode))
    assert all(re.fullmatch("[a-z]{1,2}", name) for name in fields)


def test_a_snapshot_is_the_last_change():
    told, episode = drive(every(10, STRONG, STRONG, STRONG))
    assert snapshot_pattern(episode, WEB) == told[-1][1]


def test_a_pattern_weakens_and_comes_back():
    scores = (40.0, 39.0, 38.0, 17.0, 12.0, 28.0)
    told, _ = drive(every(10, *map(verdict, scores)))
    assert kinds(told) == ["opened", "observed", "strengthening", "weakening", "observed", "strengthening"]
    assert told[2][1].before == (40.0, "medium", "up"), "a third observation may wake somebody"
    pattern = told[3][1]
    assert pattern.before == (40.0, "high", "up")
    assert pattern.score == 17.0
    assert pattern.peak_score == 40.0


def test_a_pattern_shifts_when_it_turns():
    told, _ = drive(every(10, verdict(), verdict(direction="down"), verdict(direction="down"), verdict()))
    assert kinds(told) == ["opened", "shifting", "observed", "shifting"]


@pytest.mark.parametrize(
    ("detector", "count", "evidence", "most"),
    [("spike", 2, {}, "medium"), ("spike", 3, {}, "high"), ("drift", 9, {}, "medium"), ("threshold", 1, {}, "high"),
     ("threshold", 9, {"usual": 0.4}, "medium"), ("correlation", 9, {}, "info")],
)  # fmt: skip
def test_who_may_wake_somebody(detector, count, evidence, most):
    episode = Episode(detector, 0, SECOND, SECOND, count=count, peak_score=40.0, threshold=5.0, evidence=evidence)
    if detector == "threshold":
        evidence |= {"rule": "r", "limit": 5.0, "unit": "%", "in_a_row": 1}
    if detector in ("drift", "correlation"):
        evidence |= {"leader": "a", "lag_s": 0.0, "strength": 1.0, "q_value": 0.0, "n": 9}
    assert snapshot_pattern(episode, WEB).severity == most
