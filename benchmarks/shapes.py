"""What is found, how late, and how often wrongly? Streams with injected faults, over clean and real backgrounds."""

import json
import time
from pathlib import Path

import click

FOLDS = ("tune", "check")


def _say(text: str) -> None:
    click.echo(f"[{time.strftime('%H:%M:%S')}] {text}", err=True)


@click.command()
@click.option(
    "--fold",
    type=click.Choice(FOLDS),
    default="check",
    show_default=True,
    help="Which streams: tune on one half, report the other.",
)
@click.option(
    "--detector",
    "names",
    metavar="NAME[,NAME]",
    help="These detectors alone, value by value, instead of the product's whole path.",
)
@click.option("--shape", metavar="NAME", default="", help="Only this shape of fault.")
@click.option(
    "--part",
    type=click.Choice(("both", "clean", "faults")),
    default="both",
    show_default=True,
    help="Clean streams, ones with faults, or both.",
)
@click.option("--scale", type=click.IntRange(min=1), default=1, show_default=True, help="Clean streams, times this.")
@click.option("--detail", is_flag=True, help="Recall by background as well, and which series had false pages.")
@click.option(
    "--calibrate", metavar="DETECTOR", help="Fit strength to confidence on the tuning fold, and print its knots."
)
@click.option(
    "--plot", "plot_file", type=click.Path(dir_okay=False, path_type=Path), help="Draw the calibration as a PNG."
)
@click.option("--quick", is_flag=True, help="A smoke run: few streams, short ones, the greatest strength.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the last line there too.")
def main(
    fold: str, names: str | None, shape: str, part: str, scale: int, detail: bool, calibrate: str | None,
    plot_file: Path | None, quick: bool, file: Path | None,
) -> None:  # fmt: skip
    """Recall, delay, false alarms and calibration on labelled streams, by the product's whole path or one detector.

    A fault counts as found when a pattern opens in its series between its start and 5 intervals after its end; an
    opening elsewhere is a false alarm, but for 60 intervals after a fault. Real backgrounds are used where the folder
    of real data is there. Standard output is tables and, as its last line, one JSON object.

    \b
    Examples:
      python benchmarks/shapes.py --quick
      python benchmarks/shapes.py --plot calibration.png --json figures.json
      python benchmarks/shapes.py --detector spike --fold tune --shape "recurrent spikes" --detail
      python benchmarks/shapes.py --calibrate spike
    """
    from benchmarks.parts import driving, faults, figures, reliability

    if shape and shape not in faults.SHAPES:
        raise click.UsageError(f"--shape {shape}: there is no such shape; shapes are {', '.join(faults.SHAPES)}")
    try:
        alone = [driving.detector(name.strip()) for name in (calibrate or names or "").split(",") if name.strip()]
    except LookupError as problem:
        raise click.UsageError(str(problem)) from None
    start = time.perf_counter()
    if calibrate:
        result = figures.calibrate(alone, quick, _say)
    else:
        run = figures.run(fold, alone, shape, part, scale, quick, _say)
        result = figures.show(run, detail)
        if plot_file is not None and run.reliability:
            reliability.plot(run.reliability, reliability.calibration_error(run.reliability) or 0.0, plot_file)
    line = json.dumps({
        "fold": "tune" if calibrate else fold, "detectors": [one.name for one in alone] or "all", "quick": quick,
        **result, "seconds": round(time.perf_counter() - start, 1),
    })  # fmt: skip
    if file is not None:
        file.write_text(line + "\n")
    click.echo(line)


if __name__ == "__main__":
    main()
