"""`hindsight backtest` and `hindsight replay`: the same judgements as the flow's, without its database and with it."""

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from flows import cli
from flows.plotting import plot_series, thin
from operators.backtest import Backtest
from operators.taxonomy import PatternClass
from tests import flow
from tests.samples import data_of, raw, time_at


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    for name in ("ANALYTICS_DATABASE_URL", "ANALYTICS_ANOMALY_DETECTION_SENSITIVITY"):
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments: CliRunner().invoke(cli.cli, [str(argument) for argument in arguments])


def last(done: Result) -> dict[str, Any]:
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def values(count: int = 400, spike: int = 300) -> list[float]:
    rnd = random.Random(3)
    return [rnd.gauss(40, 2) + (60 if at == spike else 0) for at in range(count)]


def table(path: Path, numbers: list[float], step: int = 300, shuffle: bool = False) -> Path:
    rows = [(1_767_600_000 + at * step, value) for at, value in enumerate(numbers)]
    if shuffle:
        random.Random(1).shuffle(rows)
    path.write_text("when,load\n" + "".join(f"{time},{value!r}\n" for time, value in rows))
    return path


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as lines:
        return list(csv.DictReader(lines))


def columns(path: Path) -> list[str]:
    return ["--csv", str(path), "--time-column", "when", "--value-column", "load"]


def test_a_row_for_a_row(tmp_path: Path, call: Callable[..., Result]) -> None:
    out = tmp_path / "out.csv"
    done = call("backtest", *columns(table(tmp_path / "cpu.csv", values())), "--out", out)
    found = last(done)
    rows = read(out)
    assert [float(row["value"]) for row in rows] == values()
    assert [row["timestamp"] for row in rows] == [str(1_767_600_000 + at * 300) for at in range(400)]
    opened = {at: row["opened"] for at, row in enumerate(rows) if row["opened"]}
    assert 300 in opened
    assert set(opened.values()) <= {one.value for one in PatternClass}
    assert found["patterns"] == sum(found["by_detector"].values()) >= len(opened)
    assert found["values"] == 400
    scores = [name for name in rows[0] if name.endswith("_score")]
    assert "spike_score" in scores
    assert all(float(row[name]) >= 0.0 for row in rows for name in scores)
    assert float(rows[300]["spike_score"]) == max(float(row["spike_score"]) for row in rows)


def test_the_order_of_rows_does_not_matter(tmp_path: Path, call: Callable[..., Result]) -> None:
    for name, shuffle in (("a", False), ("b", True)):
        path = table(tmp_path / f"{name}.csv", values(), shuffle=shuffle)
        last(call("backtest", *columns(path), "--out", tmp_path / f"{name}.out", "--entity", "web"))
    by_time = [sorted(map(tuple, map(dict.items, read(tmp_path / f"{name}.out")))) for name in "ab"]
    assert by_time[0] == by_time[1]


def test_values_within_a_pane_are_judged_as_their_mean() -> None:
    points = [(at * 1_000_000, value) for at, value in enumerate(values(3000, spike=2000))]
    panes = list(Backtest("web", "load", "metric").run(points))
    assert [pane.values for pane in panes] == [10] * 300
    means = [
        (pane[0][0], sum(value for _, value in pane) / 10)
        for pane in (points[at : at + 10] for at in range(0, 3000, 10))
    ]
    alone = list(Backtest("web", "load", "metric").run(means))
    assert [pane.time_us for pane in panes] == [pane.time_us for pane in alone]
    assert [pane.scores["spike"] for pane in panes] == pytest.approx([pane.scores["spike"] for pane in alone], rel=1e-6)
    with pytest.raises(ValueError, match="older"):
        list(Backtest("web", "load", "metric").run([(5, 1.0), (4, 1.0)]))


def test_rows_without_a_value(tmp_path: Path, call: Callable[..., Result]) -> None:
    path = tmp_path / "gaps.csv"
    path.write_text("when,load\n" + "".join(f"{at * 60},{'' if at % 7 == 3 else 40 + at % 3}\n" for at in range(90)))
    last(call("backtest", *columns(path), "--out", tmp_path / "o.csv"))
    rows = read(tmp_path / "o.csv")
    assert len(rows) == 90
    assert {(row["value"], row["spike_score"]) for row in rows[3::7]} == {("", "0")}


def events(tmp_path: Path) -> Path:
    rnd = random.Random(5)
    lines = []
    for at in range(240):
        for host in ("web-1", "web-2"):
            hot = host == "web-1" and 200 <= at < 210
            data = {"host": host, "resource_type": "cpu", "usage_percentage": 97.0 if hot else rnd.uniform(30, 40)}
            lines.append(raw("resource.sampled", data, id=f"{host}-{at}", time=time_at(at * 10)))
        data = data_of("pipeline.finished", execution_id=f"r{at}", pipeline_name="shop", execution_end=time_at(at * 10),
                       total_duration_s=900.0 if at == 180 else rnd.uniform(99, 101), status="success")  # fmt: skip
        lines.append(raw("pipeline.finished", data, id=f"r{at}", time=time_at(at * 10)))
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join([*lines, b"{}"]) + b"\n")
    return path


