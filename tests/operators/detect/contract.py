"""What every detector must keep to, checked in one place (`check_detector`), as River does with `check_estimator`."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from operators.detect.verdict import Verdict
from operators.floats import pack, unpack

SECOND = 1_000_000
Points = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Track:
    """A detector as the check sees it. `values` says what it can be fed: any float, or outcomes (0 and 1)."""

    name: str
    state_type: type[Any]
    judge: Callable[[Any, int, float], Verdict | None]
    size_limit: int
    outcomes: bool = False

    def run(self, points: Points, state: Any = None) -> tuple[list[Verdict | None], Any]:
        state = self.state_type() if state is None else state
        return [self.judge(state, time, value) for time, value in points], state


def encode(state: Any) -> bytes:
    return pack(state)


def check_detector(track: Track) -> None:
    """Raise AssertionError where `track` breaks the contract of detectors."""
    for name, points in _inputs(track).items():
        verdicts, state = track.run(points)
        _well_formed(verdicts, f"{track.name} on {name}")
        assert len(encode(state)) <= track.size_limit, f"{track.name} on {name}: state of {len(encode(state))} bytes"
        again, twin = track.run(points)
        assert again == verdicts, f"{track.name} on {name}: not deterministic"
        assert encode(twin) == encode(state), f"{track.name} on {name}: states differ"
        _no_look_ahead(track, points, verdicts, name)
        _resumes(track, points, verdicts, state, name)
    _short_names(track)


def _inputs(track: Track) -> dict[str, Points]:
    rnd = random.Random(7)
    steady = [(i * 10 * SECOND, rnd.gauss(40, 4)) for i in range(150)]
    if track.outcomes:
        flips = [(time, float(rnd.random() < 0.1)) for time, _ in steady]
        return {
            "few failures": flips,
            "all failures": [(time, 1.0) for time, _ in steady],
            "constant": [(time, 0.0) for time, _ in steady],
            "fast": [(i * SECOND // 50, float(i % 3 == 0)) for i in range(2000)],
            "gaps": [(time * (1 + 5000 * (i // 40)), value) for i, (time, value) in enumerate(flips)],
            "backwards": [(-time, value) for time, value in flips],
        }
    return {
        "steady": steady,
        "spikes": [(time, 400.0 if i % 37 == 36 else value) for i, (time, value) in enumerate(steady)],
        "level shift": [(time, value + (500 if i > 75 else 0)) for i, (time, value) in enumerate(steady)],
        "constant": [(time, 5.0) for time, _ in steady],
        "zero, then one value": [(time, 3.0 if i == 100 else 0.0) for i, (time, _) in enumerate(steady)],
        "heavy tail": [(time, rnd.paretovariate(0.7)) for time, _ in steady],
        "extremes": [(time, rnd.choice((-1, 1)) * 10.0 ** rnd.randint(-300, 300)) for time, _ in steady],
        "extreme after calm": [(time, 1e300 * (-1) ** i if i > 60 else value)
                               for i, (time, value) in enumerate(steady)],
        "tiny": [(time, value * 1e-300) for time, value in steady],
        "tiny, heavy tail": [(time, 1e-308 * rnd.paretovariate(0.4)) for time, _ in steady],
        "not numbers": [(time, math.nan if i % 9 == 8 else math.inf if i == 70 else value)
                        for i, (time, value) in enumerate(steady)],
        "gaps": [(time + 86_400 * SECOND * (i // 40), value) for i, (time, value) in enumerate(steady)],
        "other cadence": [(time if i < 70 else 700 * SECOND + (i - 70) * 3600 * SECOND, value)
                          for i, (time, value) in enumerate(steady)],
        "same time": [(0, value) for _, value in steady],
        "backwards": [(-time, value) for time, value in steady],
    }  # fmt: skip


def _well_formed(verdicts: Sequence[Verdict | None], where: str) -> None:
    for verdict in verdicts:
        check_verdict(verdict, where)


def check_verdict(verdict: Verdict | None, where: str) -> None:
    """Raise AssertionError where a verdict makes no sense."""
    if verdict is None:
        return
    assert 0.0 <= verdict.confidence <= 1.0, where
    numbers = (verdict.score, verdict.threshold, verdict.expected, verdict.low, verdict.high)
    assert all(map(math.isfinite, numbers)), f"{where}: {verdict}"
    assert verdict.threshold > 0.0, where
    assert verdict.low <= verdict.expected <= verdict.high, f"{where}: {verdict}"
    assert verdict.score >= verdict.threshold or not verdict.abnormal, f"{where}: {verdict}"
    assert msgspec.json.decode(msgspec.json.encode(verdict.evidence)) == verdict.evidence, where


def _no_look_ahead(track: Track, points: Points, verdicts: Sequence[Verdict | None], name: str) -> None:
    for cut in (1, len(points) // 3, len(points) - 1):
        assert track.run(points[:cut])[0] == verdicts[:cut], f"{track.name} on {name}: the future changes the past"


def _resumes(track: Track, points: Points, verdicts: Sequence[Verdict | None], state: Any, name: str) -> None:
    state_now = track.state_type()
    for index, (time, value) in enumerate(points):
        raw = encode(state_now)
        state_now = unpack(raw, track.state_type)
        assert encode(state_now) == raw, f"{track.name} on {name}: a snapshot does not round-trip"
        said = track.judge(state_now, time, value)
        assert said == verdicts[index], f"{track.name} on {name}: resumed at {index}, it says otherwise"
    assert encode(state_now) == encode(state), f"{track.name} on {name}: resumed at each value, it ends elsewhere"


def _short_names(track: Track) -> None:
    fields = msgspec.msgpack.decode(encode(track.state_type()))
    assert isinstance(fields, dict), f"{track.name}: the state must be a map"
    assert all(len(field) <= 2 for field in fields), f"{track.name}: long field names {sorted(fields)}"
