"""What is read of the code's history: the changes of files among all metrics, and when edges were first seen."""

from datetime import UTC, datetime, timedelta

import psycopg

from operators.mining.code_features import code_table
from operators.mining.history import FRAMES, History
from operators.mining.pieces import add, empty, frame
from sinks.timescale import DatabaseWriter
from sources import archive
from tests.samples import data_of, raw
from tests.sinks.writing import output

START = datetime(2026, 1, 5, 10, tzinfo=UTC)


def at(hours):
    return (START + timedelta(hours=hours)).isoformat()


def events():
    """Three commits with their runs, and metrics and measures that are no changes of files."""
    out = [raw("metric.sampled", data_of("metric.sampled", metric_name="lines_changed"), id="no code", time=at(1))]
    for number in range(3):
        sha = f"c{number}"
        for path, lines in (("app/a.py", 5), ("app/b.py", 7)):
            data = {"codebase_id": "shop", "metric_type": "lines_changed", "metric_value": lines, "scope": "file",
                    "path": path, "commit_sha": sha}  # fmt: skip
            out.append(raw("code.measured", data, id=f"{sha}{path}", time=at(24 * number)))
        whole = {"codebase_id": "shop", "metric_type": "lines_added", "metric_value": 12, "scope": "repo"}
        out.append(raw("code.measured", whole | {"commit_sha": sha}, id=sha, time=at(24 * number)))
        run = data_of("pipeline.finished", pipeline_name="ci", execution_id=sha, commit_sha=sha, status="failure",
                      execution_start=at(24 * number), execution_end=at(24 * number + 1))  # fmt: skip
        out.append(raw("pipeline.finished", run, id=f"run {sha}", time=at(24 * number + 1)))
        # The graph is sent again with each commit.
        edges = data_of("code.dependencies", codebase_id="shop", edges=[
            {"from": "app/a.py", "to": "app/b.py", "kind": "import"}])  # fmt: skip
        out.append(raw("code.dependencies", edges, id=f"graph {sha}", time=at(24 * number + 2)))
    return out


def test_changes_of_files_and_edges_come_back_as_they_were_known(database):
    writer = DatabaseWriter(database)
    writer.put([output(events())])
    writer.drain()
    writer.close()
    frames = {}
    with psycopg.connect(database, autocommit=True) as connection:
        found = archive.pieces(connection, START - timedelta(days=40), START + timedelta(hours=30))
        assert [piece.name for piece in found if piece.table == "code_changes"] == ["code_changes/2026-01"]
        for table in FRAMES:
            columns = empty(table)
            for piece in (one for one in found if one.table == table):
                assert archive.fingerprint(connection, piece)
                for rows in archive.read(connection, piece):
                    add(columns, table, rows)
            frames[table] = frame(table, [columns])
        # Of before the first commit there is no piece: other metrics of the name do not count.
        early = archive.pieces(connection, START - timedelta(days=40), START)
        assert not [piece for piece in early if piece.table == "code_changes"]
    history = History(**frames).before(START + timedelta(hours=30))
    changes = history.code_changes
    assert list(zip(changes["path"], changes["commit_sha"], changes["lines"], strict=True)) == [
        (path, sha, lines) for sha in ("c0", "c1") for path, lines in (("app/a.py", 5.0), ("app/b.py", 7.0))
    ]
    (edge,) = history.code_dependencies.to_dict("records")  # last seen after the end, known since its first day
    assert edge["first_observed_at"] == START + timedelta(hours=2)
    table = code_table(history)
    values = dict(zip(table.refs, table.values, strict=True))
    second = dict(zip(table.names, values["shop:app/b.py@c1"], strict=True))
    assert (second["failed_last_5"], second["fan_in"], second["fan_out"], second["files"]) == (1.0, 1.0, 0.0, 2.0)
    assert second["since_run_s"] == 23 * 3600 and second["changes_7d"] == 1.0 and second["age_s"] == 24 * 3600
    first = dict(zip(table.names, values["shop:app/b.py@c0"], strict=True))
    assert first["changes_7d"] == 0.0 and first["fan_in"] != first["fan_in"]  # not known yet
