"""Dashboards: what is checked in is what comes out, and all that they ask is answered, without rows and with rows."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from flows.docs import _metrics
from sinks.maintain import maintain
from tests import flow
from tests.conftest import temporary_database
from tests.docker.grafana import ALL, BOARDS, Range, expand, expressions, panels, statements, variables_of
from tests.docker.lately import Lately
from tests.docker.test_rules import ALERTS, RECORDS
from tests.sql.rows import Connection
from tools.dashboards.__main__ import files, main
from tools.dashboards.board import TAG

EVERY = [pytest.param(board, id=name) for name, board in BOARDS.items()]
LENGTHS = [timedelta(hours=1), timedelta(hours=24), timedelta(days=7), timedelta(days=30), timedelta(days=400)]
EMPTY = {"code": {"Patterns in the code", "annotation Patterns"}, "integrations": {"annotation Patterns"},
         "tasks": {"annotation Patterns"}}  # fmt: skip
"""What may show nothing: detectors need find nothing in code and tasks, nor anything bad between systems."""
UNITS = {
    "none", "short", "string", "s", "ms", "m", "h", "d", "percent", "percentunit", "cps", "bytes", "dtdurations",
    "dateTimeAsIso", "dateTimeAsLocalNoDateIfToday",
}  # fmt: skip
"""Ids of Grafana's units that are used here."""


NIGHT = """
WITH found AS (
    INSERT INTO detected_patterns (id, pattern_type, pattern_name, pattern_data, confidence_score, significance_score,
        detection_algorithm, pattern_category, severity, entity, measure, explanation, detected_at, opened_at,
        last_observed_at, is_active, observation_count)
    VALUES (gen_random_uuid(), 'flaky', 'a night''s', '{"class": "flaky", "support": 4, "total": 40, "effect": 3.5,
        "missed": [], "status": "confirmed"}', 0.9, 0.8, 'nightly: flaky', 'error', 'critical', 'of the night',
        'failed', 'It fails now and then.', now(), now(), now(), true, 4)
), night AS (
    INSERT INTO nightly_runs (id, range_start, range_end, engine, status)
    VALUES (gen_random_uuid(), now() - interval '30 d', now(), 'embedded', 'finished') RETURNING id
), quality AS (
    INSERT INTO nightly_quality (run_id, table_name, source, n, active_days, coverage, longest_gap_days, stale_days,
        duplicates, impossible, checks, missing, status, problems)
    SELECT id, 'runs', 'a source', 9, 9, 0.5, 3, 1, 0, 0, '{}', '{}', 'notice', ARRAY['nothing for 3 days'] FROM night
), made AS (
    INSERT INTO performance_baselines (id, component_name, component_kind, baseline_type, baseline_metrics,
        confidence_level, sample_size, established_at, valid_until, is_active)
    SELECT gen_random_uuid(), pipeline_name, 'pipeline', 'weekly', '{"error_rate": {"low": 0.1, "high": 0.3},
        "response_time": {"p10": 40, "p90": 80}}', 0.95, 90, now(), now() + interval '7 d', true
    FROM (SELECT DISTINCT pipeline_name FROM pipeline_runs) AS p
)
INSERT INTO performance_analytics (id, component_name, component_kind, metric_type, baseline_value, current_value,
    performance_delta, measurement_window, analyzed_at, context_metadata)
SELECT gen_random_uuid(), pipeline_name, 'pipeline', metric, 0.2, 0.4, 100, interval '7 d', now(),
    '{"kind": "pipeline", "baseline": "weekly", "n": 20}'
FROM (SELECT DISTINCT pipeline_name FROM pipeline_runs) AS p, unnest(ARRAY['error_rate', 'response_time']) AS metric
"""
"""A finding of the nightly flow that would be the worst of all, were it one of the stream."""


@pytest.fixture(scope="module")
def empty(database_url: str, migrated_template: str) -> Iterator[Connection]:
    """A reader of a database without rows."""
    with temporary_database(database_url, migrated_template) as url, psycopg.connect(url, autocommit=True) as reader:
        reader.execute("SET ROLE hindsight_reader")
        yield reader


