"""How long do a thousand users of dashboards wait, with and without events coming in?"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

TARGET_S = 2.0
THINK_S = 5.0
"""The page asks every five seconds."""


def _say(text: str) -> None:
    click.echo(f"[{time.strftime('%H:%M:%S')}] {text}", err=True)


@click.command()
@click.option("--users", type=click.IntRange(1), default=1000, show_default=True, help="Users at once.")
@click.option("--seconds", type=click.FloatRange(1), default=40.0, show_default=True, help="Length of each part.")
@click.option("--rate", type=click.IntRange(1), default=2000, show_default=True, help="Events a second that come in.")
@click.option("--only", metavar="PART[,PART]", help="Some of: pages, storm, pages+ingest, storm+ingest.")
@click.option("--cache", default="1", show_default=True, help="ANALYTICS_API_CACHE_SECONDS.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the last line there too.")
def main(users: int, seconds: float, rate: int, only: str | None, cache: str, file: Path | None) -> None:
    """Measure the HTTP API under the mix of questions that its page asks; API, database and users on one machine.

    pages: each user asks, reads, and asks again after 5 s on average. storm: each asks again at once, so that all
    of them wait all the time. With ingest, the realtime flow follows a file to which events are added meanwhile.
    The database is the benchmark's own. Progress is shown on standard error; standard output is a table and, as its
    last line, one JSON object.

    \b
    Examples:
      python benchmarks/load.py
      python benchmarks/load.py --users 100 --seconds 10 --only storm
    """
    parts = ["pages", "storm", "pages+ingest", "storm+ingest"]
    wanted = [part.strip() for part in only.split(",")] if only else parts
    unknown = [part for part in wanted if part not in parts]
    if unknown:
        raise click.UsageError(f"--only {unknown[0]}: there is no such part; parts are {', '.join(parts)}")

    from benchmarks.parts import dashboards
    from benchmarks.parts.process import Failed
    from benchmarks.parts.report import Report
    from sinks.embedded import EmbeddedPostgres
    from sinks.migrate import migrate

    report = Report()
    failed = False
    with tempfile.TemporaryDirectory(prefix="hindsight-load-") as name:
        folder = Path(name)
        with EmbeddedPostgres(folder / "postgres") as server:
            url = server.url()
            migrate(url)
            try:
                dashboards.fill(url, folder, _say)
                for part in wanted:
                    report.result[part] = _measure(part, url, folder, users, seconds, rate, cache, report)
            except Failed as problem:
                failed = True
                _say(f"FAILED: {problem}")
    report.show()
    line = json.dumps({**report.result, "users": users, "seconds": seconds, "cache_seconds": cache})
    if file is not None:
        file.write_text(line + "\n")
    click.echo(line)
    if failed:
        sys.exit(1)


def _measure(
    part: str, url: str, folder: Path, users: int, seconds: float, rate: int, cache: str, report: Any
) -> dict[str, Any]:
    from contextlib import nullcontext

    from benchmarks.parts import dashboards
    from benchmarks.parts import users as crowd
    from benchmarks.parts.report import quantile

    _say(f"--- {part}")
    way, _, beside = part.partition("+")
    with (
        dashboards.api(url, folder, api_cache_seconds=cache) as (asked, process),
        dashboards.ingest(url, folder, rate, _say) if beside else nullcontext({}) as counts,
    ):
        before, known = process.cpu_times(), dashboards.cached(asked)
        outcome = crowd.run(asked, users, THINK_S if way == "pages" else 0.0, seconds)
        after = process.cpu_times()
        again = dashboards.cached(asked) - known
        memory = process.memory_info().rss / 2**20
    figures = outcome.figures()
    cpu = after.user + after.system - before.user - before.system
    figures |= {
        "api_cores": round(cpu / outcome.seconds, 2), "api_mib": round(memory),
        "given_again": round(again / max(len(outcome.all), 1), 3), "ingest": counts,
    }  # fmt: skip
    slowest = max(outcome.took, key=lambda kind: quantile(sorted(outcome.took[kind]), 0.95), default="")
    figures["slowest"] = slowest
    met = figures["p95"] is not None and figures["p95"] < TARGET_S and not figures["errors"]  # type: ignore[operator]
    report.add(
        f"{users} users, {part}", f"p50 {figures['p50']} s, p95 {figures['p95']} s",
        f"p95 < {TARGET_S:g} s, no errors: {'met' if met else 'MISSED'}",
        f"{figures['per_second']}/s, {figures['errors']} errors, p99 {figures['p99']} s",
    )  # fmt: skip
    _say(json.dumps(figures))
    return figures


if __name__ == "__main__":
    main()
