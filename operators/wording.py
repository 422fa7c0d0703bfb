"""What is said of a pattern: its name and its explanation, plain sentences with numbers and times in UTC."""

from datetime import UTC, datetime, timedelta
from math import floor, isfinite, log10

from operators.episodes import Episode, Subject

NAME_LENGTH = 255
"""Characters of a name: the specification's `pattern_name`."""

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


def name(episode: Episode, subject: Subject) -> str:
    """One line that tells this pattern from others: what, where, how far at its peak, and what is usual."""
    unit = _unit(episode)
    peak = number(episode.peak_value)
    if "rule" in episode.evidence:
        if "rate" in episode.evidence:
            rate = _share(float(episode.evidence["rate"]))
            return _fit(subject.entity, f" fails too often: {rate} of runs (limit {_share(episode.high)})")
        tail = f" above {number(episode.high)}{unit} (peak {peak}{unit})"
    else:
        verb = "spiked to" if episode.direction == "up" else "dropped to"
        tail = f" {verb} {peak} (usual {number(episode.low)}–{number(episode.high)})"
    return _fit(f"{subject.measure} of {subject.entity}", tail)


def explanation(episode: Episode, subject: Subject) -> str:
    """One sentence with the evidence."""
    evidence = episode.evidence
    unit = _unit(episode)
    if "rate" in evidence:
        rate, bound = _share(float(evidence["rate"])), _share(float(evidence["lower_bound"]))
        what = (
            f"{evidence['failures']} of the last {evidence['outcomes']} runs of {subject.entity} failed"
            f" ({rate}; with 95 % certainty at least {bound},"
            f" the limit of {evidence['rule']} is {_share(episode.high)})"
        )
    elif "rule" in evidence:
        what = (
            f"{subject.measure} of {subject.entity} reached {number(episode.peak_value)}{unit},"
            f" above the limit of {number(episode.high)}{unit} ({evidence['rule']})"
        )
    else:
        went = "rose" if episode.direction == "up" else "fell"
        parts = ", ".join(
            f"{part} {number(score)}" for part, score in evidence.items() if isinstance(score, int | float)
        )
        what = (
            f"{subject.measure} of {subject.entity} {went} to {number(episode.peak_value)} where"
            f" {number(episode.low)}–{number(episode.high)} is usual: {number(episode.peak_score)} deviations off,"
            f" {number(episode.threshold)} are needed to speak ({parts})"
        )
    times = "once" if episode.count == 1 else f"{episode.count} times"
    seen = f"seen {times}, first at {moment(episode.opened_us)}"
    if episode.count > 1:
        seen += f", peak at {moment(episode.peak_us)}, last at {moment(episode.seen_us)}"
    if episode.reopened:
        seen += f", came back {episode.reopened} ×"
    if episode.resolved_us is not None:
        seen += f", over by {moment(episode.resolved_us)}"
    return f"{what}; {seen}."


def _unit(episode: Episode) -> str:
    unit = episode.evidence.get("unit", "")
    return f" {unit}" if unit else ""


def _share(value: float) -> str:
    return f"{number(round(100.0 * value, 2))} %"


def _fit(subject: str, tail: str) -> str:
    room = NAME_LENGTH - len(tail)
    return (subject if len(subject) <= room else subject[: max(0, room - 1)] + "…") + tail
