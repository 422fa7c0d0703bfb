"""Numbers, times and lengths of time as words."""

from datetime import UTC, datetime, timedelta
from math import floor, isfinite, log10

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def number(value: float) -> str:
    """A number with four significant digits, or all of its whole ones; as a power of ten where that says nothing.

    >>> [number(value) for value in (97.24, 1234567.8, 20.0, 0.01234567, 3.2e12, -0.0, 99999.5)]
    ['97.24', '1234568', '20', '0.01235', '3.2e+12', '0', '100000']
    """
    if value == 0.0:
        return "0"
    if not isfinite(value) or not 1e-4 <= abs(value) < 1e9:
        return f"{value:.4g}"
    text = f"{value:.{max(0, 3 - floor(log10(abs(value))))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def moment(time_us: int) -> str:
    """A time in \u00b5s since the epoch as RFC 3339 in UTC; beyond the calendar, the number itself.

    >>> moment(1767608130250000)
    '2026-01-05T10:15:30.250Z'
    """
    try:
        when = _EPOCH + timedelta(microseconds=time_us)
    except OverflowError:
        return str(time_us)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def share(value: float) -> str:
    """A ratio in percent.

    >>> share(0.4567), share(1.0)
    ('45.67 %', '100 %')
    """
    return f"{number(round(100.0 * value, 2))} %"


def length(seconds: float) -> str:
    """A length of time in its greatest two units.

    >>> [length(seconds) for seconds in (0.25, 42.4, 61, 3600, 5430, 200_000, 86400 * 45)]
    ['0.25 s', '42 s', '1 min 1 s', '1 h', '1 h 30 min', '2 d 7 h', '45 d']
    """
    if seconds < 10.0:
        return f"{number(seconds)} s"
    left = round(seconds)
    parts: list[str] = []
    for name, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count and len(parts) < 2:
            parts.append(f"{count} {name}")
        elif parts:
            break
    return " ".join(parts)
