"""`hindsight nightly` as people call it: what it prints, writes and refuses; the rules that it hands to the stream."""

import importlib.util
import json
import re
import time
from datetime import timedelta

import psycopg
import pytest

from flows import realtime
from flows.cli import run
from flows.nightly import flow, summary
from flows.nightly.night import Night
from flows.nightly.outcome import write_rules
from flows.settings import SettingsError, load
from operators.detect.rules import load_rules
from operators.mining.compile import Compiled
from operators.mining.finding import MiningConfig
from operators.mining.history import History
from tests.flows.nightly.filling import fill_all
from tests.flows.nightly.results import changed
from tests.operators.mining import planted

RULE = {"id": "by-hand", "items": ["pipeline:$x:failure"], "within_us": 1_000_000}
MINED = Compiled("7d444840-9dc0-11d1-b245-5ffdce74fad2", ("pipeline:a:failure",), 60_000_000, "pipeline:b:failure",
                 30, 20, 16, 0.8, 0.58, 9_000_000, 0.1)  # fmt: skip


def call(capsys, *words):
    """Status, the last line of stdout as JSON (None without one), and both outputs."""
    status = run(["nightly", *map(str, words)])
    out, err = capsys.readouterr()
    lines = out.strip().splitlines()
    last = json.loads(lines[-1]) if status == 0 and lines else None
    return status, last, out, err


@pytest.fixture(scope="module")
def filled(module_database):
    """Half a year of work; of the integration events of March a third cannot be."""
    history = planted.history(runs=300)
    events = history.integration_events
    march = events["event_timestamp"].dt.month == 3
    worse = events["processing_duration"].where(~(march & (events.index % 3 == 0)), 1e9)
    frames = planted.frames_of(history) | {"integration_events": events.assign(processing_duration=worse)}
    fill_all(module_database, History.of(**frames))
    return module_database


def test_a_night_is_told_of_stored_and_reported_and_bad_pieces_are_left_out_loudly(
    filled, tmp_path, capfd, monkeypatch
):
    monkeypatch.setenv("ANALYTICS_DATA_DIR", str(tmp_path / "data"))
    words = (
        "--from", "2026-01-05", "--to", planted.UNTIL.strftime("%Y-%m-%d"), "--database-url", filled,
        "--no-series-features", "--report", tmp_path / "night.html", "--rules", tmp_path / "rules.json",
    )  # fmt: skip
    status, said, out, err = call(capfd, *words)
    assert status == 0, err
    assert list(said["left_out"]) == ["integration_events/2026-03"]
    assert "left out: integration_events/2026-03" in out and "cannot be: takes over a week" in out
    assert "left out integration_events/2026-03" in err
    assert sum(said["findings"].values()) > 20 and said["new"] == sum(said["findings"].values())
    assert [line for line in err.splitlines() if line.endswith("…")] == [
        f"{stage} …" for stage in ("load", "features", "mine", "validate", "store", "compile", "report")
    ]
    with psycopg.connect(filled) as connection:
        count = connection.execute("SELECT count(*) FROM nightly_findings WHERE is_active").fetchone()[0]
        skipped = connection.execute("SELECT skipped_parts, status FROM nightly_history").fetchall()
        worst = connection.execute(
            "SELECT source, checks FROM nightly_quality_latest WHERE status = 'bad' ORDER BY source"
        ).fetchall()
    assert count == said["new"] and skipped == [(1, "finished")]
    assert worst == [("shop→bank:order", {"takes over a week": 86})]
    page = (tmp_path / "night.html").read_text()
    assert not re.search(r"""(src|href)=["']?(https?:)?//|@import|<script|<link""", page)
    assert "shop/main" in page and page.count("<svg") >= 3 and "integration_events/2026-03 was left out" in page
    assert len(set(re.findall(r'\bid="([^"]+)"', page))) == len(re.findall(r'\bid="([^"]+)"', page))
    assert load_rules(tmp_path / "rules.json").by_id

    status, again, _, _ = call(capfd, *words)
    assert (status, again["new"], again["again"], again["pieces_again"]) == (0, said["new"], 0, said["pieces"])


