"""When runs ended well and badly, by week and by hour of the week: small enough to keep of a history of any length."""

from collections.abc import Iterable

import msgspec
import numpy as np

from operators.mining.history import BAD, JUDGED, History, micros
from operators.mining.significance import DAY_US

HOURS = 168
"""Hours of a week, from Monday 00:00 UTC."""


class Calendar(msgspec.Struct):
    """Runs and failed runs: `weeks` by the number of the week of their end (0 is that of 1 January 1970, weeks begin on
    Monday), `hours` by the hour of the week of their start (`HOURS` of them)."""

    weeks: dict[int, tuple[int, int]] = {}
    hours: list[tuple[int, int]] = []

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return sum(total for total, _ in self.hours)


def calendar(history: History) -> Calendar:
    """The calendar of the runs of a history that succeeded or failed.

    >>> calendar(History.of(runs=[{"id": "1", "status": "error", "execution_start": "2026-01-05T01:00:00Z",
    ...                            "execution_end": "2026-01-05T02:00:00Z"}])).hours[1]
    (1, 1)
    """
    runs = history.runs[history.runs["status"].isin(JUDGED) & history.runs["execution_end"].notna()]
    bad = runs["status"].isin(BAD).to_numpy()
    hour = ((micros(runs["execution_start"]) + 3 * DAY_US) // 3_600_000_000) % HOURS
    total, failed = (np.bincount(of, minlength=HOURS).tolist() for of in (hour, hour[bad]))
    week = (micros(runs["execution_end"]) + 3 * DAY_US) // (7 * DAY_US)
    weeks = {}
    for number in np.unique(week):
        there = week == number
        weeks[int(number)] = (int(there.sum()), int((there & bad).sum()))
    return Calendar(weeks, list(zip(total, failed, strict=True)))


def added(calendars: Iterable[Calendar]) -> Calendar:
    """Calendars of several histories as one.

    >>> added([]).runs
    0
    """
    weeks: dict[int, tuple[int, int]] = {}
    hours = np.zeros((HOURS, 2), dtype=np.int64)
    for one in calendars:
        hours += np.array(one.hours, dtype=np.int64)
        for week, (total, failed) in one.weeks.items():
            known = weeks.get(week, (0, 0))
            weeks[week] = (known[0] + total, known[1] + failed)
    return Calendar(dict(sorted(weeks.items())), [(int(total), int(failed)) for total, failed in hours])
