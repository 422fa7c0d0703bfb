"""Apache Kafka itself as a child process: one KRaft node on a free loopback port, for the system tests.

The jars come from Maven Central (`tests/system/kafka/pom.xml`) into `tests/system/kafka/target/jars`, once.
Needs Java 17 or newer and Maven; `missing_tools()` says in one line what is not there.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

PROJECT = Path(__file__).parent / "kafka"
JARS = PROJECT / "target" / "jars"
OLDEST_JAVA = 17
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
CLUSTER_ID = "aGluZHNpZ2h0LXRlc3RzAA"
"""Any 16 bytes in URL-safe base64: the identity that the storage directory is formatted with."""

USER, PASSWORD = "tester", "a-password-of-tests"
"""The one login of `login_brokers`."""

SERVER_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},LOGIN://127.0.0.1:{login_port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},LOGIN://127.0.0.1:{login_port}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,LOGIN:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
listener.name.login.sasl.enabled.mechanisms=PLAIN
listener.name.login.plain.sasl.jaas.config=\
  org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
log.dirs={log_dir}
num.partitions=1
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.coordinator.threads=1
num.network.threads=2
num.io.threads=2
num.replica.fetchers=1
num.recovery.threads.per.data.dir=2
log.cleaner.dedupe.buffer.size=2097152
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
controlled.shutdown.enable=false
message.max.bytes=2097152
"""

_PR_SET_PDEATHSIG = 1
# The kernel's "parent" is the thread that forked: one that lives as long as this process.
_spawner = ThreadPoolExecutor(1, thread_name_prefix="kafka-server")
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_silent = logging.getLogger("tests.kafka_server.librdkafka")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class KafkaServerError(RuntimeError):
    """The broker or its jars could not be had; the message carries the end of the log."""


def missing_tools() -> str | None:
    """What this machine lacks to run Apache Kafka (one phrase), or None when it can.

    Returns e.g. `"java and mvn not found"` or `"Java 17 or newer is needed, found 11"`.
    """
    absent = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    if "mvn" in absent and _stamp().exists():
        absent.remove("mvn")
    if absent:
        return f"{' and '.join(absent)} not found"
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) < OLDEST_JAVA:
        return f"Java {OLDEST_JAVA} or newer is needed, found {found[1] if found else 'no version'}"
    return None


def _stamp() -> Path:
    digest = hashlib.sha256((PROJECT / "pom.xml").read_bytes()).hexdigest()[:16]
    return JARS / f".complete-{digest}"


