"""How findings speak: numbers, shares, times and lists in plain words."""

from datetime import UTC, datetime, timedelta

from operators.words import number

LONGEST = 48
"""Characters of a name in a sentence; a longer one is cut in the middle."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def day(time_us: int) -> str:
    """A day in words, UTC.

    >>> day(1767608130250000)
    '5 Jan 2026'
    """
    when = _EPOCH + timedelta(microseconds=time_us)
    return f"{when.day} {when:%b %Y}"


def share(part: float, whole: float) -> str:
    """A share in percent, coarse where few were counted.

    >>> share(42, 118), share(1, 1000)
    ('36 %', '0.1 %')
    """
    percent = 100.0 * part / whole if whole else 0.0
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{number(round(percent, 1))} %"


def times(ratio: float) -> str:
    """A ratio as people say it.

    >>> times(3.14159), times(12.34), times(2e9)
    ('3.1 ×', '12 ×', 'over 100 ×')
    """
    if ratio > 100:
        return "over 100 ×"
    return f"{ratio:.0f} ×" if ratio >= 10 else f"{ratio:.1f} ×"


def duration(seconds: float) -> str:
    """A length of time in its natural unit.

    >>> [duration(value) for value in (0.25, 42, 600, 9000, 400000)]
    ['0.25 s', '42 s', '10 min', '2.5 h', '4.6 days']
    """
    for unit, size in (("days", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.2g} {unit}" if seconds < 10 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{number(round(seconds, 2))} s"


def level(measure: str, value: float) -> str:
    """A value of a measure in its own unit.

    >>> level("failed", 0.365), level("duration_s", 3310200.0), level("processing_ms", 250.0), level("load", 1.5)
    ('36 %', '38 days', '0.25 s', '1.5')
    """
    if measure == "failed":
        return share(value, 1.0)
    if measure.endswith(("_s", "_ms")):
        return duration(value / (1000.0 if measure.endswith("_ms") else 1.0))
    return number(value)


def named(name: str) -> str:
    """A name short enough for a sentence.

    >>> named("a" * 60) == "a" * 23 + "…" + "a" * 24
    True
    """
    return name if len(name) <= LONGEST else name[: LONGEST // 2 - 1] + "…" + name[-(LONGEST // 2) :]


def listed(names: list[str], most: int = 3) -> str:
    """A list in words.

    >>> listed(["a", "b"]), listed(["a", "b", "c", "d", "e"])
    ('a and b', 'a, b, c and 2 more')
    """
    shown = [named(name) for name in names[:most]]
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
