"""A night counted on Spark ends in the rows of a night that was counted here."""

import os
from contextlib import ExitStack
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests.conftest import temporary_database
from tests.flows.nightly.filling import fill_all
from tests.flows.nightly.test_command import call
from tests.flows.nightly.test_kill import TABLES
from tests.operators.mining import planted

OWN = ("written_at", "started_at", "finished_at", "seconds", "summary", "run_id", "input", "engine")
"""What tells one run from another: its clock, its name, and what parts were made from, which includes the engine; of
parts what was made is compared, but for the report, which has no output but its input."""


def rows(url):
    with psycopg.connect(url) as connection:
        return {
            table: sorted(
                row[0]
                for row in connection.execute(
                    f"SELECT (to_jsonb(t) - %s::text[])::text FROM {table} AS t",
                    [[*OWN, "id"] if table == "nightly_runs" else list(OWN)],
                )
            )
            for table in TABLES
        }


def test_a_night_on_spark_ends_in_the_same_rows(
    quick_spark, database_url, migrated_template, tmp_path, capfd, monkeypatch
):
    before = set(os.listdir(Path.cwd()))
    with temporary_database(database_url, migrated_template) as here, ExitStack() as ends:
        fill_all(here, planted.history(runs=250))
        there = ends.enter_context(temporary_database(database_url, conninfo_to_dict(here)["dbname"]))
        said = {}
        for engine, url, more in (("embedded", here, ()), ("spark", there, ("--spark-master", "local[2]"))):
            monkeypatch.setenv("ANALYTICS_DATA_DIR", str(tmp_path / engine))
            words = ("--from", "2026-01-05", "--to", planted.UNTIL.strftime("%Y-%m-%d"), "--database-url", url,
                     "--no-series-features", "--no-report", "--engine", engine, *more)  # fmt: skip
            status, said[engine], _, err = call(capfd, *words)
            assert status == 0, err
            assert [line for line in err.splitlines() if not line.endswith(" …")] == []
        own = {"engine", "seconds", "seconds_of_night", "rules_file"}
        assert {name: value for name, value in said["spark"].items() if name not in own} == {
            name: value for name, value in said["embedded"].items() if name not in own
        }
        assert (said["spark"]["engine"], said["spark"]["left_out"]) == ("spark", {})
        wanted, found = rows(here), rows(there)
        for of in (wanted, found):
            of["nightly_stages"] = [row for row in of["nightly_stages"] if '"stage": "report"' not in row]
        for table in TABLES:
            assert found[table] == wanted[table], table
    kinds = " ".join(wanted["detected_patterns"])
    assert all(f'"pattern_type": "{kind}"' in kinds for kind in ("rule", "sequence")), kinds
    (night,) = (path for path in (tmp_path / "spark" / "nightly").iterdir() if path.is_dir())
    assert not [path.name for path in night.iterdir() if "spark" in path.name]
    assert set(os.listdir(Path.cwd())) == before
