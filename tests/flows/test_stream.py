"""`hindsight stream` as its users meet it: usage errors, signals, restarts, two at once."""

import gzip
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows import cli
from tests import flow
from tests.samples import data_of, metric, raw
from tests.sequences import fate, sequence
from tests.tables import checksums, query

LINES = [metric(number / 4, number, number) for number in range(200)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(LINES) + b"\n")
    return path


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "give either --input or --brokers"),
        (["--input", "FILE", "--brokers", "b:9092"], "give either --input or --brokers"),
        (["--input", "MISSING"], "MISSING: no such file"),
        (["--input", "FOLDER"], "FOLDER: no such file"),
        (["--input", "FILE", "--input", "MISSING"], "MISSING: no such file"),
        (["--input", "FILE", "--exit-at-end"], "a file ends by itself"),
        (["--brokers", "b:9092", "--follow"], "--follow goes with --input"),
        (["--input", "ZIPPED", "--follow"], "a .gz file can't be followed"),
        (["--input", "FILE", "--batch-size", "0"], "--batch-size"),
        (["--input", "FILE", "--batch-size", "many"], "--batch-size"),
        (["--input", "FILE", "--database-url", "mysql://x"], "must be a URL that starts with postgresql://"),
        (["--brokers", "nowhere"], "must be HOST:PORT"),
        (["--input", "FILE", "--subset", "2/2"], "--subset"),
        (["--input", "FILE", "--no-such-option"], "--no-such-option"),
        (["--input", "FILE", "extra"], "extra"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    zipped = tmp_path / "a.jsonl.gz"
    zipped.write_bytes(gzip.compress(b""))
    places = {"FILE": str(file), "ZIPPED": str(zipped), "FOLDER": str(tmp_path / "FOLDER")}
    (tmp_path / "FOLDER").mkdir()
    assert cli.run(["stream", *(places.get(word, word) for word in arguments)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert problem in line
    assert line.startswith("hindsight: ")


def test_a_share_above_1_is_a_wrong_setting(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ANALYTICS_ALERT_THRESHOLDS", '{"high_cpu_usage": 80}')
    from flows.settings import load
    from operators.partition import Partition
    from tests.partitions import Runner

    try:
        config = flow_config(load(env_file=None))
    except Exception as problem:
        assert getattr(problem, "exit_code", None) == 2
        return
    runner = Runner(config)
    runner.feed([raw("resource.sampled", data_of("resource.sampled"))])
    assert isinstance(runner.partition, Partition)
    assert runner.counts.dead == 0


def flow_config(settings: Any) -> Any:
    from flows.realtime import partition_config

    return partition_config(settings)


def totals(text: str) -> dict[str, Any]:
    """The last line, which must be one JSON object of the contract."""
    found: dict[str, Any] = json.loads(text.splitlines()[-1])
    assert {"read", "applied", "late", "dead_letters", "duplicates", "patterns", "seconds"} <= set(found)
    return found


def test_a_finished_file_again_changes_nothing(database: str, tmp_path: Path) -> None:
    values = [value for value in sequence(11, 150) if value is not None and len(value) < 10_000]
    path = tmp_path / "events.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(value.replace(b"\n", b" ") + b"\n" for value in values)))
    options: list[str | Path] = [
        "--input",
        path,
        "--database-url",
        database,
        "--recovery-dir",
        tmp_path / "state",
        "--batch-size",
        "17",
    ]
    first, wanted = flow.stream(*options), fate([value for value in values if value])
    assert (first["applied"], first["late"]) == (len(wanted.applied), len(wanted.late))
    assert (first["duplicates"], first["dead_letters"]) == (len(wanted.duplicates), len(wanted.dead))
    before = checksums(database)
    again = flow.stream(*options)
    assert {**again, "seconds": 0, "resumed_at": 0} == {**first, "seconds": 0, "resumed_at": 0}
    assert checksums(database) == before


@pytest.fixture
def following(database: str, tmp_path: Path, file: Path) -> Iterator[Any]:
    """Starts `stream --follow`; what is left at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        options: list[str | Path] = [
            "--follow",
            "--input",
            file,
            "--database-url",
            database,
            "--recovery-dir",
            tmp_path / "state",
        ]
        started.append(flow.start("stream", *options))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for_rows(url: str, count: int) -> None:
    deadline = time.monotonic() + 30
    while query(url, "SELECT count(*) FROM system_metrics") != [(count,)]:
        assert time.monotonic() < deadline, "the rows did not come"
        time.sleep(0.05)


def test_signals_stop_it_cleanly_and_it_goes_on(database: str, file: Path, following: Any) -> None:
    written = 200
    for number in (signal.SIGTERM, signal.SIGINT):
        process = following()
        wait_for_rows(database, written)
        with file.open("ab") as out:
            out.write(metric(1, 200 + written, f"more{written}") + b"\n" + metric(1, 199 + written, f"x{written}")[:40])
        written += 1
        wait_for_rows(database, written)
        process.send_signal(number)
        out_text, err_text = process.communicate(timeout=20)
        assert process.returncode == 0, err_text
        assert totals(out_text)["read"] == written, "the unfinished line is not read yet"
        assert "Traceback" not in err_text
        with file.open("ab") as out:
            out.write(metric(1, 198 + written, f"x{written - 1}")[40:] + b"\n")
        written += 1


def test_two_at_once_in_one_directory(database: str, tmp_path: Path, file: Path, following: Any) -> None:
    first = following()
    wait_for_rows(database, 200)
    options: list[str | Path] = ["--input", file, "--database-url", database, "--recovery-dir", tmp_path / "state"]
    second = flow.run("stream", *options)
    assert second.returncode == 1
    (line,) = second.stderr.splitlines()
    assert "in use by another process" in line
    assert second.stdout == ""
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0


def test_a_signal_ends_the_wait_for_a_database(tmp_path: Path, file: Path) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    process = flow.start("stream", "--input", file, "--database-url", nowhere, "--recovery-dir", tmp_path / "state")
    assert process.stderr
    assert "database away" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert len(err.splitlines()) == 1
    assert "can't be written to" in err


def test_other_inputs_in_the_directory_are_refused(database: str, tmp_path: Path, file: Path) -> None:
    options: list[str | Path] = ["--database-url", database, "--recovery-dir", tmp_path / "state"]
    flow.stream("--input", file, *options)
    other = tmp_path / "other.jsonl"
    other.write_bytes(LINES[0] + b"\n")
    done = flow.run("stream", "--input", other, *options)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "belongs to other inputs" in line
