"""Detection over recorded events, without a database: what would have been said, and how two configurations differ."""

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import psycopg

from operators.backtest import Backtest
from operators.episodes import SEVERITIES
from operators.feedback import Adjustments
from operators.output import Output
from operators.partition import Partition, PartitionConfig
from operators.patterns import Pattern
from operators.records import Batch, Mark
from operators.tables import PATTERN_EVOLUTION, PATTERN_TABLES
from sinks.timescale import DatabaseWriter
from sources.files import UNREADABLE, FileError, LineReader, Position, open_input
from sources.past import first_event, past_events
from sources.table import Rows

SeriesKey = tuple[str, str]
"""Entity and measure."""

GROUP_DETECTORS = ("correlation", "multivariate", "forest")
"""Detectors that see several series at once, outside the partitions: a replay of partitions does not find theirs."""

MOST_POINTS = 2_000_000
"""Minutes of series that are kept for plots, over all series."""


ROWS = (*PATTERN_TABLES, PATTERN_EVOLUTION.name)
"""Tables that hold what is said."""


class Outcome(msgspec.Struct):
    """What was said of a history: each pattern as it stood last, in order of opening, and the series by the minute."""

    patterns: dict[UUID, Pattern] = {}
    series: dict[SeriesKey, list[tuple[int, float]]] = {}
    """Means of a minute with the minute's start in µs, of as many series as `MOST_POINTS` allows."""
    events: int = 0
    refused: int = 0
    rows: dict[str, dict[bytes, bytes]] = {}
    """Rows of `ROWS` by table and key, as the database would have been given them."""

    def by_severity(self) -> dict[str, int]:
        """Patterns by severity, the worst first; severities without any are left out."""
        found = [pattern.severity for pattern in self.patterns.values()]
        return {severity: found.count(severity) for severity in reversed(SEVERITIES) if severity in found}

    def between(self, since_us: int | None, until_us: int | None) -> "Outcome":
        """Only what opened in [`since_us`, `until_us`)."""
        kept = {
            identifier: pattern
            for identifier, pattern in self.patterns.items()
            if (since_us or -(1 << 62)) <= pattern.opened_us < (until_us or 1 << 62)
        }
        return msgspec.structs.replace(self, patterns=kept)

    def only(self, entity: str | None, measure: str | None) -> "Outcome":
        """Only the series of an entity, a measure, or both."""

        def wanted(series: SeriesKey) -> bool:
            return (entity is None or series[0] == entity) and (measure is None or series[1] == measure)

        return msgspec.structs.replace(
            self,
            patterns={key: one for key, one in self.patterns.items() if wanted((one.entity, one.measure))},
            series={key: points for key, points in self.series.items() if wanted(key)},
        )

    def join(self, other: "Outcome") -> None:
        """Take in what was said of another input."""
        self.patterns = {one.pattern_id: one for one in in_order([*self.patterns.values(), *other.patterns.values()])}
        for series, points in other.series.items():
            self.series[series] = sorted([*self.series.get(series, ()), *points])
        self.events += other.events
        self.refused += other.refused
        for table, rows in other.rows.items():
            self.rows.setdefault(table, {}).update(rows)


class Difference(msgspec.Struct, frozen=True):
    """Patterns of two outcomes, by id: in both, only before, only after. Each in order of opening."""

    same: list[Pattern]
    gone: list[Pattern]
    new: list[Pattern]

    @classmethod
    def of(cls, before: dict[UUID, Pattern], after: dict[UUID, Pattern]) -> "Difference":
        """Compare."""
        return cls(
            in_order(pattern for key, pattern in after.items() if key in before),
            in_order(pattern for key, pattern in before.items() if key not in after),
            in_order(pattern for key, pattern in after.items() if key not in before),
        )


def in_order(patterns: Iterable[Pattern]) -> list[Pattern]:
    """By time of opening, then by what they are of."""
    return sorted(patterns, key=lambda one: (one.opened_us, one.entity, one.measure, one.pattern_type))


def file_records(path: str, batch_size: int, most_bytes: int) -> Iterator[list[bytes]]:
    """The records of a JSON Lines file, plain or .gz, so many at a time.

    :raises FileError: with one line, when the file can't be read.
    """
    position = Position()
    with open_input(path) as stream:
        reader = LineReader(stream, position, most_bytes)
        while True:
            try:
                values, _ = reader.read(batch_size, final=True)
            except UNREADABLE as problem:
                raise FileError(f"{path}: line {position.line + 1}: {problem}") from None
            if not values:
                return
            yield [value for value in values if value is not None]


def database_records(url: str, until: datetime | None = None, entity: str | None = None) -> Iterator[list[bytes]]:
    """What a database holds, from its beginning, as records (`sources.past`)."""
    with psycopg.connect(url, autocommit=True, connect_timeout=10, application_name="hindsight-backtest") as connection:
        first = first_event(connection)
        if first is not None:
            yield from past_events(connection, first, until or datetime.now(UTC), entity)


