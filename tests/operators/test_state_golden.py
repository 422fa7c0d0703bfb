"""Snapshots that an earlier version wrote must load: `golden/detectors-v1.json` holds their bytes, in hexadecimal.

Never rewrite that file: a new field gets a default, and a new snapshot gets a file of its own.
"""

import json
from pathlib import Path

import msgspec
import pytest

from operators.detect import spike, threshold
from operators.floats import Floats, pack, unpack
from operators.patterns import Episode, Subject, advance, snapshot_pattern

GOLDEN = Path(__file__).parent / "golden" / "detectors-v1.json"
SECOND = 1_000_000
WEB = Subject("web-1", "cpu_usage", "resource", "hindsight.events.metric.v1", 0)


def spike_state():
    state = spike.SpikeState()
    for i in range(100):
        spike.judge(state, i * 10 * SECOND, 99.5 if i == 97 else 40.0 + i * 7 % 5, spike.SpikeConfig())
    return state


def threshold_state():
    state = threshold.ThresholdState()
    for value in (80.5, 81.0):
        threshold.judge(state, threshold.rule_for("cpu_usage"), value)
    return state


def rate_state():
    state = threshold.RateState()
    for i in range(40):
        state.update(i * 20 * SECOND, 3, int(i % 9 == 0))
    return state


def episode():
    state, found = threshold.ThresholdState(), None
    for i, value in enumerate((50.0, 92.5, 97.0, 97.5, 50.0)):
        said = threshold.judge(state, threshold.rule_for("cpu_usage"), value)
        found, _ = advance(found, WEB, "threshold", said, value, i * SECOND)
    return found


MAKERS = {"spike": spike_state, "threshold": threshold_state, "rate": rate_state, "episode": episode}
TYPES = {
    "spike": spike.SpikeState, "threshold": threshold.ThresholdState, "rate": threshold.RateState, "episode": Episode,
}  # fmt: skip


def golden(name):
    return bytes.fromhex(json.loads(GOLDEN.read_text())[name])


def approximately(value):
    """Floats of another platform's libm may differ in the last place."""
    if isinstance(value, float):
        return pytest.approx(value, rel=1e-12, abs=1e-300)
    if isinstance(value, Floats):
        return pytest.approx(value, rel=1e-12, abs=1e-300)
    if isinstance(value, list):
        return [approximately(item) for item in value]
    if isinstance(value, dict):
        return {key: approximately(item) for key, item in value.items()}
    return value


@pytest.mark.parametrize("name", MAKERS)
def test_an_old_snapshot_loads_as_what_it_was(name):
    loaded = unpack(golden(name), TYPES[name])
    held = msgspec.msgpack.decode(golden(name))
    for info in msgspec.structs.fields(TYPES[name]):
        value = getattr(MAKERS[name](), info.name) if info.encode_name in held else info.default
        if info.encode_name in held or value is not msgspec.NODEFAULT:  # a later field has its default
            assert getattr(loaded, info.name) == approximately(value), info.name


@pytest.mark.parametrize("name", MAKERS)
def test_every_field_of_an_old_snapshot_is_still_read(name):
    """A renamed field would load as its default, silently."""
    known = {field.encode_name for field in msgspec.structs.fields(TYPES[name])}
    assert set(msgspec.msgpack.decode(golden(name))) <= known


@pytest.mark.parametrize("name", MAKERS)
def test_a_field_added_with_a_default_is_no_obstacle(name):
    wider = msgspec.defstruct(
        "Wider",
        [("added", int, 7)],
        bases=(TYPES[name],),
        rename={**_names(TYPES[name]), "added": "zz"},
        gc=False,
    )
    loaded = unpack(golden(name), wider)
    assert loaded.added == 7
    back = unpack(pack(loaded), TYPES[name])
    assert back == unpack(golden(name), TYPES[name]), "and the version before ignores it"


def _names(struct):
    return {field.name: field.encode_name for field in msgspec.structs.fields(struct)}


def test_a_loaded_spike_state_goes_on_judging():
    loaded = unpack(golden("spike"), spike.SpikeState)
    assert spike.judge(loaded, 1000 * SECOND, 42.0, spike.SpikeConfig()) is None
    assert spike.judge(loaded, 1010 * SECOND, 99.5, spike.SpikeConfig()).abnormal


def test_a_loaded_incident_still_tells_its_pattern():
    loaded = unpack(golden("episode"), Episode)
    assert snapshot_pattern(loaded, WEB) == msgspec.structs.replace(snapshot_pattern(episode(), WEB), before=None)
    assert snapshot_pattern(loaded, WEB).observation_count == 3
