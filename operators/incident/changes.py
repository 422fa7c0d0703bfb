"""What is known beforehand: deployments and configurations shortly before an incident, quiet hours and holidays.

They annotate an incident; those that the settings name inhibit it: nobody is told, and it is stored all the same.
What is critical is told in any case.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from operators.episodes import Severity
from operators.incident.entities import Keys, keys, related
from operators.incident.seen import MINUTE_US, Seen
from operators.words import moment

Inhibitor = Literal["quiet_hours", "holidays", "changes"]
INHIBITORS: tuple[Inhibitor, ...] = ("quiet_hours", "holidays", "changes")
"""What can inhibit."""

LOOK_BACK_US = 60 * MINUTE_US
"""How long before an incident a change counts as shortly before."""
MOST_CHANGES = 10
"""Changes that an incident names, the latest."""
DEPLOYS = re.compile(r"deploy|release|rollout|publish", re.IGNORECASE)
"""A pipeline so named deploys (as in the view deployment_pipelines), and so does a run whose trigger says it."""
SAYING = frozenset({"action", "environment", "event", "kind", "name", "reason", "type"})
"""Fields of a trigger's data that say what a run is for; a branch does not."""
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Change(msgspec.Struct, frozen=True):
    """A known change. `entity` is the pipeline, `version` the configuration or commit, where it is known.

    `until_us`: when it was complete, at `at_us` if that took no time.
    """

    kind: Literal["deployment", "configuration"]
    entity: str
    at_us: int
    until_us: int
    version: str | None = None
    status: str | None = None

    @property
    def words(self) -> str:
        """The change in one line.

        >>> Change("deployment", "shop/deploy", 0, 0, "4f2a9c1e77", "success").words
        'deployment shop/deploy 4f2a9c1e77 (success) at 1970-01-01T00:00:00.000Z'
        """
        version = f" {self.version[:12]}" if self.version else ""
        status = f" ({self.status})" if self.status else ""
        return f"{self.kind} {self.entity}{version}{status} at {moment(self.at_us)}"


def deploys(name: str, trigger: Mapping[str, Any] | None = None) -> bool:
    """Whether a run of a pipeline deploys: by its name, or by what its trigger's data say.

    >>> deploys("shop/deploy-prod"), deploys("shop/main"), deploys("shop/main", {"event": "release"})
    (True, False, True)
    """
    said = (value for field, value in (trigger or {}).items() if field.lower() in SAYING)
    return bool(DEPLOYS.search(name)) or any(isinstance(value, str) and DEPLOYS.search(value) for value in said)


def shortly_before(
    patterns: Sequence[Seen], wide: bool, changes: Iterable[Change], look_back_us: int = LOOK_BACK_US
) -> list[Change]:
    """The changes in the look-back of the first pattern, in the tree of any of them, the latest first.

    A change is related more widely than patterns are: a pipeline below the same root is enough (`shop/deploy` and
    `shop/main`), and for a wide incident any deployment.
    """
    if not patterns:
        return []
    start = min(one.opened_us for one in patterns)
    names = [keys(one.entity, one.kind) for one in patterns]
    found = [
        one
        for one in changes
        if start - look_back_us <= one.until_us
        and one.at_us <= start
        and ((wide and one.kind == "deployment") or _concerns(keys(one.entity, "pipeline"), names))
    ]
    return sorted(found, key=lambda one: (-one.at_us, one.entity, one.kind))[:MOST_CHANGES]


def _concerns(changed: Keys, names: Collection[Keys]) -> bool:
    return any(related(changed, one) or changed.up & one.up for one in names)


class Window(msgspec.Struct, frozen=True):
    """A weekly window: minutes of the day in a zone. One that ends before it starts goes on into the next day."""

    days: tuple[int, ...]
    start: int
    end: int
    zone: str
    name: str

    def holds(self, when: datetime) -> bool:
        """Whether a moment is in it, by the zone's clock on the wall."""
        local = when.astimezone(ZoneInfo(self.zone))
        minute = local.hour * 60 + local.minute
        if self.start < self.end:
            return local.weekday() in self.days and self.start <= minute < self.end
        today, before = local.weekday(), (local.weekday() - 1) % 7
        return (today in self.days and minute >= self.start) or (before in self.days and minute < self.end)


class Holiday(msgspec.Struct, frozen=True):
    """A day, of one year or (`year` None) of each."""

    year: int | None
    month: int
    day: int
    zone: str
    name: str

    def holds(self, when: datetime) -> bool:
        """Whether a moment is in it."""
        local = when.astimezone(ZoneInfo(self.zone))
        return (local.month, local.day) == (self.month, self.day) and self.year in (None, local.year)