def judge_events(
    batches: Iterable[Sequence[bytes]],
    config: PartitionConfig,
    *,
    topic: str = "backtest",
    adjustments: Adjustments | None = None,
    keep_series: bool = False,
) -> Outcome:
    """Run one partition over records in their order, from nothing. What can't be read is counted, as in the flow."""
    partition = Partition(topic, 0, msgspec.structs.replace(config, aggregates=keep_series), None, adjustments)
    outcome = Outcome()
    kept = 0
    offset = 1
    now = time.time_ns() // 1000

    def take(out: Output) -> None:
        nonlocal kept
        for found in out.found:
            outcome.patterns[found.pattern.pattern_id] = found.pattern
        for identifier in out.retracted:
            outcome.patterns.pop(identifier, None)
        for window in out.aggregates if kept < MOST_POINTS else ():
            mean = window.stats.sum / window.stats.n
            outcome.series.setdefault((window.entity, window.measure), []).append((window.start_us, mean))
            kept += 1
        for table in ROWS:
            outcome.rows.setdefault(table, {}).update(out.sets.get(table, {}))

    for records in batches:
        values: list[bytes | None] = list(records)
        take(partition.process(Batch(topic, 0, values, range(offset, offset + len(values)), ingested_us=now)))
        offset += len(values)
    take(partition.process(Batch(topic, 0, [], range(0), ingested_us=now, mark=Mark.END)))
    outcome.events = partition.state.counts.read
    outcome.refused = partition.state.counts.dead
    outcome.patterns = {pattern.pattern_id: pattern for pattern in in_order(outcome.patterns.values())}
    return outcome


class Scored(msgspec.Struct, frozen=True):
    """A series from a table, judged: for each row its scores by detector and the class that opened there."""

    tracks: tuple[str, ...]
    scores: list[tuple[float, ...]]
    opened: list[str]


def judge_table(
    rows: Rows, entity: str, measure: str, kind: str, config: PartitionConfig, adjustments: Adjustments | None = None
) -> tuple[Scored, Outcome]:
    """Judge one series, in order of time whatever the order of the rows.

    A row without a value, or in a pane with others, has the scores of its pane; a pattern stands at the last row of the
    pane in which it opened.
    """
    order = [index for index, value in enumerate(rows.values) if value is not None]
    order.sort(key=rows.times_us.__getitem__)
    points = [(rows.times_us[index], rows.values[index] or 0.0) for index in order]
    test = Backtest(entity, measure, kind, config.judge, width_us=config.width_us, adjustments=adjustments)
    nothing = (0.0,) * len(test.tracks)
    scores = [nothing] * len(rows)
    opened = [""] * len(rows)
    outcome = Outcome(series={(entity, measure): points}, events=len(rows))
    place = 0
    for judged in test.run(points):
        row = tuple(judged.scores[track] for track in test.tracks)
        for index in order[place : place + judged.values]:
            scores[index] = row
        place += judged.values
        if judged.opened:
            opened[order[place - 1]] = judged.opened[0].pattern.pattern_class.value
        for found in judged.found:
            outcome.patterns[found.pattern.pattern_id] = found.pattern
    return Scored(test.tracks, scores, opened), outcome


STORED = """
SELECT id FROM detected_patterns
WHERE opened_at >= %(since)s AND opened_at < %(until)s AND (%(entity)s::text IS NULL OR entity = %(entity)s)
    AND NOT pattern_type = ANY(%(group)s) AND NOT starts_with(detection_algorithm, 'nightly: ')
"""


def stored(url: str, since_us: int | None, until_us: int | None, entity: str | None) -> set[UUID]:
    """Ids of the patterns of single series that a database holds and that opened in the range.

    :raises psycopg.Error: as the server does.
    """
    window = {
        "since": datetime.fromtimestamp((since_us or 0) / 1e6, UTC),
        "until": datetime.now(UTC) if until_us is None else datetime.fromtimestamp(until_us / 1e6, UTC),
        "entity": entity,
        "group": list(GROUP_DETECTORS),
    }
    with psycopg.connect(url, connect_timeout=10, application_name="hindsight-replay") as connection:
        return {row[0] for row in connection.execute(STORED, window)}


def write_patterns(url: str, outcome: Outcome) -> None:
    """Store the patterns of an outcome and their histories, as the flow would.

    :raises sinks.timescale.SinkError: when the database can't take them.
    """
    out = Output(Batch("replay", 0, [], range(0), ingested_us=time.time_ns() // 1000))
    histories = {f"{identifier}/".encode() for identifier in outcome.patterns}
    for table, rows in outcome.rows.items():
        for key, row in rows.items():
            mine = key[:37] in histories if table == PATTERN_EVOLUTION.name else UUID(bytes=key) in outcome.patterns
            if mine:
                out.sets.setdefault(table, {})[key] = row
    writer = DatabaseWriter(url, abandon=lambda: True)
    writer.put([out])
    writer.close()
