"""What Grafana does to the SQL of a dashboard before PostgreSQL sees it: variables and macros put in.

Written from Grafana's manual (template variables, PostgreSQL data source: macros). In order:

1. ``$name``, ``${name}`` and ``${name:sqlstring}``. All values: the variable's custom "all" text as it is; several
   values, or ``sqlstring``: each quoted, separated by commas; else the value as it is. ``$__from`` and ``$__to`` are
   milliseconds since 1970, ``$__interval`` is a length such as ``15m``.
2. Macros: ``$__timeFilter(column)``, ``$__timeFrom()``, ``$__timeTo()``, ``$__timeGroup(column, length)``,
   ``$__timeGroupAlias(column, length)``. Their arguments hold no closing bracket. With the data source's switch for
   TimescaleDB, groups are ``time_bucket`` instead of arithmetic.

Anything else that begins with ``$`` is an error here, where Grafana would send it on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent.parent / "docker/grafana"
BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((FOLDER / "dashboards").glob("*.json"))
}
ALL = "$__all"
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
POINTS = 1000
"""Width of a panel in pixels: how many buckets Grafana asks for."""


@dataclass(frozen=True)
class Range:
    """What the time picker shows."""

    start: datetime
    end: datetime

    def interval(self, least: str) -> str:
        """Length of a bucket of a panel, at least what the panel says."""
        seconds = max(int((self.end - self.start).total_seconds() / POINTS), 1)
        return least if least and seconds_of(least) > seconds else f"{seconds}s"


def seconds_of(length: str) -> int:
    found = re.fullmatch(r"(\d+)([smhd])", length)
    assert found, length
    return int(found[1]) * UNITS[found[2]]


def moment(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def value_text(variable: Mapping[str, Any], value: str | list[str], form: str) -> str:
    """The text of a variable's value in SQL."""
    if value in (ALL, [ALL]):
        return str(variable["allValue"])
    if form == "sqlstring" or isinstance(value, list):
        values = value if isinstance(value, list) else [value]
        return ",".join("'" + one.replace("'", "''") + "'" for one in values)
    assert form == "", form
    return value


def expand(
    sql: str,
    shown: Range,
    variables: Mapping[str, Mapping[str, Any]],
    values: Mapping[str, str | list[str]],
    *,
    least: str = "",
    timescale: bool = False,
) -> str:
    """The statement that PostgreSQL gets. `variables` are the dashboard's by name, `values` what is chosen of them.

    >>> night = Range(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 5, 1, tzinfo=UTC))
    >>> expand("$__timeFilter(t) AND a IN (${a:sqlstring})", night, {"a": {"allValue": "a"}}, {"a": ["it's"]})
    "t BETWEEN '2026-01-05T00:00:00Z' AND '2026-01-05T01:00:00Z' AND a IN ('it''s')"
    >>> expand("$__timeGroupAlias(t, $__interval)", night, {}, {}, least="1m")
    'floor(extract(epoch from t)/60)*60 AS "time"'
    """
    built_in = {
        "__from": str(round(shown.start.timestamp() * 1000)),
        "__to": str(round(shown.end.timestamp() * 1000)),
        "__interval": shown.interval(least),
    }

    def put(found: re.Match[str]) -> str:
        name, form = found[1] or found[3], found[2] or ""
        if name in built_in:
            return built_in[name]
        return value_text(variables[name], values[name], form)

    names = "|".join([*map(re.escape, [*variables, *built_in])])
    sql = re.sub(rf"\$\{{({names})(?::(\w+))?\}}|\$({names})\b", put, sql)
    sql = re.sub(r"\$(\w+)\(([^)]*)\)", lambda found: _macro(found[1], found[2], shown, timescale=timescale), sql)
    assert "$" not in sql, f"not expanded: {sql}"
    return sql


def _macro(name: str, inner: str, shown: Range, *, timescale: bool) -> str:
    arguments = [one.strip() for one in inner.split(",")]
    match name, arguments:
        case "__timeFilter", [column]:
            return f"{column} BETWEEN '{moment(shown.start)}' AND '{moment(shown.end)}'"
        case "__timeFrom", [""]:
            return f"'{moment(shown.start)}'"
        case "__timeTo", [""]:
            return f"'{moment(shown.end)}'"
        case "__timeGroup", [column, length]:
            seconds = seconds_of(length.strip("'"))
            if timescale:
                return f"time_bucket('{seconds}.000s',{column})"
            return f"floor(extract(epoch from {column})/{seconds})*{seconds}"
        case "__timeGroupAlias", [_, _]:
            return _macro("__timeGroup", inner, shown, timescale=timescale) + ' AS "time"'
    raise AssertionError(f"unknown macro ${name}({inner})")


def panels(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All panels but rows."""
    for panel in board["panels"]:
        assert not panel.get("panels"), "a collapsed row hides its panels"
        if panel["type"] != "row":
            yield panel


def variables_of(board: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {variable["name"]: variable for variable in board["templating"].get("list", [])}


def statements(board: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Title, target and least interval of every SQL query of a dashboard: panels and annotations."""
    for panel in panels(board):
        for target in panel["targets"]:
            if "rawSql" in target:
                yield panel["title"], target, panel.get("interval", "")
    for annotation in board["annotations"].get("list", []):
        yield f"annotation {annotation['name']}", annotation["target"], ""


def expressions(board: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Title and expression of every PromQL query of a dashboard's panels."""
    for panel in panels(board):
        for target in panel["targets"]:
            if "expr" in target:
                yield panel["title"], target["expr"]