def test_the_sql_of_each_finding_counts_its_numbers_again_in_the_range_of_its_night(filled, tmp_path):
    night = Night(planted.at(1440 * 90), planted.UNTIL, config=MiningConfig(permutations=49), series_features=False)
    result, _ = flow.run(filled, night, tmp_path, tmp_path / "rules.json")
    checked = set()
    with psycopg.connect(filled) as connection:
        for one in result.found:
            if one.finding.sql is not None:
                counted = connection.execute(one.finding.sql).fetchone()[:2]
                assert counted == (one.finding.support, one.finding.total), (one.finding.sentence, one.finding.sql)
                checked.add(one.finding.miner)
    assert checked >= {"sequences", "propagation", "recovery", "failure_modes", "changes", "graph"}, checked


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "2026-02-01", "--to", "2026-01-01"), "--from must be before --to"),
        (("--date", "2026-02-01", "--to", "2026-01-01"), "exclude each other"),
        (("--date", "yesterday"), "Invalid value for '--date'"),
        (("--days", "0"), "Invalid value for '--days'"),
        (("--date", "2999-01-01"), "--date 2999-01-01 is after today"),
        (("--from", "2026-01-01", "--to", "2999-01-01"), "--to 2999-01-01 is after today"),
        (("--date", "0001-01-01"), "there is no calendar 365 days before, or a day after, 0001-01-01"),
        (("--date", "9999-12-31"), "9999-12-31"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(words, said, capsys):
    status, _, out, err = call(capsys, *words)
    assert (status, out) == (2, "") and said in err and len(err.strip().splitlines()) == 1


def test_a_database_that_is_not_up_to_date_or_not_there_is_one_line(empty_database, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("ANALYTICS_DATA_DIR", str(tmp_path))
    status, _, _, err = call(capsys, "--database-url", empty_database)
    assert status == 1 and "run `hindsight migrate`" in err
    status, _, _, err = call(capsys, "--database-url", "postgresql://127.0.0.1:9/x")
    assert status == 1 and "cannot connect" in err


def test_a_second_run_waits_for_nobody(database, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("ANALYTICS_DATA_DIR", str(tmp_path))
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended('hindsight nightly', 0))")
        status, _, _, err = call(capsys, "--database-url", database)
        assert status == 1 and "another nightly run is at work" in err
    status, said, _, _ = call(capsys, "--database-url", database, "--no-report")
    assert (status, said["rows"].get("runs", 0), said["report"]) == (0, 0, None)


def test_what_can_not_be_written_or_read_is_said_before_any_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("ANALYTICS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(flow, "run", lambda *_, **__: pytest.fail("it began to work"))
    broken, file = tmp_path / "rules.json", tmp_path / "file"
    broken.write_text('{"version": 1, "rules": [{"id": 3}]}')
    file.write_text("")
    for words, said in (
        (("--rules", broken), "rules.json: "),
        (("--report", file / "night.html"), "report: "),
        (("--report", tmp_path), "report: "),
        (("--rules", file / "rules.json"), "rules: "),
    ):
        status, _, out, err = call(capsys, *words)
        assert (status, out) == (2, "") and said in err and len(err.strip().splitlines()) == 1, err
    monkeypatch.setenv("ANALYTICS_DATA_DIR", str(file / "data"))
    status, _, _, err = call(capsys, "--rules", tmp_path / "new.json")
    assert status == 2 and "files of the night: " in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "file", "rules.json"]


def test_all_that_is_missing_is_named_with_one_command(capsys, monkeypatch):
    real = importlib.util.find_spec
    gone = ("sklearn", "tsfresh")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name in gone else real(name, *more))
    status, _, _, err = call(capsys)
    assert status == 1
    assert "scikit-learn, tsfresh are missing: pip install 'hindsight[nightly]'" in err


def test_the_help_is_short(capsys):
    assert run(["nightly", "--help"]) == 0
    assert len(capsys.readouterr().out.splitlines()) <= 45


def test_rules_that_people_wrote_stay_and_mined_ones_are_replaced(tmp_path):
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({"version": 1, "rules": [RULE]}))
    write_rules(path, [MINED])
    assert list(load_rules(path).by_id) == ["by-hand", MINED.id]
    write_rules(path, [])
    assert list(load_rules(path).by_id) == ["by-hand"]


def test_the_stream_looks_for_the_rules_of_the_file(tmp_path):
    path = tmp_path / "rules.json"
    write_rules(path, [MINED])
    settings = load(env_file=None, sequence_rules=path)
    (rule,) = realtime.partition_config(settings).judge.rules
    assert (rule.id, rule.then, rule.confidence, rule.lead_us) == (MINED.id, "pipeline:b:failure", 0.8, 9_000_000)
    assert realtime.partition_config(load(env_file=None)).judge.rules == ()
    path.write_text("{")
    with pytest.raises(SettingsError, match=r"ANALYTICS_SEQUENCE_RULES.*rules\.json"):
        realtime.partition_config(settings)


