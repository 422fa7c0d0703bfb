"""Spark for tests: skipped where the extra or Java is missing, quick to start, and nothing of it stays."""

import pytest

from flows.spark.session import missing

QUICK = (
    '--driver-java-options "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"'
    " --conf spark.sql.codegen.wholeStage=false pyspark-shell"
)
"""A session of seconds is over before an optimising compiler pays."""


@pytest.fixture(scope="module")
def quick_spark():
    """Spark can start here."""
    lack = missing()
    if lack is not None:
        pytest.skip(lack)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_SUBMIT_ARGS", QUICK)
        yield


@pytest.fixture(scope="module")
def spark(quick_spark, tmp_path_factory):
    from flows.spark.engine import SparkEngine

    folder = tmp_path_factory.mktemp("spark") / "files"
    folder.mkdir()
    (folder / "000001.parquet").write_bytes(b"of a run that was killed")
    (folder / "of another run.parquet").touch()
    with SparkEngine("local[2]", folder) as engine:
        yield engine
