"""Generated records into topics of a real broker."""

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.generate import Generated


def create(brokers: str, topic: str, partitions: int) -> None:
    admin = AdminClient({"bootstrap.servers": brokers})
    for future in admin.create_topics([NewTopic(topic, partitions, 1)]).values():
        future.result(30)


def publish(brokers: str, topic: str, generated: Generated) -> None:
    """Each record to its partition, in order."""
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 20, "enable.idempotence": True})
    for number, records in enumerate(generated.partitions):
        for raw, _ in records:
            while True:
                try:
                    producer.produce(topic, raw, partition=number)
                    break
                except BufferError:
                    producer.poll(0.1)
    assert producer.flush(60) == 0