@pytest.fixture(scope="module")
def filled(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """A reader of some weeks up to now, as the flow writes them, with a verdict."""
    folder = tmp_path_factory.mktemp("lately")
    Lately(datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)).write(folder / "events.jsonl")
    flow.stream(
        "--input", folder / "events.jsonl", "--database-url", module_database, "--recovery-dir", folder / "state"
    )
    maintain(module_database)
    with psycopg.connect(module_database, autocommit=True) as connection:
        connection.execute(
            """
            INSERT INTO pattern_classifications (id, pattern_id, classification_type, classification_value,
                classification_confidence, classifier_model, human_verified, classified_at, actor)
            SELECT gen_random_uuid(), id, 'verdict', 'true_positive', 1, 'human', true, now(), 'ada'
            FROM patterns ORDER BY detected_at DESC LIMIT 1
            """
        )
        connection.execute(NIGHT)
    with psycopg.connect(module_database, autocommit=True) as reader:
        reader.execute("SET ROLE hindsight_reader")
        yield reader


def shown(length: timedelta) -> Range:
    now = datetime.now(UTC)
    return Range(now - length, now)


def chosen(board: dict[str, Any], reader: Connection, time: Range, *, everything: bool) -> dict[str, str | list[str]]:
    """The values of a board's variables as Grafana would choose them: all, or the first of what their query gives."""
    values: dict[str, str | list[str]] = {}
    for name, variable in variables_of(board).items():
        if variable["type"] == "custom":
            values[name] = ALL if everything else variable["query"].split(",")[:2]
        elif isinstance(variable["query"], str):
            cursor = reader.execute(expand(variable["query"], time, {}, {}).encode())
            assert cursor.description
            place = (
                [column.name for column in cursor.description].index("__value") if len(cursor.description) > 1 else 0
            )
            options = [row[place] for row in cursor.fetchall()]
            if variable["multi"]:
                values[name] = ALL if everything or not options else options[:2]
            else:
                values[name] = options[0] if options else ""
        else:
            values[name] = ALL
    return values


def answer(
    board: dict[str, Any], reader: Connection, time: Range, *, everything: bool, twin: str
) -> dict[str, list[Any]]:
    """Rows by the title of every query of a board; columns are checked for what Grafana needs."""
    values = chosen(board, reader, time, everything=everything)
    found = {}
    for title, target, least in statements(board):
        for timescale in {False, twin == "timescale"}:
            text = expand(target["rawSql"], time, variables_of(board), values, least=least, timescale=timescale)
            try:
                cursor = reader.execute(text.encode())
            except psycopg.Error as problem:
                raise AssertionError(f"{board['title']}, {title}: {problem}\n{text}") from problem
            rows = cursor.fetchall()
            columns = [column.name for column in cursor.description or []]
            if target["format"] == "time_series":
                assert columns[0] == "time", title
                assert all(before[0] <= after[0] for before, after in itertools.pairwise(rows)), (
                    f"{title}: not in order"
                )
                assert all(row[0] is not None for row in rows), title
            found[title] = rows
    return found


@pytest.mark.parametrize("board", EVERY)
@pytest.mark.parametrize("everything", [True, False], ids=["all", "some"])
def test_everything_is_answered_without_rows(
    board: dict[str, Any], empty: Connection, twin: str, everything: bool
) -> None:
    answer(board, empty, shown(timedelta(hours=24)), everything=everything, twin=twin)


@pytest.mark.parametrize("length", LENGTHS, ids=lambda length: f"{length // timedelta(hours=1)}h")
def test_everything_is_answered_at_each_range(filled: Connection, twin: str, length: timedelta) -> None:
    for board in BOARDS.values():
        answer(board, filled, shown(length), everything=True, twin=twin)
        answer(board, filled, shown(length), everything=False, twin=twin)


