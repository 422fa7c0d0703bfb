"""A database with a history in it: rows as the stream writes them, and series by day."""

from datetime import timedelta

import psycopg

from operators.identity import series_id
from tests.operators.mining import planted
from tests.operators.mining.test_sql import fill


def fill_all(url, history):
    """All tables that the nightly flow reads."""
    with psycopg.connect(url) as connection:
        fill(connection, history)
        series(connection, history.daily, "time")


def series(connection, daily, _):
    """Each day's value as one bucket of five minutes at noon."""
    days = sorted({time.to_pydatetime() for time in daily["time"]})
    connection.execute("SELECT ensure_partitions('rollups_5m'::regclass, %s::timestamptz[])", [days])
    names = sorted({(entity, measure) for entity, measure in zip(daily["entity"], daily["measure"], strict=True)})
    cursor = connection.cursor()
    cursor.executemany(
        "INSERT INTO series (series_id, entity, measure, kind) VALUES (%s, %s, %s, 'metric') ON CONFLICT DO NOTHING",
        [(series_id(entity, measure), entity, measure) for entity, measure in names],
    )
    with cursor.copy(
        "COPY rollups_5m (series_id, time, input, partition, n, sum, min, max, sum_squares, first, last, first_at,"
        " last_at) FROM STDIN"
    ) as copy:
        for row in daily.to_dict("records"):
            at = row["time"].to_pydatetime() + timedelta(hours=12)
            value = row["avg"]
            copy.write_row([series_id(row["entity"], row["measure"]), at, 1, 0, 1, value, value, value, value * value,
                            value, value, at, at])  # fmt: skip
    connection.commit()


def events(count, **changes):
    """Integration events of a quiet hour, for tests that need a few rows."""
    return [
        {"id": f"q{number}", "event_type": "ping", "source_system": "quiet", "target_system": "calm", "event_data": {},
         "event_timestamp": planted.at(60 + number), "processing_duration": 5.0, "status": "success"} | changes
        for number in range(count)
    ]  # fmt: skip
