"""What do the default detectors cost a pane, and what do they keep of a series?"""

import json
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

import click

TARGET_US, TARGET_BYTES = 60.0, 20 * 1024
CADENCES = {"10 s": 10.0, "1 min": 60.0, "5 min": 300.0, "1 h": 3600.0}
BACKGROUNDS = ("ar1", "walk", "daily", "weekly", "counts", "student t3")
VALUES, QUICK = 20_000, 2_000
SERIES, QUICK_SERIES, FILLED, FILLED_S = 100, 10, 4_000, 300.0
"""Series whose memory is measured, of so many panes at so many seconds each: two weeks, when all detectors are full."""


class Cost(NamedTuple):
    """Of one cadence: µs of CPU a pane, mean and worst background, µs by detector, greatest state in bytes."""

    us: float
    worst_us: float
    by_track: dict[str, float]
    state_bytes: int
    by_field: dict[str, int]


@click.command()
@click.option("--quick", is_flag=True, help=f"A smoke run: {QUICK:,} panes a background, not {VALUES:,}.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the last line there too.")
def main(quick: bool, file: Path | None) -> None:
    """Time the judge of one series, pane by pane, on synthetic backgrounds of each cadence, and weigh its state.

    The series is a machine's `cpu_usage`: all detectors of a dense series and a rule. Windows, rows and what is told of
    patterns are part of it as far as the judge does them; decoding is not. The state is the slot as msgpack, as it is
    in a snapshot. µs by detector are of a second pass that drives each alone. Resident is what a series of two weeks at
    5 minutes takes of the process's memory, as the growth of that by a hundred of them.

    \b
    Examples:
      python benchmarks/detectors.py --quick
      python benchmarks/detectors.py --json figures.json
    """
    from rich.console import Console
    from rich.table import Table

    values = QUICK if quick else VALUES
    held = resident(QUICK_SERIES if quick else SERIES)  # first: what is freed later would be used again
    found = {name: measure(cadence, values) for name, cadence in CADENCES.items()}
    tracks = list(next(iter(found.values())).by_track)
    table = Table("cadence", "µs a pane", "worst background", *tracks, "state")
    for name, cost in found.items():
        shown = [f"{cost.by_track[track]:.1f}" for track in tracks]
        table.add_row(name, f"{cost.us:.1f}", f"{cost.worst_us:.1f}", *shown, f"{cost.state_bytes:,} B")
    Console(width=160, file=sys.stdout).print(table)
    worst, state = max(cost.worst_us for cost in found.values()), max(cost.state_bytes for cost in found.values())
    click.echo(
        f"µs a pane at most {worst:.1f} (target {TARGET_US:g}), state at most {state:,} B as msgpack, {held:,} B "
        f"resident (target {TARGET_BYTES:,})"
    )
    largest = max(found.values(), key=lambda cost: cost.state_bytes).by_field
    click.echo("the largest state by detector: " + ", ".join(f"{field} {size:,}" for field, size in largest.items()))
    line = json.dumps({"us_a_pane": round(worst, 2), "state_bytes": state, "resident_bytes": held,
                       "by_cadence": {name: round(cost.us, 2) for name, cost in found.items()}})  # fmt: skip
    if file is not None:
        file.write_text(line + "\n")
    click.echo(line)


def measure(cadence_s: float, count: int) -> Cost:
    """Run all backgrounds of one cadence."""
    import msgspec

    from benchmarks.parts.backgrounds import synthetic
    from operators.floats import pack, to_plain
    from operators.output import Output
    from operators.partition import Partition, PartitionConfig
    from operators.records import Batch
    from operators.tracks import tracks_of
    from operators.windows import Stats

    tracks = tracks_of("resource", "cpu_usage", 0.95)
    spent: list[float] = []
    by_track = dict.fromkeys((track.name for track in tracks), 0.0)
    sizes: dict[str, int] = {}
    for kind in BACKGROUNDS:
        stream = synthetic("check", kind, 0, count, cadence_s)
        points = list(zip(stream.times_us.tolist(), stream.values.tolist(), strict=True))
        judge = Partition("bench", 0, PartitionConfig()).judge
        slot = judge.new_slot("web-1", "cpu_usage", "resource")
        judge.state.slots[1] = slot
        panes = [(at, value, Stats.of([(at, 1, value)])) for at, value in points]
        out = Output(Batch("bench", 0, [], range(0), 0))
        start = time.process_time()
        for at, value, stats in panes:
            judge.event(slot, at, value, out)
            judge.pane(slot, stats, at, out)
            judge.closed(at, out)
        spent.append((time.process_time() - start) / count * 1e6)
        plain = msgspec.to_builtins(slot, enc_hook=to_plain, builtin_types=(bytes,))
        fields = {name: len(msgspec.msgpack.encode(value)) for name, value in plain.items()}
        if sum(fields.values()) > sum(sizes.values()):
            names = {info.encode_name: info.name for info in msgspec.structs.fields(type(slot))}
            sizes = {names[name]: size for name, size in fields.items() if size > 64}
            whole = len(pack(slot))
        for track in tracks:
            state = track.state()
            start = time.process_time()
            for at, value in points:
                track.judge(state, at, value, track.config)
            by_track[track.name] += (time.process_time() - start) / count / len(BACKGROUNDS) * 1e6
    return Cost(sum(spent) / len(spent), max(spent), by_track, whole, dict(sorted(sizes.items(), key=lambda x: -x[1])))


def resident(series: int) -> int:
    """Bytes that each of so many series with full detectors adds to the process's resident memory."""
    import gc

    from benchmarks.parts.backgrounds import synthetic
    from operators.output import Output
    from operators.partition import Partition, PartitionConfig
    from operators.records import Batch
    from operators.windows import Stats

    streams = [synthetic("check", "daily", number, FILLED, FILLED_S) for number in range(3)]
    judge = Partition("bench", 0, PartitionConfig()).judge
    before = 0
    for number in range(series + 1):
        slot = judge.state.slots[number] = judge.new_slot(f"web-{number}", "cpu_usage", "resource")
        out = Output(Batch("bench", 0, [], range(0), 0))
        stream = streams[number % len(streams)]
        for at, value in zip(stream.times_us.tolist(), stream.values.tolist(), strict=True):
            # No two series share a float.
            judge.pane(slot, Stats.of([(at, 1, value + number * 1e-9)]), at, out)
        if not number:  # its passing needs are met now
            gc.collect()
            before = _resident()
    del out
    gc.collect()
    return round((_resident() - before) / series)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
