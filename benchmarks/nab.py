"""How well does the novelty track find what people marked in the Numenta Anomaly Benchmark, and what does it cost?"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean

import click

PUBLISHED = (
    ("ARTime", 74.85, 65.15, 80.36),
    ("Numenta HTM", 70.10, 63.21, 74.32),
    ("CAD OSE", 69.90, 66.98, 73.18),
    ("windowed Gaussian", 39.65, 20.87, 47.41),
    ("none at all", 0.0, 0.0, 0.0),
)
"""Standard, low false positives, low false negatives: the detectors' results as the benchmark ships them, each tuned by
its authors with all files at hand, scored with the same scorer."""


@click.command()
@click.option(
    "--nab",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with data/ and labels/combined_windows.json; without it nothing is scored.",
)
@click.option(
    "--scorer",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The scoring program, nab_score.py. [../../tools/nab_score.py, seen from --nab]",
)
@click.option("--splits", type=click.IntRange(0), default=5, show_default=True, help="Random halvings of the files.")
@click.option("--draws", type=click.IntRange(1), default=60, show_default=True, help="Configurations to draw.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the draws.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the last line there too.")
def main(nab: Path | None, scorer: Path | None, splits: int, draws: int, seed: int, file: Path | None) -> None:
    """Score the novelty track's shipped defaults on NAB, and tuned on one half of its files on the other half.

    The first figure: each file is run through `novelty.judge` with the default configuration, the scores are written as
    CSV files to a temporary folder, and the scorer is run on them. Times are UTC.

    The second: `--draws` configurations are drawn at random, each rate and weight by a factor of 1/3 to 3 off round
    numbers that are not the defaults (means of 8, 3, 28, 3, 1 and 3 h, profiles of 1 h, an envelope of 60 days, all
    weights 1). The files are halved at random; the draw that scores best on one half is scored on the other, and the
    other way round. The threshold there is the scorer's best, as it is for all published figures. What is judged (the
    six derived series) was chosen with all files in view. `--splits 0` leaves this out.

    \b
    Examples:
      python benchmarks/nab.py --nab ../shared/data/nab
      python benchmarks/nab.py --nab ../shared/data/nab --splits 0
    """
    from benchmarks.parts.nab import held_out, load, run

    if nab is None:
        click.echo("skipped: --nab names the folder of the Numenta Anomaly Benchmark (github.com/numenta/NAB)")
        return
    tool = scorer or nab.resolve().parent.parent / "tools" / "nab_score.py"
    if not tool.is_file():
        raise click.UsageError(f"--scorer: {tool} is no file")
    module = load(tool)
    corpus = module.load_corpus(nab)
    found = run(corpus)
    result = _score(tool, nab, corpus, found.scores)
    click.echo(
        f"{len(corpus)} files, {found.rows:,} values, {result['windows']} windows; the scorer's best threshold\n"
    )
    click.echo(f"{'':34}{'standard':>10}{'low FP':>8}{'low FN':>8}")
    figures = [round(result[name]["normalised"], 2) for name in module.PROFILES]
    _line("Hindsight novelty, as shipped", *figures)
    for row in PUBLISHED:
        _line(*row)
    standard = result["standard"]
    click.echo(f"\nwindows hit {standard['windows_hit']}, false positives {standard['false_positives']} (standard)")
    click.echo(f"patterns opened {found.opened}, of them in a window {found.opened_right} (probation included)")
    click.echo(
        f"CPU a value {found.us:.1f} µs (with a verdict for each {found.us_always:.1f}), state {found.state_bytes:,} B"
    )
    line: dict[str, object] = {
        "standard": figures[0],
        "low_fp": figures[1],
        "low_fn": figures[2],
        "windows_hit": standard["windows_hit"],
        "false_positives": standard["false_positives"],
        "opened": found.opened,
        "opened_in_window": found.opened_right,
        "us_per_value": round(found.us, 2),
        "us_per_value_always": round(found.us_always, 2),
        "state_bytes": found.state_bytes,
    }
    if splits:
        start = time.monotonic()
        tests, tuned = held_out(module, corpus, splits, draws, seed)
        scores = [test.score for test in tests]
        mean, least, most = fmean(scores), min(scores), max(scores)
        click.echo(f"\nTuned on half of the files, standard, {draws} draws, {time.monotonic() - start:.0f} s:")
        click.echo(f"  on its own half     mean {fmean(test.own for test in tests):.2f}")
        click.echo(f"  on the other half   mean {mean:.2f}, {least:.2f} to {most:.2f} over {len(tests)} halves")
        click.echo(f"  all files           best draw {max(tuned):.2f}, mean draw {fmean(tuned):.2f}")
        line |= {
            "held_out_mean": round(mean, 2),
            "held_out_range": [round(least, 2), round(most, 2)],
            "draws_mean": round(fmean(tuned), 2),
            "draws_best": round(max(tuned), 2),
            "draws": draws,
        }
    text = json.dumps(line)
    if file is not None:
        file.write_text(text + "\n")
    click.echo(text)


def _line(name: str, standard: float, low_fp: float, low_fn: float) -> None:
    click.echo(f"{name:34}{standard:10.2f}{low_fp:8.2f}{low_fn:8.2f}")


def _score(tool: Path, nab: Path, corpus: dict, scores: dict) -> dict:  # type: ignore[type-arg]
    """Write the scores as CSV files and run the scorer on them."""
    with tempfile.TemporaryDirectory(prefix="nab-") as folder:
        for name, column in scores.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = zip(corpus[name].timestamps, corpus[name].values.tolist(), column.tolist(), strict=True)
            lines = [f"{moment},{value!r},{score!r}\n" for moment, value, score in rows]
            path.write_text("timestamp,value,anomaly_score\n" + "".join(lines))
        done = subprocess.run(
            [sys.executable, str(tool), "--nab", str(nab), "--scores", folder, "--json"],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise click.ClickException(done.stderr.strip() or f"{tool} failed")
    found: dict = json.loads(done.stdout)  # type: ignore[type-arg]
    return found


if __name__ == "__main__":
    main()