@pytest.mark.parametrize(("name", "board"), [pytest.param(*one, id=one[0]) for one in BOARDS.items()])
def test_each_panel_shows_something(name: str, board: dict[str, Any], filled: Connection, twin: str) -> None:
    found = answer(board, filled, shown(timedelta(days=30)), everything=True, twin=twin)
    blank = {title for title, rows in found.items() if not any(value is not None for row in rows for value in row)}
    assert blank <= EMPTY.get(name, set())


def test_the_first_row_says_what_is_wrong(filled: Connection, twin: str) -> None:
    found = answer(BOARDS["overview"], filled, shown(timedelta(hours=24)), everything=True, twin=twin)
    assert sum(found["Open incidents"][0]) >= 1, "a CPU is full"
    assert found["Silent series"][0][0] >= 4, "a machine is gone"
    assert found["Runs that failed"][0][0] > 0.1
    machines = answer(BOARDS["machines"], filled, shown(timedelta(hours=24)), everything=True, twin=twin)
    assert machines["Fullest CPU"] == [(97.0,)]
    assert machines["Silent machines"] == [(1,)]
    lost = answer(BOARDS["quality"], filled, shown(timedelta(hours=24)), everything=True, twin=twin)
    assert lost["Not accounted for"] == [(0,)]
    assert lost["Missing hours"][0][0] >= 4


def test_what_keeps_happening_is_not_what_goes_wrong_now(filled: Connection, twin: str) -> None:
    found = answer(BOARDS["patterns"], filled, shown(timedelta(hours=24)), everything=True, twin=twin)
    assert [row[2] for row in found.pop("Findings of the nights")] == ["of the night"]
    for board in BOARDS.values():
        rest = answer(board, filled, shown(timedelta(hours=24)), everything=True, twin=twin)
        rest.pop("Findings of the nights", None)
        assert not {title for title, rows in rest.items() if "of the night" in str(rows)}, board["title"]
    (open_now,) = found["Open patterns"]
    assert sum(open_now) == filled.execute("SELECT count(*) FROM open_patterns").fetchone()[0]  # type: ignore[index]


def test_a_choice_narrows_and_a_quote_does_no_harm(filled: Connection) -> None:
    board = BOARDS["machines"]
    (target,) = [target for title, target, _ in statements(board) if title == "CPU"]
    for name in ("web-1", "it's gone"):
        text = expand(
            target["rawSql"], shown(timedelta(days=30)), variables_of(board), {"entity": [name], "level": "1h"}
        )
        assert {row[1] for row in filled.execute(text.encode()).fetchall()} == {name}


def test_the_level_fits_the_range(filled: Connection) -> None:
    query = variables_of(BOARDS["machines"])["level"]["query"]
    levels = [filled.execute(expand(query, shown(length), {}, {}).encode()).fetchone() for length in LENGTHS]
    assert levels == [("10s",), ("1m",), ("5m",), ("1h",), ("1d",)]
    old = Range(datetime.now(UTC) - timedelta(days=100), datetime.now(UTC) - timedelta(days=99, hours=23))
    assert filled.execute(expand(query, old, {}, {}).encode()).fetchone() == ("5m",), (
        "finer ones are kept for less long"
    )


def test_what_is_checked_in_is_what_comes_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().err
    assert {name.removesuffix(".json") for name in files()} == set(BOARDS)


def test_uids_and_titles_are_unique() -> None:
    for key in ("uid", "title"):
        assert len({board[key] for board in BOARDS.values()}) == len(BOARDS)
    for board in BOARDS.values():
        assert re.fullmatch(r"hindsight-[a-z]+", board["uid"])
        assert board["tags"] == [TAG]
        assert board["description"]
        assert not board["editable"]
        assert [link["tags"] for link in board["links"]] == [[TAG]]