class Calendar(msgspec.Struct, frozen=True):
    """Quiet hours and holidays.

    >>> nights = quiet_windows([{"days": "mon-fri", "from": "22:00", "to": "06:00", "zone": "Europe/Berlin"}])
    >>> calendar = Calendar(nights, holidays(["12-25"]))
    >>> [calendar.at(moment) for moment in (1_767_571_200_000_000, 1_766_620_800_000_000, 1_767_607_200_000_000)]
    [None, ('holidays', 'holiday 12-25'), None]
    >>> calendar.at(1_767_657_600_000_000)
    ('quiet_hours', 'quiet hours mon-fri 22:00-06:00 Europe/Berlin')
    """

    windows: tuple[Window, ...] = ()
    holidays: tuple[Holiday, ...] = ()

    def at(self, time_us: int) -> tuple[Inhibitor, str] | None:
        """What a time falls into, and that in words; a holiday before quiet hours."""
        try:
            when = _EPOCH + timedelta(microseconds=time_us)
            for holiday in self.holidays:
                if holiday.holds(when):
                    return "holidays", f"holiday {holiday.name}"
            for window in self.windows:
                if window.holds(when):
                    return "quiet_hours", f"quiet hours {window.name}"
        except OverflowError:
            pass  # beyond the calendar of Python
        return None


def inhibited(
    severity: Severity, fallen_into: tuple[Inhibitor, str] | None, changes: Sequence[str], by: Collection[str]
) -> str | None:
    """Why nobody is to be told, as far as the settings (`by`) say so; None: people are told.

    >>> inhibited("high", ("quiet_hours", "quiet hours nights"), [], ["quiet_hours"])
    'quiet hours nights'
    >>> inhibited("critical", ("quiet_hours", "quiet hours nights"), [], ["quiet_hours"])
    """
    if severity == "critical":
        return None
    if fallen_into is not None and fallen_into[0] in by:
        return fallen_into[1]
    if changes and "changes" in by:
        return f"known change: {changes[0]}"
    return None


def quiet_windows(value: object) -> tuple[Window, ...]:
    """Windows from JSON: a list of `{"days", "from", "to", "zone"?, "name"?}`; raises ValueError with one line.

    >>> quiet_windows([{"days": "sat,sun", "from": "00:00", "to": "24:00"}])[0].days
    (5, 6)
    >>> quiet_windows([{"days": "someday", "from": "00:00", "to": "24:00"}])
    Traceback (most recent call last):
    ...
    ValueError: must hold days like mon-fri or sat,sun, not 'someday'
    """
    return tuple(_window(entry) for entry in _list(value, "weekly windows"))


def holidays(value: object) -> tuple[Holiday, ...]:
    """Holidays from JSON: dates `2026-12-25` or `12-25`, or `{"date", "zone"?, "name"?}`; raises ValueError."""
    return tuple(_holiday(entry) for entry in _list(value, "dates"))


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"must be a JSON list of {what}")
    return list(value)


def _window(entry: object) -> Window:
    entry = _fields(entry, {"days", "from", "to"}, {"zone", "name"})
    days, start, end = str(entry["days"]), _minute(entry["from"]), _minute(entry["to"])
    if start == end:
        raise ValueError(f"must hold windows of some length, not {entry['from']!r} to {entry['to']!r}")
    zone = _zone(entry.get("zone", "UTC"))
    name = entry.get("name") or f"{days} {entry['from']}-{entry['to']} {zone}"
    return Window(_days(days), start, end, zone, str(name))


def _holiday(entry: object) -> Holiday:
    fields = {"date": entry} if isinstance(entry, str) else _fields(entry, {"date"}, {"zone", "name"})
    text = str(fields["date"])
    found = re.fullmatch(r"(?:(\d{4})-)?(\d{2})-(\d{2})", text)
    try:
        if not found:
            raise ValueError
        date(int(found[1] or 2024), int(found[2]), int(found[3]))  # 2024 is a leap year
    except ValueError:
        raise ValueError(f"must hold dates like 2026-12-25 or 12-25, not {text!r}") from None
    year = int(found[1]) if found[1] else None
    name = str(fields.get("name") or text)
    return Holiday(year, int(found[2]), int(found[3]), _zone(fields.get("zone", "UTC")), name)


def _fields(entry: object, needed: set[str], allowed: set[str]) -> Mapping[str, Any]:
    if not isinstance(entry, Mapping) or not needed <= set(entry) <= needed | allowed:
        names = ", ".join([*sorted(needed), *(f"{name}?" for name in sorted(allowed))])
        raise ValueError(f"must hold objects with {names}, not {entry!r}")
    return entry


def _days(text: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in text.lower().replace(" ", "").split(","):
        first, _, last = part.partition("-")
        if part == "*":
            found |= set(range(7))
        elif first in DAYS and (last in DAYS or not last):
            start, end = DAYS.index(first), DAYS.index(last or first)
            found |= {(start + step) % 7 for step in range((end - start) % 7 + 1)}
        else:
            raise ValueError(f"must hold days like mon-fri or sat,sun, not {text!r}")
    return tuple(sorted(found))


def _minute(text: object) -> int:
    if not isinstance(text, str) or not _CLOCK.fullmatch(text):
        raise ValueError(f"must hold times like 22:00, not {text!r}")
    return int(text[:2]) * 60 + int(text[3:])


def _zone(name: object) -> str:
    try:
        return ZoneInfo(str(name)).key
    except (OSError, ValueError, LookupError):
        raise ValueError(f"must hold zones like Europe/Berlin, not {name!r}") from None
