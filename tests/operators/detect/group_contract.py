"""What every detector over a group of series must keep to: the form of `contract.check_detector` for groups."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tests.operators.detect.contract import encode

MINUTE = 60_000_000
Rows = Sequence[tuple[int, Mapping[str, float]]]


@dataclass(frozen=True)
class GroupTrack:
    """A detector as the check sees it: `advance(state, time_us, values)` answers anything; `sound` checks an answer.

    `size_limit` is bytes of state a series. `steps` is how long the inputs are.
    """

    name: str
    state_type: type[Any]
    advance: Callable[[Any, int, Mapping[str, float]], Any]
    sound: Callable[[Any], None]
    size_limit: int
    steps: int

    def run(self, rows: Rows) -> tuple[list[Any], Any]:
        state = self.state_type()
        return [self.advance(state, time, values) for time, values in rows], state


def check_group_detector(track: GroupTrack) -> None:
    """Raise AssertionError where `track` breaks the contract of detectors over a group."""
    for name, rows in group_inputs(track.steps).items():
        where = f"{track.name} on {name}"
        said, state = track.run(rows)
        for answer in said:
            track.sound(answer)
        series = len({key for _, values in rows for key in values}) or 1
        size = len(encode(state))
        assert size <= track.size_limit * series, f"{where}: state of {size} bytes for {series} series"
        again, twin = track.run(rows)
        assert again == said, f"{where}: not deterministic"
        assert encode(twin) == encode(state), f"{where}: states differ"
        for cut in (1, len(rows) // 3, len(rows) - 1):
            assert track.run(rows[:cut])[0] == said[:cut], f"{where}: the future changes the past"
        _resumes(track, rows, said, state, where)
    fields = msgspec.msgpack.decode(encode(track.state_type()))
    assert isinstance(fields, dict), f"{track.name}: the state must be a map"
    assert all(len(field) <= 2 for field in fields), f"{track.name}: long field names {sorted(fields)}"


def _resumes(track: GroupTrack, rows: Rows, said: list[Any], state: Any, where: str) -> None:
    now = track.state_type()
    for index, (time, values) in enumerate(rows):
        raw = encode(now)
        now = msgspec.msgpack.decode(raw, type=track.state_type)
        assert encode(now) == raw, f"{where}: a snapshot does not round-trip"
        assert track.advance(now, time, values) == said[index], f"{where}: resumed at {index}, it says otherwise"
    assert encode(now) == encode(state), f"{where}: resumed at each step, it ends elsewhere"


def group_inputs(steps: int) -> dict[str, Rows]:
    """Rows for each trouble that a group's feed can bring; the third series follows the first two steps later."""
    rnd = random.Random(11)
    base = [rnd.gauss(0, 1) for _ in range(steps + 2)]
    steady = [
        (i * MINUTE, {"a": 40 + base[i + 2], "b": rnd.gauss(5, 1), "c": 9 * base[i] + rnd.gauss(0, 3)})
        for i in range(steps)
    ]
    half = steps // 2

    def each(change: Callable[[int, str, float], float]) -> Rows:
        return [(time, {k: change(i, k, v) for k, v in values.items()}) for i, (time, values) in enumerate(steady)]

    trouble = (math.nan, math.inf, -math.inf)
    return {
        "steady": steady,
        "nothing": [(time, {}) for time, _ in steady],
        "one series": [(time, {"a": values["a"]}) for time, values in steady],
        "constant": each(lambda _, key, __: 5.0 if key != "b" else 0.0),
        "one constant, then not": each(lambda i, key, value: 7.0 if key == "a" and i < half else value),
        "two the same": [(time, {**values, "d": values["a"]}) for time, values in steady],
        "shift": each(lambda i, _, value: value + (500.0 if i > half else 0.0)),
        "extremes": each(lambda *_: rnd.choice((-1, 1)) * 10.0 ** rnd.randint(-300, 300)),
        "extreme after calm": each(lambda i, _, value: 1e300 * (-1) ** i if i > half else value),
        "tiny": each(lambda _, __, value: value * 1e-300),
        "heavy tail": each(lambda *_: rnd.paretovariate(0.5)),
        "not numbers": each(lambda i, _, value: trouble[i % 3] if rnd.random() < 0.1 else value),
        "missing": [(t, {k: v for k, v in values.items() if rnd.random() < 0.8}) for t, values in steady],
        "one leaves, one comes": [
            (t, {k: v for k, v in values.items() if k != ("a" if i > half else "b")})
            for i, (t, values) in enumerate(steady)
        ],
        "gaps": [(time + 86_400_000_000 * (i // (steps // 3)), values) for i, (time, values) in enumerate(steady)],
        "other cadence": [(time if i < half else half * MINUTE + (i - half) * 5 * MINUTE, values)
                          for i, (time, values) in enumerate(steady)],
        "fast": [(time // 6, values) for time, values in steady],
        "same time": [(0, values) for _, values in steady],
        "backwards": [(-time, values) for time, values in steady],
        "far ahead and back": [(time + 10**15 * (i == half), values) for i, (time, values) in enumerate(steady)],
        "many series": [
            (time, {f"s{number:02d}": rnd.gauss(0, 1) for number in range(45)}) for time, _ in steady[: steps // 4]
        ],
    }  # fmt: skip