def failures(numbers):
    """Failures of a, each followed by one of b."""
    lines = []
    for number in numbers:
        for name, late in (("a", 0), ("b", 20)):
            end = planted.START + timedelta(hours=number, seconds=late)
            times = {"execution_start": (end - timedelta(seconds=5)).isoformat(), "execution_end": end.isoformat()}
            run = {
                "pipeline_name": name,
                "execution_id": f"{name}{number}",
                "status": "failure",
                "trigger_type": "manual",
            }
            event = {"id": f"{name}{number}", "type": "dev.hindsight.pipeline.finished.v1", "time": end.isoformat()}
            lines.append({"specversion": "1.0", "source": "ci://x", "data": run | times} | event)
    return "".join(json.dumps(line) + "\n" for line in lines)


def test_a_mined_rule_foretells_in_the_stream(tmp_path, database):
    """The stream says that b will fail before it does."""
    path = tmp_path / "rules.json"
    write_rules(path, [MINED])
    (tmp_path / "events.jsonl").write_text(failures(range(40)))
    settings = load(env_file=None, sequence_rules=path, database_url=database, recovery_dir=tmp_path / "recovery")
    realtime.run(settings, inputs=[tmp_path / "events.jsonl"])
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "SELECT entity, count(*), bool_and(resolved_at > opened_at) FROM detected_patterns"
            " WHERE pattern_type = 'sequence' GROUP BY entity"
        ).fetchall()
    assert found == [("b", 40, True)]


def test_a_running_stream_takes_the_rules_of_the_last_night_without_a_restart(tmp_path, database):
    """The default file, which is not there as the flow starts."""
    events, began, done = tmp_path / "events.jsonl", time.monotonic(), set()
    events.write_text(failures(range(20)))

    def step(name, after_s, do):
        if name not in done and time.monotonic() - began > after_s:
            done.add(name)
            do()

    def stop():
        step("rules", 2.5, lambda: write_rules(tmp_path / "nightly" / "sequence-rules.json", [MINED]))
        step("a record, so that a snapshot is taken", 3.0, lambda: append(failures(range(20, 21))))
        step("more", 5.5, lambda: append(failures(range(21, 40))))
        return time.monotonic() - began > 8.0

    def append(text):
        with events.open("a") as out:
            out.write(text)

    settings = load(
        env_file=None, data_dir=tmp_path, database_url=database, recovery_dir=tmp_path / "recovery", epoch_seconds=1,
        metrics_port=0, maintenance_seconds=0,
    )  # fmt: skip
    realtime.run(settings, inputs=[events], follow=True, stop=stop)
    with psycopg.connect(database) as connection:
        count, first = connection.execute(
            "SELECT count(*), min(opened_at) FROM detected_patterns WHERE pattern_type = 'sequence'"
        ).fetchone()
    assert 19 <= count <= 20 and first >= planted.START + timedelta(hours=20)


def actives(url):
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT count(*) FROM nightly_findings WHERE is_active").fetchone()[0]


def test_a_glance_and_an_empty_night_take_nothing_away(database, tmp_path):
    fill_all(database, planted.history(runs=250))
    rules = tmp_path / "rules.json"

    def work(since, until):
        night = Night(since, until, config=MiningConfig(permutations=49), series_features=False)
        return flow.run(
            database,
            night,
            tmp_path,
            rules,
            report=lambda result, *_: summary.facts(night, result, changed(), None, 0.0),
        )

    whole, _ = work(planted.START, planted.UNTIL)
    before, written = actives(database), rules.read_bytes()
    assert before > 20 and not whole.withheld and whole.rules
    for days in (1, 2, 3, 4):  # three misses retire
        end = planted.UNTIL + timedelta(days=days)
        glance, _ = work(end - timedelta(days=7), end)
        assert glance.withheld in ("nights of late looked further back", "nothing was read")
    empty, _ = work(planted.UNTIL + timedelta(days=300), planted.UNTIL + timedelta(days=700))
    assert empty.withheld == "nothing was read"
    assert actives(database) >= before and rules.read_bytes() == written
    # An empty night stands in nobody's way.
    later, _ = work(planted.START, planted.UNTIL + timedelta(days=5))
    assert not later.withheld

    # Whatever of a night's files is gone, it is made again.
    for path in sorted(tmp_path.rglob("*.bin")):
        path.unlink()
    again, _ = work(planted.START, planted.UNTIL + timedelta(days=5))
    assert again.stored == later.stored and [one.id for one in again.found] == [one.id for one in later.found]