def fetch_jars() -> Path:
    """The folder with the broker's jars; Maven fills it the first time and after pom.xml has changed."""
    stamp = _stamp()
    if stamp.exists():
        return JARS
    JARS.parent.mkdir(parents=True, exist_ok=True)
    with (JARS.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists():
            return JARS
        shutil.rmtree(JARS, ignore_errors=True)
        done = subprocess.run(
            [
                *("mvn", "-q", "-B", "-f", str(PROJECT / "pom.xml"), PLUGIN),
                *(f"-DoutputDirectory={JARS}", "-DincludeScope=runtime"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            said = (done.stdout + done.stderr)[-2000:]
            raise KafkaServerError(f"mvn could not fetch Apache Kafka:\n{said}")
        stamp.touch()
    return JARS


def free_ports(count: int) -> list[int]:
    """Loopback TCP ports that nobody listens on right now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _die_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class KafkaServer:
    """One broker with its own storage directory; `brokers` stays the same over `kill9()` and `restart()`.

    directory: where the log and the settings go (made when absent); a temporary one, removed by `stop()`,
    when None. heap_mb: Java heap. Topics are not created by themselves: use `create_topic`.
    """

    def __init__(self, directory: Path | None = None, *, heap_mb: int = 384) -> None:
        self._own_directory = directory is None
        self._directory = directory or Path(tempfile.mkdtemp(prefix="hindsight-kafka-"))
        self._directory.mkdir(parents=True, exist_ok=True)
        self._heap_mb = heap_mb
        self._process: subprocess.Popen[bytes] | None = None
        self.port, self._login_port, self._controller_port = free_ports(3)

    @property
    def brokers(self) -> str:
        """The bootstrap address, `127.0.0.1:PORT`."""
        return f"127.0.0.1:{self.port}"

    @property
    def login_brokers(self) -> str:
        """The address of the listener that wants a login (SASL PLAIN): `USER` and `PASSWORD`."""
        return f"127.0.0.1:{self._login_port}"

    @property
    def pid(self) -> int | None:
        """Process id of the broker, None when it is down."""
        return self._process.pid if self._process else None

    @property
    def log_file(self) -> Path:
        """What the broker wrote to stdout and stderr."""
        return self._directory / "broker.log"

    def start(self, timeout: float = 60.0) -> None:
        """Start the broker and wait (seconds) until it answers; the first start formats the storage."""
        if self._process is not None:
            raise KafkaServerError("already started")
        properties = self._directory / "server.properties"
        if not properties.exists():
            text = SERVER_PROPERTIES.format(
                port=self.port,
                login_port=self._login_port,
                controller_port=self._controller_port,
                log_dir=self._directory / "log",
                user=USER,
                password=PASSWORD,
            )
            properties.write_text(text)
            arguments = ["format", "-t", CLUSTER_ID, "-c", str(properties)]
            command = self._java("kafka.tools.StorageTool", *arguments, heap_mb=64)
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                properties.unlink()
                raise KafkaServerError("the storage could not be formatted:\n" + (done.stdout + done.stderr))
        with self.log_file.open("ab") as log:
            self._process = _spawner.submit(
                subprocess.Popen[bytes],
                self._java("kafka.Kafka", str(properties), heap_mb=self._heap_mb),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            ).result()
        self._wait_ready(time.monotonic() + timeout)

    def _java(self, main: str, *arguments: str, heap_mb: int) -> list[str]:
        quick = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-XX:-UsePerfData"]
        logging_options = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        return [
            "java",
            f"-Xms{min(64, heap_mb)}m",
            f"-Xmx{heap_mb}m",
            *quick,
            *logging_options,
            "-cp",
            str(fetch_jars() / "*"),
            main,
            *arguments,
        ]

    def _wait_ready(self, deadline: float) -> None:
        admin = self.admin()
        while True:
            assert self._process is not None
            code = self._process.poll()
            if code is not None:
                self._process = None
                raise KafkaServerError(f"the broker ended with status {code}:\n{self._log_end()}")
            try:
                if admin.list_topics(timeout=0.5).brokers:
                    return
            except KafkaException:
                pass
            if time.monotonic() > deadline:
                log = self._log_end()
                self.kill9()
                raise KafkaServerError(f"the broker did not answer in time:\n{log}")
            time.sleep(0.05)

    def _log_end(self) -> str:
        return self.log_file.read_text(errors="replace")[-3000:]

    def stop(self) -> None:
        """End the broker (SIGTERM, after 15 s SIGKILL), remove a temporary directory. Safe to call twice."""
        self._end(signal.SIGTERM)
        if self._own_directory:
            shutil.rmtree(self._directory, ignore_errors=True)

    def kill9(self) -> None:
        """Kill the broker without warning; its log directory stays for `restart()`."""
        self._end(signal.SIGKILL)

    def restart(self, timeout: float = 60.0) -> None:
        """Start again on the same port and log directory (after `kill9()`, or killing it now)."""
        self.kill9()
        self.start(timeout)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __enter__(self) -> KafkaServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def admin(self) -> AdminClient:
        """An admin client whose own log lines are dropped. Keep it while its futures are open."""
        settings: dict[str, str | int | float | bool] = {
            "bootstrap.servers": self.brokers,
            "reconnect.backoff.max.ms": 200,
        }
        return AdminClient(settings, logger=_silent)

    def create_topic(self, name: str, partitions: int = 1, config: dict[str, str] | None = None) -> None:
        """Create a topic and wait until its partitions have a leader."""
        new = NewTopic(name, num_partitions=partitions, replication_factor=1, config=config or {})
        admin = self.admin()
        admin.create_topics([new])[name].result(timeout=20)
        self._wait_partitions(name, partitions)

    def add_partitions(self, name: str, total: int) -> None:
        """Grow a topic to `total` partitions and wait until they have a leader."""
        admin = self.admin()
        admin.create_partitions([NewPartitions(name, total)])[name].result(timeout=20)
        self._wait_partitions(name, total)

    def delete_records(self, name: str, partition: int, before: int) -> None:
        """Delete the records of a partition below offset `before`, as retention would."""
        admin = self.admin()
        (done,) = admin.delete_records([TopicPartition(name, partition, before)]).values()
        done.result(timeout=20)

    def _wait_partitions(self, name: str, count: int) -> None:
        admin, deadline = self.admin(), time.monotonic() + 20
        while time.monotonic() < deadline:
            found = admin.list_topics(name, timeout=5).topics[name].partitions
            if len(found) == count and all(each.leader >= 0 for each in found.values()):
                return
            time.sleep(0.05)
        raise KafkaServerError(f"topic {name} did not get its {count} partitions")


def running_in(directory: Path) -> list[int]:
    """Process ids of brokers that use this directory (to check that none is left behind)."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = each.read_bytes()
        except OSError:
            continue
        if os.fsencode(directory) in command and b"kafka.Kafka" in command:
            found.append(int(each.parent.name))
    return found
