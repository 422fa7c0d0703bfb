"""The same job in Quix Streams: 1-minute aggregates by key to PostgreSQL. Runs in an environment of its own.

`python quix_job.py REPORT BROKERS TOPIC EVENTS URL CHANGELOG STATE`, with quixstreams and psycopg installed; CHANGELOG
is 1 where the state shall be backed by Kafka (Quix's default, what a restart needs), else 0.
"""

import json
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from quixstreams import Application  # type: ignore[import-not-found]
from quixstreams.sinks import BatchingSink, SinkBatch  # type: ignore[import-not-found]

TABLE = """CREATE TABLE quix_1m (
    series text, "time" timestamptz, n bigint, sum float8, min float8, max float8, avg float8,
    PRIMARY KEY (series, "time"))"""


class Postgres(BatchingSink):  # type: ignore[misc]
    """Each checkpoint's windows by one COPY a partition."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.last = 0.0
        self.rows = 0

    def setup(self) -> None:
        """Connect, and make the table."""
        self.connection = psycopg.connect(self.url)
        self.connection.execute(TABLE)
        self.connection.commit()

    def write(self, batch: SinkBatch) -> None:
        """One partition's windows."""
        with self.connection.cursor().copy("COPY quix_1m FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["text", "timestamptz", "int8", "float8", "float8", "float8", "float8"])
            for item in batch:
                window = item.value["value"]
                start = datetime.fromisoformat("1970-01-01T00:00:00+00:00") + timedelta(
                    milliseconds=item.value["start"]
                )
                n, total = window["n"], window["sum"]
                key = item.key.decode() if isinstance(item.key, bytes) else item.key
                copy.write_row((key, start, n, total, window["min"], window["max"], total / n))
        self.connection.commit()
        self.rows += batch.size
        self.last = time.time()


def first(value: float) -> dict[str, float]:
    """A window's first value."""
    return {"n": 1, "sum": value, "min": value, "max": value}


def more(window: dict[str, float], value: float) -> dict[str, float]:
    """A window with one more value."""
    return {
        "n": window["n"] + 1,
        "sum": window["sum"] + value,
        "min": value if value < window["min"] else window["min"],
        "max": value if value > window["max"] else window["max"],
    }


def event_time(value: Any, *_: Any) -> int:
    """The event's time, milliseconds since 1970."""
    return int(datetime.fromisoformat(value["time"]).timestamp() * 1000)


def main(report: str, brokers: str, topic: str, events: str, url: str, changelog: str, state: str) -> None:
    """Read all events, write the windows that have closed."""
    seen = 0
    started = cpu = 0.0
    wanted = int(events)

    def counted(*_: Any) -> None:
        nonlocal seen, started, cpu
        if not seen:
            started, cpu = time.time(), time.process_time()
        seen += 1
        if seen == wanted:
            app.stop()

    app = Application(
        broker_address=brokers,
        consumer_group=f"quix-{time.time_ns()}",
        auto_offset_reset="earliest",
        state_dir=state,
        use_changelog_topics=changelog == "1",
        on_message_processed=counted,
        consumer_extra_config={"fetch.queue.backoff.ms": 20},
        loglevel="WARNING",
    )
    sink = Postgres(url)
    source = app.topic(topic, value_deserializer="json", key_deserializer="string", timestamp_extractor=event_time)
    frame = app.dataframe(source).apply(lambda event: event["data"]["metric_value"])
    windows = frame.tumbling_window(timedelta(minutes=1), grace_ms=5000).reduce(more, first)
    windows.final(closing_strategy="partition").sink(sink)
    app.run()
    figures = {"first": started, "last": sink.last, "cpu": time.process_time() - cpu, "rows": sink.rows, "events": seen}
    Path(report).write_text(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
