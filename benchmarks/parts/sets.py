"""Which streams a run looks at: clean ones for false alarms, and ones with a fault for recall and delay."""

from functools import cache

from benchmarks.parts import backgrounds, faults, real
from benchmarks.parts.streams import Stream, robust_sigma

WEEKS = 4
CADENCES = ((10.0, 8640), (60.0, 10_080), (3600.0, 2016))
"""Cadences beside the usual 5 minutes, and how many values of a clean series: a day, a week, twelve weeks."""

QUICK_KINDS = ("ar1", "daily", "latency", "counts")
REAL_MOST = 4000
"""Values of a real series that a fault is put into."""


def clean(fold: str, scale: int = 1, quick: bool = False) -> list[list[Stream]]:
    """Groups of clean streams; those of a group are fed together, as one partition.

    At a scale of 1: three series of each kind for 4 weeks at 5 minutes, which is 50 series or so; one of each kind at
    each of `CADENCES`; irregular runs; and every real normal stretch.
    """
    if quick:
        streams = [backgrounds.synthetic(fold, kind, 0, 1500, 300.0) for kind in QUICK_KINDS]
        return [[*streams, backgrounds.outcomes(fold, 0, 300, 1200.0), backgrounds.durations(fold, 0, 300, 1200.0)]]
    kinds = backgrounds.kinds(fold)
    groups = [
        [
            backgrounds.synthetic(fold, kind, 3 * turn + index, WEEKS * 2016, 300.0)
            for kind in kinds
            for index in range(3)
        ]
        for turn in range(scale)
    ]
    for cadence, count in CADENCES:
        groups += [[backgrounds.synthetic(fold, kind, turn, count, cadence) for kind in kinds] for turn in range(scale)]
    for turn in range(scale):
        groups.append([
            *(backgrounds.outcomes(fold, 4 * turn + index, 1500, 600.0 * 6**index) for index in range(4)),
            *(backgrounds.durations(fold, 4 * turn + index, 1500, 600.0 * 6**index) for index in range(4)),
            *(backgrounds.synthetic(fold, kind, turn, 1500, 900.0, irregular=True) for kind in ("ar1", "latency")),
        ])  # fmt: skip
    return [*groups, *([_real(fold)] if real.available() else [])]


def faulty(fold: str, quick: bool = False, only: str = "", young: bool = False) -> list[list[Stream]]:
    """Groups of streams with a fault each: every shape at every strength in every background that suits it.

    Cadences take turns; series with a day have two and a half weeks (at an hour: six) before the fault can come.
    `only` is one shape. `young`: the fault comes early (`faults.inject`).
    """
    groups = []
    turn = 0
    for shape, what in faults.SHAPES.items():
        if only and shape != only:
            continue
        group: list[Stream] = []
        for strength in what.strengths[-1:] if quick else what.strengths:
            for background in _backgrounds(fold, quick, turn, young):
                if what.suits(background) and not (young and shape == "seasonal break"):
                    group.append(faults.inject(background, shape, strength, young))
            turn += 1
        if group:
            groups.append(group)
    return groups


@cache
def _real(fold: str) -> list[Stream]:
    return real.streams(fold)


def _backgrounds(fold: str, quick: bool, turn: int, young: bool) -> list[Stream]:
    found = []
    kinds = list(QUICK_KINDS) if quick else backgrounds.kinds(fold)
    for place, kind in enumerate(kinds):
        cadence = (10.0, 60.0, 300.0, 3600.0)[(place + turn) % 4]
        count = 1500
        if backgrounds.KINDS[kind].season and not young:
            cadence, count = (3600.0, 1200) if (place + turn) % 4 == 3 else (300.0, 5500)
        if young:
            count = 700
        found.append(backgrounds.synthetic(fold, kind, 1000 + turn, 700 if quick and count < 5000 else count, cadence))
    for index in range(1 if quick else 2):
        runs = 300 if quick or young else 600
        found.append(backgrounds.outcomes(fold, 1000 + 2 * turn + index, runs, (900.0, 7200.0)[index]))
        found.append(backgrounds.durations(fold, 1000 + 2 * turn + index, runs, (900.0, 7200.0)[index]))
    if not quick:
        dealt: dict[str, list[Stream]] = {}
        for stream in _real(fold):
            dealt.setdefault(stream.kind, []).append(stream)
        found += [_cut(streams[turn % len(streams)]) for _, streams in sorted(dealt.items())]
    return found


def _cut(stream: Stream) -> Stream:
    values = stream.values[:REAL_MOST].copy()
    return Stream(
        stream.name, stream.kind, stream.cadence_s, stream.times_us[:REAL_MOST].copy(), values, robust_sigma(values),
        stream.feed,
    )  # fmt: skip
