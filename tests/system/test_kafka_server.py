"""The broker fixture itself: it keeps what was acknowledged over a kill, and is never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.system.kafka_server import KafkaServer, running_in

ROOT = Path(__file__).parents[2]


def test_acknowledged_records_survive_kill9(kafka: KafkaServer) -> None:
    kafka.create_topic("server.kill")
    producer = Producer({"bootstrap.servers": kafka.brokers, "acks": "all"})
    producer.produce("server.kill", b"kept")
    assert producer.flush(20) == 0
    port = kafka.port
    kafka.kill9()
    assert kafka.pid is None
    kafka.restart()
    assert kafka.port == port
    found = kafka.admin().list_topics(timeout=10).topics
    assert "server.kill" in found
    consumer = Consumer({"bootstrap.servers": kafka.brokers, "group.id": "server.kill"})
    consumer.assign([TopicPartition("server.kill", 0, 0)])
    # Unlike a question for offsets, reading waits until the partition has its leader again.
    record = consumer.poll(30)
    assert record is not None
    assert (record.error(), record.value(), record.offset()) == (None, b"kept", 0)
    assert consumer.get_watermark_offsets(TopicPartition("server.kill", 0), timeout=10) == (0, 1)
    consumer.close()


def test_broker_dies_with_its_parent(kafka: KafkaServer, tmp_path: Path) -> None:
    assert kafka.pid is not None
    code = (
        "import pathlib, sys, time\n"
        "from tests.system.kafka_server import KafkaServer\n"
        "server = KafkaServer(pathlib.Path(sys.argv[1])); server.start()\n"
        "print(server.pid, flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        broker = int(parent.stdout.readline())
        assert broker in running_in(tmp_path)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 10
    while running_in(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running_in(tmp_path) == []