@pytest.mark.parametrize("board", EVERY)
def test_a_panel_says_what_it_shows(board: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in panels(board)]
    assert len(set(titles)) == len(titles)
    for panel in panels(board):
        where = f"{board['title']}: {panel.get('title')}"
        assert panel["title"].strip(), where
        assert panel["description"].endswith("."), where
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"] in UNITS, where
        assert panel["targets"], where
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]), where
        assert panel["datasource"]["uid"] in {"hindsight-postgres", "hindsight-prometheus"}, where
        if panel["type"] == "stat" and panel["options"]["colorMode"] == "background":
            assert len(defaults["thresholds"]["steps"]) >= 2, where
    assert board["panels"][0]["title"] == "Is anything wrong now?"


@pytest.mark.parametrize("board", EVERY)
def test_panels_lie_side_by_side(board: dict[str, Any]) -> None:
    cells = set[tuple[int, int]]()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        covered = set(
            itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
        )
        assert not covered & cells, panel["title"]
        cells |= covered


def test_links_lead_to_dashboards_and_variables_that_exist() -> None:
    by_uid = {board["uid"]: board for board in BOARDS.values()}
    count = 0
    for board in BOARDS.values():
        for uid, rest in re.findall(r'"/d/([\w-]+)\?([^"]*)"', str(board).replace("'", '"')):
            names = re.findall(r"var-(\w+)=", rest)
            assert set(names) <= set(variables_of(by_uid[uid])), (board["title"], uid, names)
            count += 1
    assert count > 30


def test_columns_with_a_look_of_their_own_exist(filled: Connection) -> None:
    for board in BOARDS.values():
        time = shown(timedelta(hours=24))
        values = chosen(board, filled, time, everything=True)
        for panel in panels(board):
            overrides = panel["fieldConfig"].get("overrides", [])
            names = {one["matcher"]["options"] for one in overrides if one["matcher"]["id"] == "byName"}
            if panel["type"] != "table" or "rawSql" not in panel["targets"][0]:
                continue
            text = expand(panel["targets"][0]["rawSql"], time, variables_of(board), values)
            columns = {column.name for column in filled.execute(text.encode()).description or []}
            assert names <= columns, (board["title"], panel["title"])


def test_metrics_and_labels_exist() -> None:
    exist = set(RECORDS) | {"up", "ALERTS"}
    for name, kind, _, _ in _metrics():
        exist |= {f"{name}_bucket"} if kind == "histogram" else {name}
    known = {label for _, _, labels, _ in _metrics() for label in labels} | {"job", "instance", "le"}
    known |= {"alertname", "alertstate", "severity", "topic", "target"}
    used = set[str]()
    for board in BOARDS.values():
        for title, expression in expressions(board):
            names = set(re.findall(r"(?<![\w:\"])(?:[\w:]*hindsight_[\w:]+|up|ALERTS)(?=[{\[) ]|$)", expression))
            assert names, title
            assert names <= exist, title
            used |= names
            grouped = re.findall(r"\bby\s*\(([^)]*)\)", expression)
            matched = re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", expression)
            assert {one.strip() for group in grouped for one in group.split(",")} | set(matched) <= known, title
        for variable in variables_of(board).values():
            if isinstance(variable["query"], dict):
                assert re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
    unused = {name for name, _, _, _ in _metrics()} - {name.removesuffix("_bucket") for name in used}
    assert not {name for name in unused if not any(name in RECORDS[one]["expr"] for one in RECORDS)}, "shown nowhere"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (package prometheus) is missing")
def test_each_expression_is_promql(tmp_path: Path) -> None:
    rules = []
    for name, board in BOARDS.items():
        for number, (_, expression) in enumerate(expressions(board)):
            text = expression.replace("$__rate_interval", "5m").replace("$topic", ".*")
            assert "$" not in text
            rules.append({"record": f"{name}:panel:{number}", "expr": text})
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
    done = subprocess.run(
        ["promtool", "check", "rules", str(path)], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout
    assert len(rules) > 40


def test_alerts_that_are_named_exist() -> None:
    text = str(BOARDS)
    assert set(re.findall(r"\bHindsight[A-Z]\w+", text)) <= set(ALERTS)
