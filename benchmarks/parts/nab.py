"""The novelty track over the Numenta Anomaly Benchmark, and tuned on one half of its files, over the other."""

import importlib.util
import random
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np

from operators.detect.novelty import NoveltyConfig, NoveltyState, judge

START_HOURS = (8.0, 3.0, 28.0, 3.0, 1.0, 3.0, 1.0, 1.0, 1440.0)
"""Memories that draws are made around, in hours, in the order of `NoveltyConfig.rates`."""

SPREAD = 3.0
"""Greatest factor between a draw and what it is made around."""

FAR_APART_US = 6 * 3_600_000_000
"""Abnormal values within this are one opening."""


@dataclass(frozen=True)
class Run:
    """One pass over all files: scores by file, CPU a value without and with a verdict for each, and what opened."""

    scores: dict[str, np.ndarray]
    rows: int
    us: float
    us_always: float
    state_bytes: int
    opened: int
    opened_right: int


@dataclass(frozen=True)
class Test:
    """One half: the best draw's score on it (`own`) and on the other half (`score`)."""

    own: float
    score: float


def load(tool: Path) -> ModuleType:
    """The scoring program as a module."""
    spec = importlib.util.spec_from_file_location("nab_score", tool)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["nab_score"] = module  # its data classes look themselves up there
    spec.loader.exec_module(module)
    return module


def column(data: Any, config: NoveltyConfig) -> np.ndarray:
    """The score of each value of one file."""
    state = NoveltyState()
    scores = np.zeros(len(data.values))
    for row, (time_us, value) in enumerate(_points(data)):
        verdict = judge(state, time_us, value, config, always=True)
        if verdict is not None:
            scores[row] = verdict.score
    return scores


def run(corpus: Mapping[str, Any]) -> Run:
    """Run the defaults over all files, in name order, a fresh state for each."""
    config = NoveltyConfig()
    scores = {}
    opened = right = size = 0
    start = time.process_time()
    for name, data in corpus.items():
        scores[name] = column(data, config)
    always = time.process_time() - start
    start = time.process_time()
    for data in corpus.values():
        state, last = NoveltyState(), -FAR_APART_US
        for row, (time_us, value) in enumerate(_points(data)):
            verdict = judge(state, time_us, value, config)
            if verdict is not None and verdict.abnormal:
                if time_us - last > FAR_APART_US:
                    opened += 1
                    right += data.window_of[row] >= 0
                last = time_us
        size = max(size, len(msgspec.msgpack.encode(state)))
    quiet = time.process_time() - start
    rows = sum(map(len, scores.values()))
    return Run(scores, rows, quiet / rows * 1e6, always / rows * 1e6, size, opened, int(right))


def held_out(
    module: ModuleType,
    corpus: Mapping[str, Any],
    splits: int,
    count: int,
    seed: int,
) -> tuple[list[Test], list[float]]:
    """Draw configurations, pick the best on one half of the files, score it on the other.

    Returns two tests a split and each draw's standard score on all files.
    """
    rnd = random.Random(seed)

    def factor() -> float:
        return SPREAD ** rnd.uniform(-1.0, 1.0)

    draws = []
    for _ in range(count):
        rates = tuple(min(0.5, 1.0 / (12.0 * hours * factor())) for hours in START_HOURS)
        config = NoveltyConfig(rates=rates, weights=tuple(factor() for _ in range(6)))  # type: ignore[arg-type]
        draws.append({name: column(data, config) for name, data in corpus.items()})

    def standard(scores: Mapping[str, np.ndarray], names: list[str]) -> float:
        return float(module.score({name: scores[name] for name in names}, corpus)["standard"]["normalised"])

    everything = list(corpus)
    tests = []
    for _ in range(splits):
        mixed = rnd.sample(everything, len(everything))
        halves = mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :]
        for own, other in (halves, halves[::-1]):
            on_own = [standard(scores, own) for scores in draws]
            best = max(range(len(draws)), key=on_own.__getitem__)
            tests.append(Test(on_own[best], standard(draws[best], other)))
    return tests, [standard(scores, everything) for scores in draws]


def _points(data: Any) -> zip:  # type: ignore[type-arg]
    return zip(data.timestamps.astype("int64").tolist(), data.values.tolist(), strict=True)
