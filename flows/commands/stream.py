"""`hindsight stream`: the realtime flow over a file or Kafka."""

import json
from pathlib import Path

import click

OPTIONS = {
    "brokers": "brokers",
    "topics": "topics",
    "database_url": "database_url",
    "recovery_dir": "recovery_dir",
    "batch_size": "batch_size",
    "metrics_port": "metrics_port",
    "subset": "partition_subset",
}
"""Options that are settings, and the settings' names."""


@click.command("stream")
@click.option(
    "--input", "inputs", multiple=True, metavar="PATH",
    help="A JSON Lines file, plain or .gz, or - for standard input. May be repeated: each file is a partition.",
)  # fmt: skip
@click.option("--follow", is_flag=True, help="Go on reading the files as they grow, until SIGTERM or SIGINT.")
@click.option("--brokers", metavar="HOST:PORT", help="Read Kafka instead of files. [ANALYTICS_BROKERS]")
@click.option("--topics", metavar="A,B", help="Input topics; default: the six of the contract.")
@click.option("--exit-at-end", is_flag=True, help="With Kafka: stop at the end that the topics have at the start.")
@click.option("--database-url", metavar="URL", help="Where rows go. [ANALYTICS_DATABASE_URL]")
@click.option("--recovery-dir", metavar="DIR", help="Where the state is kept; started again, the flow goes on there.")
@click.option("--batch-size", type=int, help="Most records read at once.")
@click.option("--metrics-port", type=int, help="Port of /metrics for Prometheus; 0: none.")
@click.option("--subset", metavar="I/K", help="Be process I of K: read the partitions whose number modulo K is I.")
def command(inputs: tuple[str, ...], follow: bool, exit_at_end: bool, **options: object) -> None:
    """Read events, write rows, aggregates and detected patterns.

    A file is read to its end, then the command exits with 0. Kafka is followed until SIGTERM or SIGINT, which stop
    it cleanly. The last line on standard output is one JSON object with the counts since the inputs' first record.

    \b
    Examples:
      hindsight stream --input builds.jsonl.gz --database-url postgresql://localhost/analytics --recovery-dir state
      hindsight stream --brokers localhost:9092 --exit-at-end
    """
    from flows import realtime  # noqa: PLC0415 -- --help loads none of it
    from flows.cli import prepare  # noqa: PLC0415
    from flows.stopping import StopSignals  # noqa: PLC0415

    if inputs and options["brokers"]:
        raise click.UsageError("give either --input or --brokers")
    if exit_at_end and inputs:
        raise click.UsageError("--exit-at-end goes with --brokers; a file ends by itself")
    if follow and not inputs:
        raise click.UsageError("--follow goes with --input; Kafka is always followed")
    inputs = tuple(dict.fromkeys(inputs))
    for path in inputs:
        if path != "-" and not Path(path).is_file():
            raise click.UsageError(f"--input {path}: no such file")
        if follow and path.endswith(".gz"):
            raise click.UsageError(f"--input {path}: a .gz file can't be followed")
    given = {OPTIONS[name]: value for name, value in options.items() if value is not None}
    settings = prepare(**given)
    if not inputs and "brokers" not in settings.model_fields_set:
        raise click.UsageError("give either --input or --brokers")
    with StopSignals() as wish:
        totals = realtime.run(
            settings,
            inputs=inputs,
            kafka=not inputs,
            follow=follow,
            exit_at_end=exit_at_end,
            stop=lambda: wish.requested,
        )
    click.echo(json.dumps(totals))
