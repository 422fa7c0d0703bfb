"""The embedded engine and Spark side by side: the FIMI sets, and nights over generated years."""

import json
import sys
import time
from pathlib import Path

import click

SIZES, QUICK = (10_000, 100_000), (10_000,)


def _say(text: str) -> None:
    click.echo(f"[{time.strftime('%H:%M:%S')}] {text}", err=True)


@click.command()
@click.option("--runs", help=f"Sizes of the history in runs, separated by commas. [{','.join(map(str, SIZES))}]")
@click.option("--master", default="local[2]", show_default=True, metavar="MASTER", help="Spark.")
@click.option("--quick", is_flag=True, help=f"A smoke run: {QUICK[0]:,} runs.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the last line there too.")
def main(runs: str | None, master: str, quick: bool, file: Path | None) -> None:
    """Measure counting and whole nights with each engine, in a process of its own each; needs hindsight[spark].

    Memory is the greatest resident size of Python and, beside it, of Spark's JVM; CPU is of both.

    \b
    Example:
      python benchmarks/engines.py --quick
      python benchmarks/engines.py --runs 10000,100000 --master 'local[*]'
    """
    from benchmarks.parts import engines as parts
    from benchmarks.parts import nights
    from benchmarks.parts.lab import Lab
    from benchmarks.parts.process import Failed
    from benchmarks.parts.report import Report
    from flows.spark.session import missing

    lack = missing()
    if lack is not None:
        raise click.ClickException(lack)
    sizes = [int(size) for size in runs.split(",")] if runs else list(QUICK if quick else SIZES)
    report = Report()
    with Lab(_say) as lab:
        try:
            for name in parts.FIMI:
                for engine in parts.ENGINES:
                    found = parts.count(lab, name, engine, master)
                    if found is None:
                        report.skip([f"{name}_{engine}"], "the data are not here")
                        continue
                    report.result[f"{name}_{engine}"] = found
                    report.add(f"{name}, {engine}: counted in", f"{found['first_s']:.1f} s", "",
                               f"again {found['again_s']:.1f} s; {parts.cost(found)}")  # fmt: skip
                    _say(f"{name} {engine}: {found}")
            for size in sizes:
                with lab.database() as url:
                    rows = nights.fill(url, size)
                    _say(f"{size:,} runs: {rows:,} rows")
                    for engine in parts.ENGINES:
                        found = parts.night(lab, url, engine, master)
                        report.result[f"runs_{size}_{engine}"] = found
                        report.add(f"{size:,} runs, {engine}: mining", f"{found['mine_s']:.0f} s", "",
                                   f"the night {found['seconds']:.0f} s; {parts.cost(found)}")  # fmt: skip
                        _say(f"{size} {engine}: {found}")
        except Failed as problem:
            _say(f"FAILED: {problem}")
            sys.exit(1)
    report.show()
    line = json.dumps({**report.result, "master": master})
    if file is not None:
        file.write_text(line + "\n")
    click.echo(line)


if __name__ == "__main__":
    main()