def test_what_is_tried_is_compared(tmp_path: Path, call: Callable[..., Result]) -> None:
    path = events(tmp_path)
    done = call("backtest", "--input", path, "--threshold", "high_cpu_usage=0.99")
    found = last(done)
    assert (found["unreadable"], found["values"]) == (1, 721)
    assert found["fewer"] == 1
    assert found["more"] == 0
    assert found["same"] == found["patterns"] > 0
    assert "fewer" in done.output
    assert "cpu_usage of web-1 above 80 %" in done.output.replace("\n", " ")
    only = last(call("backtest", "--input", path, "--entity", "web-1", "--measure", "cpu_usage"))
    assert only["by_detector"]["threshold"] == 1
    later = last(call("backtest", "--input", path, "--from", "2027-01-01"))
    assert later["patterns"] == 0


@pytest.mark.parametrize("form", ["png", "svg", "html"])
def test_a_plot(tmp_path: Path, call: Callable[..., Result], form: str) -> None:
    path = tmp_path / f"p.{form}"
    done = call("backtest", *columns(table(tmp_path / "cpu.csv", values())), "--plot", path)
    last(done)
    made = path.read_bytes()
    assert made.startswith({"png": b"\x89PNG", "svg": b"<?xml", "html": b"<!doctype html>"}[form])
    if form == "html":
        text = made.decode()
        assert "load of cpu" in text
        assert "http://" not in text
        assert "https://" not in text


def test_a_plot_escapes_names(tmp_path: Path) -> None:
    plot_series(tmp_path / "x.html", "<script>alert(1)</script>", [(0, 1.0), (60_000_000, 2.0)], [])
    assert "<script" not in (tmp_path / "x.html").read_text()


def test_thinning_keeps_every_peak() -> None:
    points = [(at, 100.0 if at == 777 else -100.0 if at == 1234 else float(at % 7)) for at in range(5000)]
    kept = thin(points, 200)
    assert len(kept) <= 200
    assert {(777, 100.0), (1234, -100.0)} <= set(kept)
    assert kept == sorted(kept)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, "give one of --csv, --input and --database-url"),
        (["--csv", "none.csv"], 2, "none.csv: no such file"),
        (["--input", "{events}", "--out", "x"], 2, "--out goes with --csv"),
        (["--input", "{events}", "--plot", "x.gif"], 2, "must end in .png"),
        (["--input", "{events}", "--threshold", "high=1"], 2, "no rule 'high'"),
        (["--input", "{events}", "--threshold", "high_cpu_usage=x"], 2, "is no number"),
        (["--input", "{events}", "--sensitivity", "7"], 2, "sensitivity"),
        (["--csv", "{events}"], 1, "no column 'timestamp'"),
        (["--database-url", "postgresql://localhost:1/x"], 1, "the database can't be read"),
    ],
)
def test_mistakes_are_told(
    tmp_path: Path, call: Callable[..., Result], arguments: list[str], status: int, words: str
) -> None:
    path = events(tmp_path)
    done = flow.run("backtest", *(argument.replace("{events}", str(path)) for argument in arguments))
    assert (done.returncode, words in done.stderr, "Traceback" in done.stderr) == (status, True, False), done.stderr


def test_a_replay_finds_the_same(tmp_path: Path, database: str, call: Callable[..., Result]) -> None:
    """What a stream has stored is found again under the same ids, from the database alone."""
    path = events(tmp_path)
    flow.stream("--input", path, "--database-url", database, "--recovery-dir", tmp_path / "state")
    with psycopg.connect(database) as connection:
        before = sorted(connection.execute("SELECT id, confidence_score, severity FROM detected_patterns").fetchall())
    assert before
    found = last(call("replay", "--database-url", database))
    assert (found["same"], found["new"], found["missing"]) == (len(before), 0, 0)
    with psycopg.connect(database) as connection:
        connection.execute("DELETE FROM detected_patterns")
    assert last(call("replay", "--database-url", database))["new"] == len(before)
    assert last(call("replay", "--database-url", database, "--write"))["written"] is True
    with psycopg.connect(database) as connection:
        after = sorted(connection.execute("SELECT id, confidence_score, severity FROM detected_patterns").fetchall())
    assert after == before
    tested = last(call("backtest", "--database-url", database, "--entity", "web-1"))
    assert tested["by_detector"]["threshold"] == 1
    assert last(call("replay", "--database-url", database, "--from", "2031-01-01"))["patterns"] == 0


def test_replay_says_what_is_wrong(call: Callable[..., Result]) -> None:
    done = flow.run("replay", "--from", "2026-01-05", "--to", "2026-01-04")
    assert (done.returncode, "--from must be before --to" in done.stderr) == (2, True)
    done = flow.run("replay", "--database-url", "postgresql://localhost:1/x")
    assert (done.returncode, "the database can't be used" in done.stderr) == (1, True)
