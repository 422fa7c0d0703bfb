"""A Spark session that leaves nothing behind: quiet, in a folder of its own, and its JVM ends with it."""

import importlib.util
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flows.nightly.work import NightlyError

NEEDED = ("pyspark", "pyarrow")
"""What the extra brings."""

OLDEST_JAVA = 17
"""Spark 4 runs on it and on 21."""

LOG = "words.log"
"""All that Spark has to say, in the folder."""


class SparkError(NightlyError):
    """Spark could not do its work; one line says why."""


def missing() -> str | None:
    """What Spark lacks here, as one line with the command that brings it; None when all is there."""
    for name in NEEDED:
        if importlib.util.find_spec(name) is None:
            return f"{name} is missing: pip install 'hindsight[spark]'"
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    wanted = f"Java {OLDEST_JAVA} or later"
    where = "apt install openjdk-17-jre-headless, or set JAVA_HOME to one"
    if java is None:
        return f"{wanted} is missing, which Spark runs on: {where}"
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return f"{wanted} is missing, which Spark runs on ({java} does not run): {where}"
    found = re.search(r'version "(\d+)', said)
    if found is not None and int(found[1]) < OLDEST_JAVA:
        return f"{wanted} is missing, which Spark runs on ({java} is Java {found[1]}): {where}"
    return None


class Session:
    """Spark at `master`, with files in `folder`, which is made anew and is gone afterwards.

    It starts when it is first asked for, since that takes seconds. One at a time in a process.
    """

    def __init__(self, master: str, folder: Path) -> None:
        self.master = master
        self.folder = folder.absolute()
        self._spark: Any = None
        self._gateway: Any = None
        self._made = False

    @property
    def log(self) -> Path:
        """Where Spark's own words are kept when it fails: beside the folder."""
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def spark(self) -> Any:
        """The `SparkSession`.

        :raises SparkError: when it does not start.
        """
        if self._spark is None:
            lack = missing()
            if lack is not None:
                raise SparkError(lack)
            try:
                # A run that was killed left its files: they are written again.
                shutil.rmtree(self.folder, ignore_errors=True)
                self.folder.mkdir(parents=True)
                self._made = True
            except OSError as problem:
                raise SparkError(f"folder {self.folder}: {problem.strerror}") from None
            with self.told("Spark did not start"), _same_handler():
                self._start()
        return self._spark

    @property
    def local(self) -> bool:
        """Whether all of Spark is this machine."""
        return self.master == "local" or self.master.startswith("local[")

    @property
    def jvm(self) -> int | None:
        """The process id of Spark's JVM here."""
        proc = getattr(self._gateway, "proc", None)
        return None if proc is None else int(proc.pid)

    def stop(self) -> None:
        """End the session, its JVM and its files; nothing to do when it was not started."""
        if self._gateway is not None:
            self._stop()
        if self._made:
            shutil.rmtree(self.folder, ignore_errors=True)
            self._made = False

    def _stop(self) -> None:
        from py4j.protocol import Py4JError  # noqa: PLC0415 -- the extra's
        from pyspark import SparkContext  # noqa: PLC0415

        spark, gateway = self._spark, self._gateway
        self._spark = self._gateway = None
        try:
            if spark is not None:
                spark.stop()
            gateway.shutdown()
        except (Py4JError, OSError):
            pass  # it is gone already
        # The class remembers the JVM it began with, and would look for it there in the next session.
        SparkContext._gateway = SparkContext._jvm = None  # noqa: SLF001
        if gateway.proc is not None:
            gateway.proc.stdin.close()
            try:
                gateway.proc.wait(30)
            except subprocess.TimeoutExpired:
                gateway.proc.kill()
                gateway.proc.wait()

    @contextmanager
    def told(self, what: str) -> Iterator[None]:
        """A problem of Spark's within, as a `SparkError` of one line; Spark's own words are kept in `log`."""
        from py4j.protocol import Py4JError  # noqa: PLC0415 -- the extra's
        from pyspark.errors import PySparkException  # noqa: PLC0415

        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")  # none of it is used
                yield
        except (Py4JError, PySparkException, OSError) as problem:
            try:
                shutil.copyfile(self.folder / LOG, self.log)
            except OSError:
                raise SparkError(f"{what}: {_one_line(problem)}") from None
            raise SparkError(f"{what}: {_one_line(problem)} (Spark's own words: {self.log})") from None

    def _start(self) -> None:
        from pyspark import SparkConf, SparkContext  # noqa: PLC0415 -- the extra's
        from pyspark.java_gateway import launch_gateway  # noqa: PLC0415
        from pyspark.sql import SparkSession  # noqa: PLC0415

        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        logging.getLogger("DataFrameQueryContextLogger").setLevel(logging.CRITICAL)  # prints what it raises as well
        logging.getLogger("py4j").setLevel(logging.WARNING)  # tells of each connection that it closes
        conf = SparkConf().setAll(self._settings().items())
        with open(self.folder / LOG, "wb") as log:
            self._gateway = launch_gateway(conf, {"stdout": log, "stderr": log, "start_new_session": True})
        context = SparkContext(conf=conf, gateway=self._gateway)
        self._spark = SparkSession(context)
        if self.local:
            # 200 parts, the default, are for a cluster.
            self._spark.conf.set("spark.sql.shuffle.partitions", str(context.defaultParallelism))

    def _settings(self) -> dict[str, str]:
        settings = {
            "spark.master": self.master,
            "spark.app.name": "hindsight nightly",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.catalogImplementation": "in-memory",  # no metastore, no derby.log
            "spark.sql.warehouse.dir": (self.folder / "warehouse").as_uri(),
        }
        if self.local:
            settings |= {
                "spark.driver.host": "127.0.0.1",
                "spark.driver.bindAddress": "127.0.0.1",
                "spark.sql.adaptive.enabled": "false",  # as many parts as cores: nothing to adapt
                "spark.local.dir": str(self.folder / "local"),
            }
        return settings


@contextmanager
def _same_handler() -> Iterator[None]:
    """Spark takes SIGINT for itself; whoever had it keeps it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _one_line(problem: BaseException) -> str:
    """The first line that says something, without the Java stack.

    >>> _one_line(OSError("An error occurred while calling o1.fit.\\n: java.io.IOException: no space left\\n\\tat x.Y"))
    'java.io.IOException: no space left'
    """
    lines = [line.strip().lstrip(": ") for line in str(problem).splitlines()]
    said = [line for line in lines if line and not line.startswith(("An error occurred while calling", "at "))]
    return said[0][:300] if said else type(problem).__name__
