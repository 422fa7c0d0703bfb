"""What a filled database is asked: every query of `sql/queries/`, and the shapes that dashboards and the API use."""

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from sql.questions import Question as Asked
from sql.questions import questions as asked

SHAPES = Path(__file__).with_name("shapes.sql")
QUERIES = Path(__file__).resolve().parents[2] / "sql/queries"
PARAMETER = re.compile(r"%\((\w+)\)s")
SPANS = {"1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}
LEVELS = ("10s", "1m", "5m", "1h", "1d")
SERIES = (
    'SELECT "time", n, avg, min, max FROM series_{} WHERE entity = %(entity)s AND measure = %(measure)s'
    ' AND "time" >= %(from)s AND "time" < %(to)s ORDER BY "time"'
)
EXAMPLES = {
    "entity": "SELECT entity FROM series WHERE kind = 'metric' ORDER BY entity LIMIT 1",
    "host": "SELECT min(host) FROM resource_usage",
    "run": "SELECT id FROM pipeline_executions ORDER BY execution_start LIMIT 1",
    "pipeline": "SELECT pipeline_name FROM pipeline_executions ORDER BY execution_start LIMIT 1",
    "task": "SELECT task_id FROM task_executions ORDER BY execution_start LIMIT 1",
    "correlation": "SELECT correlation_id FROM integration_events WHERE correlation_id IS NOT NULL LIMIT 1",
    "pattern": "SELECT pattern_id FROM pattern_evolution ORDER BY evolution_timestamp LIMIT 1",
}
"""Where values of parameters are found: things that there are."""


@dataclass(frozen=True)
class Question:
    """A query with the values of its parameters."""

    name: str
    text: bytes
    values: dict[str, Any]


def questions(connection: psycopg.Connection[Any], until: datetime) -> list[Question]:
    """All of them, for stretches of time that end at `until`."""
    known: dict[str, Any] = {}
    for name, query in EXAMPLES.items():
        row = connection.execute(query.encode()).fetchone()
        known[name] = row[0] if row else None
    source, _, tags = str(known["entity"]).partition("{")
    known |= {
        "source": source,
        "tags": json.dumps(dict(pair.split("=") for pair in tags.rstrip("}").split(",") if pair)),
        "measure": "latency_ms",
        "metric": "latency_ms",
        "model_id": known["run"],
        "days": 30,
        "most": 50,
    }
    found = [
        _question(f"one series, {level}, {span}", SERIES.format(level), known, until, span)
        for level in LEVELS
        for span in SPANS
    ]
    for part in re.split(r"(?m)^-- (?=\w+: )", SHAPES.read_text())[1:]:
        heading, _, text = part.partition("\n")
        span, _, name = heading.partition(": ")
        found.append(_question(name, text, known, until, span))
    found += [
        _question(path.stem, path.read_text(), known, until, "30d") for path in sorted(QUERIES.glob("store_*.sql"))
    ]
    return [*found, *(_asked(one, known, until) for one in asked())]


def _asked(one: Asked, known: dict[str, Any], until: datetime) -> Question:
    """A question with its defaults, as if it were `until` now, about things that there are."""
    given = {name: known[name] for name, default in one.defaults.items() if name in known and default != "NULL"}
    text = one.text(given).replace("now()", f"timestamptz '{until.isoformat()}'")
    return Question(one.name, text.encode(), given)


def _question(name: str, text: str, known: dict[str, Any], until: datetime, span: str) -> Question:
    values = {**known, "from": until - SPANS[span], "to": until, "since": until - SPANS[span], "until": until}
    return Question(name, text.strip().rstrip(";").encode(), {key: values[key] for key in PARAMETER.findall(text)})
