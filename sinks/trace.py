"""Where a row that the database refused came from."""

import zlib

from operators.encode import encode
from operators.events import decode, decode_binary, is_binary
from operators.output import DeadLetter, Output


def trace(output: Output, table: str, row: bytes, problem: str) -> DeadLetter:
    """The dead letter for a refused row: the record that it was made from, found by encoding the batch again."""
    batch = output.batch
    at, raw = 0, None
    for index, value in enumerate(batch.values):
        try:
            headers = batch.headers.get(index, [])
            event = decode_binary(value or b"", headers) if is_binary(headers) else decode(value or b"")
            found = any(line == row for _, line in encode(event).rows)
        except Exception:
            continue
        if found:
            at, raw = index, value
            break
    key, headers = batch.origin(at) if batch.origin and raw is not None else (None, [])
    # A derived row is no record's own: its place is negative, and its own.
    offset = batch.offsets[at] if raw is not None else -1 - zlib.crc32(row)
    return DeadLetter(
        batch.topic, batch.partition, offset, "rejected_by_database", f"{table}: {problem}", key, raw, headers
    )
