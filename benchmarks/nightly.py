"""What a night costs as the history grows, and how often it claims something where there is nothing."""

import json
import sys
import time
from pathlib import Path

import click

SIZES, QUICK = (10_000, 100_000, 1_000_000), (10_000,)
NIGHTS, QUICK_NIGHTS = 20, 2


def _say(text: str) -> None:
    click.echo(f"[{time.strftime('%H:%M:%S')}] {text}", err=True)


@click.command()
@click.option("--runs", help=f"Sizes of the history in runs, separated by commas. [{','.join(map(str, SIZES))}]")
@click.option("--nights", type=click.IntRange(min=0), help=f"Nights over chance, of each of two kinds. [{NIGHTS}]")
@click.option("--rules", type=click.IntRange(min=0), default=0, help="Years with one planted rule, of each strength.")
@click.option("--quick", is_flag=True, help=f"A smoke run: {QUICK[0]:,} runs, {QUICK_NIGHTS} nights.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the last line there too.")
def main(runs: str | None, nights: int | None, rules: int, quick: bool, file: Path | None) -> None:
    """Measure `hindsight nightly` on generated years of work, on the embedded PostgreSQL.

    A run brings three steps, a quarter of an integration event and a tenth of a task's execution. Time and the peak
    memory are those of a process of its own. Then all miners look at years in which nothing depends on anything.

    \b
    Example:
      python benchmarks/nightly.py --quick
      python benchmarks/nightly.py --runs 10000,100000 --nights 50 --json figures.json
      python benchmarks/nightly.py --runs 10000 --nights 0 --rules 20
    """
    from benchmarks.parts import nights as parts
    from benchmarks.parts import process
    from benchmarks.parts.lab import Lab
    from benchmarks.parts.report import Report

    sizes = [int(size) for size in runs.split(",")] if runs else list(QUICK if quick else SIZES)
    count = nights if nights is not None else QUICK_NIGHTS if quick else NIGHTS
    report = Report()
    with Lab(_say) as lab:
        for size in sizes:
            with lab.database() as url:
                rows = parts.fill(url, size)
                _say(f"{size:,} runs: {rows:,} rows")
                try:
                    found = parts.night(lab, url)
                except process.Failed as problem:
                    _say(f"FAILED: {problem}")
                    sys.exit(1)
            spent = ", ".join(f"{name} {seconds:.0f}" for name, seconds in found["stages"].items())
            note = f"CPU {found['cpu_s']:.0f} s; stages, s: {spent}; {sum(found['said']['findings'].values())} findings"
            report.add(f"{size:,} runs: time", f"{found['seconds']:.0f} s", "", note)
            report.add(f"{size:,} runs: peak memory", f"{found['peak_mib']:,.0f} MiB", "", f"{rows:,} rows")
            report.result[f"runs_{size}"] = {
                "seconds": round(found["seconds"], 1), "cpu_s": round(found["cpu_s"], 1), "rows": rows,
                "peak_mib": round(found["peak_mib"]), "stages": found["stages"], "findings": found["said"]["findings"],
            }  # fmt: skip
    for bursts in (False, True):
        if count:
            null = parts.chance(count, 1500, bursts, _say)
            title = "bursty failures" if bursts else "independent failures"
            claimed = ", ".join(f"{name} {number}" for name, number in null["with_a_claim"].items()) or "none"
            report.add(f"{title}: claims in {count} nights", str(null["claims"]), "", f"nights with one: {claimed}")
            held = ", ".join(f"{name} {number}" for name, number in null["with_a_confirmed_claim"].items()) or "none"
            report.add(f"{title}: confirmed of them", str(null["confirmed"]), "", f"nights with one: {held}")
            report.result["chance_bursts" if bursts else "chance"] = null
    if rules:
        from benchmarks.parts.rules import power

        report.result["rules"] = power(rules, _say)
        for name, found in report.result["rules"].items():
            report.add(name, f"{found['found']} of {rules}", "", f"another rule in {found['others']}")
    report.show()
    line = json.dumps({**report.result, "nights": count})
    if file is not None:
        file.write_text(line + "\n")
    click.echo(line)


if __name__ == "__main__":
    main()
