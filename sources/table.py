"""One series from a CSV file: a column of times and a column of values."""

import csv
import math
from datetime import UTC, datetime
from pathlib import Path

import msgspec

MICRO = 1_000_000


class TableError(Exception):
    """The file can't be read as a series; the message is one line."""


class Rows(msgspec.Struct, frozen=True):
    """The rows of a file, in its order: the text of the time, the time in µs since 1970, and the value (None: no
    number)."""

    texts: list[str]
    times_us: list[int]
    values: list[float | None]

    def __len__(self) -> int:
        return len(self.texts)


def read_series(path: str | Path, time_column: str, value_column: str) -> Rows:
    """Read a CSV file with a heading.

    Times are RFC 3339 (without an offset they are UTC) or seconds since 1970. An empty value, or one that is not
    finite, is kept as a row without a value.

    :raises TableError: for a file, column or time that can't be read, with the line's number.
    """
    texts: list[str] = []
    times: list[int] = []
    values: list[float | None] = []
    try:
        with open(path, newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            for column in (time_column, value_column):
                if column not in (reader.fieldnames or ()):
                    held = ", ".join(reader.fieldnames or ()) or "none"
                    raise TableError(f"{path}: no column {column!r}; there are: {held}")
            for row in reader:
                text = (row[time_column] or "").strip()
                texts.append(text)
                times.append(_time(text, path, reader.line_num))
                values.append(_value((row[value_column] or "").strip(), path, reader.line_num))
    except OSError as problem:
        raise TableError(f"{path}: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise TableError(f"{path}: is not UTF-8") from None
    except csv.Error as problem:
        raise TableError(f"{path}: {problem}") from None
    return Rows(texts, times, values)


def _time(text: str, path: str | Path, line: int) -> int:
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        if math.isfinite(seconds) and abs(seconds) < 1e11:
            return round(seconds * MICRO)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise TableError(f"{path}, line {line}: {text!r} is neither RFC 3339 nor seconds since 1970") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return round(moment.replace(microsecond=0).timestamp()) * MICRO + moment.microsecond


def _value(text: str, path: str | Path, line: int) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise TableError(f"{path}, line {line}: {text!r} is no number") from None
    return value if math.isfinite(value) else None
