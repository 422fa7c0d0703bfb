"""What a series was like on each of its days, robustly, with the SQL that says the same."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from operators.mining import sql
from operators.mining.history import History, micros
from operators.mining.significance import DAY_US
from operators.mining.streams import outcomes, source

_PER_SECOND = {"duration_s": 1.0, "processing_ms": 1000.0}
"""Measures that are lengths of outcomes, with their units a second."""


class Days(msgspec.Struct, frozen=True, eq=False):
    """A series by day (UTC): `values` at `times_us`, the starts of days with any.

    Of runs, steps, tasks and events a day's value is the median length, or the share that failed; `raw` are their
    lengths (failures, 0 and 1) at `raw_us`, so that a level over many days is the median (share) of those and not of
    means, which one outlier moves. Of other series a day's value is its mean, and `raw` are these. `table`: SQL of rows
    `time`, `value`, one a day. `weights`: how many were counted for each of `raw`. `steps`: how many steps each run of
    `raw` had (NaN where none is known), of the length of pipelines alone.
    """

    entity: str
    measure: str
    times_us: Any
    values: Any
    raw_us: Any
    raw: Any
    weights: Any
    table: str
    levels: str
    of_runs: bool
    steps: Any = None
    step_counts: str = ""

    @property
    def is_share(self) -> bool:
        """Whether it is a share of failures, whose median would say little."""
        return self.measure == "failed"

    def within(self, start_us: int, end_us: int) -> Any:
        """Which of `raw` lie in a time, its end excluded."""
        return (self.raw_us >= start_us) & (self.raw_us < end_us)

    def level(self, start_us: int, end_us: int) -> float:
        """The median (of failures the share) of what lies in a time; NaN of nothing."""
        here = self.within(start_us, end_us)
        if not here.any():
            return float("nan")
        if self.is_share:
            return float(np.average(self.raw[here], weights=self.weights[here]))
        return float(np.median(self.raw[here]))

    def level_sql(self, start_us: int, end_us: int) -> str:
        """A query of one value: `level`."""
        return self.levels.format(moment(start_us), moment(end_us))

    def steps_within(self, start_us: int, end_us: int) -> float:
        """The median number of steps of the runs in a time; NaN where no run's are known."""
        if self.steps is None:
            return float("nan")
        here = self.steps[self.within(start_us, end_us)]
        return float(np.median(here[np.isfinite(here)])) if np.isfinite(here).any() else float("nan")

    def steps_sql(self, start_us: int, end_us: int) -> str:
        """A query of one value: `steps_within`."""
        return self.step_counts.format(moment(start_us), moment(end_us))

    def profile_sql(self) -> str:
        """SQL over rows of `table`: the level of days."""
        return "avg(value)" if self.is_share else "percentile_cont(0.5) WITHIN GROUP (ORDER BY value)"


def moment(time_us: int) -> str:
    """A time as SQL.

    >>> moment(7)
    "timestamptz 'epoch' + interval '7 microseconds'"
    """
    return f"timestamptz 'epoch' + interval '{int(time_us)} microseconds'"


def days_of(history: History, until: datetime, of_components: bool) -> Iterator[Days]:
    """Series of `History.daily`, by entity and measure: those of what the components of the history did, or all others.

    An entity of two kinds is taken as its series is there.
    """
    stream = outcomes(history)
    counts = history.steps["pipeline_execution_id"].value_counts()
    parts = {}
    for entity, part in stream.groupby("entity", sort=True) if len(stream) else ():
        kinds = part["kind"].unique()
        if len(kinds) == 1:
            parts[str(entity)] = (str(kinds[0]), part)
    frame = history.daily
    for (entity, measure), part in frame[frame["avg"].notna()].groupby(["entity", "measure"], sort=True):
        known = parts.get(str(entity)) if measure == "failed" or measure in _PER_SECOND else None
        if (known is not None) != of_components:
            continue
        found = None if known is None else _of_outcomes(str(entity), str(measure), *known, counts, until)
        yield found or plain(str(entity), str(measure), part)


def plain(entity: str, measure: str, part: Any) -> Days:
    """A series as the rows of `daily` or `hourly` have it."""
    times, values = micros(part["time"]), part["avg"].to_numpy(dtype=float)
    rows = f"entity = {sql.literal(entity)} AND measure = {sql.literal(measure)}"
    level = "sum(sum) / sum(n)" if measure == "failed" else "percentile_cont(0.5) WITHIN GROUP (ORDER BY avg)"
    return Days(
        entity, measure, times, values, times, values, part["n"].fillna(1.0).to_numpy(dtype=float),
        f"(SELECT time, avg AS value FROM series_1d WHERE {rows}) AS days",
        f"SELECT {level} FROM series_1d WHERE {rows.replace('{', '{{').replace('}', '}}')}"
        " AND time >= {} AND time < {}", False,
    )  # fmt: skip


def _of_outcomes(entity: str, measure: str, kind: str, part: Any, counts: Any, until: datetime) -> Days | None:
    origin = source(kind, entity)
    share = measure == "failed"
    raw = part["failed"].to_numpy(dtype=float) if share else part["seconds"].to_numpy() * _PER_SECOND[measure]
    known = np.isfinite(raw)
    raw, ends = raw[known], part["end_us"].to_numpy()[known]
    if not len(raw):
        return None
    by_day = pd.Series(raw).groupby(ends // DAY_US)
    values = by_day.mean() if share else by_day.median()
    value = f"({sql.failed()})::int" if share else f"({origin.seconds}) * {_PER_SECOND[measure]!r}"
    middle = f"avg({value})" if share else f"percentile_cont(0.5) WITHIN GROUP (ORDER BY {value})"
    rows = f"{origin.rows} AND {sql.judged()} AND {sql.until(origin.end, until)} AND {value} IS NOT NULL"
    day = f"date_trunc('day', {origin.end} AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"
    runs = f"SELECT id FROM {origin.table} WHERE {rows}".replace("{", "{{").replace("}", "}}")
    piped = kind == "pipeline" and not share
    level = f"SELECT {middle} FROM {origin.table} WHERE {rows}".replace("{", "{{").replace("}", "}}")
    return Days(
        entity, measure, values.index.to_numpy() * DAY_US, values.to_numpy(), ends, raw, np.ones(len(raw)),
        f"(SELECT {day} AS time, {middle} AS value FROM {origin.table} WHERE {rows} GROUP BY 1) AS days",
        f"{level} AND {origin.end} >= {{}} AND {origin.end} < {{}}", True,
        part["ref"].map(counts).to_numpy(dtype=float)[known] if piped else None,
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY n) FROM (SELECT count(*) AS n FROM step_executions WHERE"
        f" pipeline_execution_id IN ({runs} AND {origin.end} >= {{}} AND {origin.end} < {{}}) GROUP BY"
        " pipeline_execution_id) AS counted",
    )  # fmt: skip
