"""What `doctor` and `status` say of the last night."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from flows import cli
from flows.nightly_status import told
from sources.nights import Latest

NOW = datetime(2026, 1, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)


def night(status: str = "finished", finished: timedelta | None = HOUR, **changes: Any) -> Latest:
    ended = None if status == "running" else NOW - changes.pop("ended", HOUR)
    return Latest(
        None if finished is None else NOW - finished, NOW - timedelta(hours=24), status,
        "no room\nleft" if status == "failed" else None, NOW - changes.pop("started", 2 * HOUR), ended,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("latest", "level", "words"),
    [
        (None, "ok", "no night has been worked through yet"),
        (night(), "ok", "the night after 2026-01-18 finished 1h0m ago"),
        (night(finished=50 * HOUR, ended=50 * HOUR), "warn", "finished 2d2h ago, and none since"),
        (night("failed", 25 * HOUR), "warn", "failed 1h0m ago: no room left; one finished 1d1h ago"),
        (night("failed", None), "warn", "none has finished yet"),
        (night("running", 26 * HOUR), "ok", "began 2h0m ago and has not ended; one finished 1d2h ago"),
        (night("running", 50 * HOUR), "warn", "began 2h0m ago and has not ended"),
    ],
)  # fmt: skip
def test_what_is_said(latest: Latest | None, level: str, words: str) -> None:
    said = told(latest, NOW)
    assert said.level == level and words in said.what, said
    assert bool(said.todo) == (level == "warn") and "\n" not in said.what


def test_doctor_warns_and_status_tells(database: str) -> None:
    runner = CliRunner()

    def called(*words: str) -> Any:
        done = runner.invoke(cli.cli, [*words, "--database-url", database, "--json"])
        return json.loads(done.stdout)

    assert called("status")["night"] is None
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO nightly_runs (id, range_start, range_end, engine, status, started_at, finished_at) VALUES"
            " (gen_random_uuid(), '2026-01-01Z', '2026-01-06Z', 'embedded', 'finished', now() - interval '3 d', now() -"
            " interval '3 d')"
        )
    said = called("status")["night"]
    assert (said["night"], said["status"], said["problem"]) == ("2026-01-05", "finished", None)
    (check,) = [one for one in called("doctor")["checks"] if one["name"] == "nightly"]
    assert check["level"] == "warn" and "none since" in check["what"] and "hindsight nightly" in check["todo"]
    text = runner.invoke(cli.cli, ["status", "--database-url", database]).stdout
    assert "nightly: the night after 2026-01-05 finished 3d" in text
