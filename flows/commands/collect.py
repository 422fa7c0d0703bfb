"""``hindsight collect host|git|junit|github-actions``: what happens here, as events in JSON Lines."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from flows.cli import INTERRUPTED, prepare
from flows.collecting import BROKERS, OUTPUT, sink
from flows.commands.collect_ci import github_actions, junit
from flows.stopping import StopSignals
from sources.git import GitError, GitHistory
from sources.host import NOMINAL_MBIT, HostSampler, PsutilProbe, sample_every

LOG = logging.getLogger(__name__)


@click.group("collect")
def command() -> None:
    """Turn what happens on this machine, in a repository or in CI into events.

    The events are the contract's, one CloudEvent of JSON a line, on standard output, appended to a file, or sent
    to Kafka. Such a file is read by `hindsight stream --input` and sent to Kafka by `hindsight publish`.

    \b
    Example:
      hindsight collect host --count 3
      hindsight collect git . --output history.jsonl
      hindsight collect junit report.xml --pipeline acme/shop:tests
      hindsight collect host --brokers localhost:9092
    """


@command.command("host")
@OUTPUT
@BROKERS
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1, max=86_400),
    help="Seconds between two samples. Default: the setting metrics_collection_interval (60).",
)
@click.option("--count", type=click.IntRange(min=1), help="End after this many samples. Default: never.")
@click.option("--host", "name", help="Name of this machine in the events. Default: its host name.")
@click.option(
    "--disk",
    type=click.Path(exists=True),
    default="/",
    show_default=True,
    help="Any path on the file system whose fill is the disk's usage.",
)
@click.option(
    "--nominal-mbit",
    type=click.FloatRange(min=0, min_open=True),
    default=NOMINAL_MBIT,
    show_default=True,
    help="Speed in Mbit/s of a network link that does not say its own, as virtual ones do.",
)
def host(
    output: Path | None,
    brokers: str | None,
    interval: float | None,
    count: int | None,
    name: str | None,
    disk: str,
    nominal_mbit: float,
) -> None:
    """Sample the CPU, memory, disk and network of this machine.

    Each sample is four events of type resource.sampled.v1. The CPU's share is the whole interval's, measured
    from counters; peak and average are over ten sub-samples, the peak that of the busiest core. In a
    container the figures are the machine's. Ends with status 0 after --count samples, or when interrupted.

    \b
    Example:
      hindsight collect host --interval 5 --count 12
      hindsight collect host --interval 10 --output host.jsonl
    """
    settings = prepare(brokers=brokers)
    sampler = HostSampler(name, probe=PsutilProbe(disk), nominal_mbit=nominal_mbit)
    seconds = interval or float(settings.metrics_collection_interval)
    with StopSignals() as stop, sink(output, settings if brokers else None, stop) as emit:
        done = sample_every(sampler, seconds, emit, wait=stop.wait, count=count)
    if count is not None and done < count:
        raise click.exceptions.Exit(INTERRUPTED)


@command.command("git")
@click.argument("repository", type=click.Path(path_type=Path), default=".")
@OUTPUT
@BROKERS
@click.option("--follow", is_flag=True, help="Stay, and go on with each new commit of HEAD.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1, max=86_400),
    default=5.0,
    show_default=True,
    help="With --follow: seconds between two looks at HEAD.",
)
@click.option(
    "--count",
    type=click.IntRange(min=1),
    help="Only this many of the newest commits. Default: the whole history.",
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that remembers the last commit, from which the next call goes on. Default: begin anew.",
)
@click.option("--files/--no-files", default=True, show_default=True, help="Also one event a changed text file.")
def git(
    repository: Path,
    output: Path | None,
    brokers: str | None,
    follow: bool,
    interval: float,
    count: int | None,
    state: Path | None,
    files: bool,
) -> None:
    """Measure each commit of a git REPOSITORY (default: the one of this folder).

    For each commit that is no merge: lines_added, lines_deleted and files_changed of the repository, and
    lines_changed of each text file. Events come in ascending committer time, with ids made of the commit, so
    that sending them twice changes nothing. After a rebase only what is new is sent. The commits at the edge
    of a shallow clone cannot be measured and are left out.

    \b
    Example:
      hindsight collect git --count 100
      hindsight collect git ~/src/shop --follow --state shop.state --output shop.jsonl
    """
    settings = prepare(brokers=brokers)
    try:
        history = GitHistory(repository, state, files=files, newest=count, on_warning=LOG.warning)
        with (
            StopSignals() as stop,
            sink(output, settings if brokers else None, stop, sync_seconds=0) as emit,
        ):
            while True:
                for events in history.batches(lambda: stop.requested):
                    emit(events)
                if stop.requested and not follow:
                    raise click.exceptions.Exit(INTERRUPTED)
                if not follow or stop.wait(interval):
                    return
    except GitError as error:
        raise click.ClickException(str(error)) from None


command.add_command(junit)
command.add_command(github_actions)
