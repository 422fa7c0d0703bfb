"""What Spark lacks is one line with the command that brings it."""

import importlib.util

import pytest

from flows.spark import session
from tests.flows.nightly.test_command import call


@pytest.fixture
def java(tmp_path, monkeypatch):
    """Java as `JAVA_HOME` names it: a script that says what a test wants."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    def made(script):
        path = tmp_path / "bin" / "java"
        path.parent.mkdir()
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return made


def test_a_missing_package_is_named_with_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pyspark" else name)
    assert session.missing() == "pyspark is missing: pip install 'hindsight[spark]'"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'openjdk version \"11.0.2\" 2019-01-15' >&2", "is Java 11"),
        ("exit 1", "does not run"),
        (None, "does not run"),
    ],
)
def test_java_that_is_missing_or_too_old_is_named_with_what_brings_it(java, script, said):
    if script is not None:
        java(script)
    lack = session.missing()
    assert lack.startswith("Java 17 or later is missing") and said in lack and "apt install openjdk-17" in lack


def test_no_java_at_all(java, monkeypatch):
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", "")
    assert session.missing().startswith("Java 17 or later is missing, which Spark runs on: ")


@pytest.mark.parametrize("version", ["17.0.15", "21", "25-ea"])
def test_java_that_spark_runs_on(java, version):
    java(f"echo 'openjdk version \"{version}\" 2025-04-15' >&2")
    assert session.missing() is None


def test_a_master_that_is_none_is_one_line_and_leaves_spark_s_words(quick_spark, tmp_path, capfd):
    spark = session.Session("nonsense", tmp_path / "files")
    with pytest.raises(session.SparkError, match="Spark did not start") as problem:
        spark.spark  # noqa: B018 -- starts it
    spark.stop()
    assert "\n" not in str(problem.value) and str(spark.log) in str(problem.value)
    assert [path.name for path in tmp_path.iterdir()] == ["files.log"] and "Master must" in spark.log.read_text()
    assert capfd.readouterr() == ("", "")


def test_the_command_says_so_in_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("ANALYTICS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(session, "missing", lambda: "pyspark is missing: pip install 'hindsight[spark]'")
    status, _, out, err = call(capsys, "--engine", "spark", "--database-url", "postgresql://127.0.0.1:9/x")
    assert (status, out) == (1, "") and err.strip() == "hindsight: pyspark is missing: pip install 'hindsight[spark]'"
    status, _, _, err = call(capsys, "--spark-master", "local[2]")
    assert status == 2 and "--engine spark" in err
