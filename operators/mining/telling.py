"""What is told of the night's patterns, and in which order: one event once, and not one component all the time.

The tables keep every finding with its score; this is for readers of a list.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from operators.mining import words
from operators.mining.finding import Finding
from operators.mining.results import Mined
from operators.mining.significance import DAY_US
from operators.mining.validate import NEWS

SAME_EVENT_DAYS = 7
"""Days by which the places of two changes may differ that are one event: a change point is no more exact."""

WINDOW = 10
"""Lines of the list among which it must vary."""

MOST_OF_ONE = 3
"""Lines among `WINDOW` of one component (a pipeline with its steps, a project, a codebase), while there are others, and
of one kind, while there are others of `NEARLY` the score."""

NEARLY = 0.25
"""Part of a score that will do."""

LEAST_SCORE = 0.01
"""Score below which a finding is not listed: nothing of it was seen for a year, or hardly anything is sure of it."""


_DATED = frozenset(NEWS) - {"recovery_change"}
"""Kinds that happened at a time; that repairs got longer is measured from the middle of them."""


_ONE_LINE = frozenset({"error_signature", "flaky"})
"""Kinds that a component's steps and itself tell of the same runs."""


class Told(NamedTuple):
    """A line of the list: a finding, and those that tell the same event or error again."""

    one: Mined
    others: tuple[Mined, ...]

    @property
    def sentence(self) -> str:
        """What it says, and where else it shows."""
        return self.one.finding.sentence + _also(self.one, self.others)


def component(one: Mined) -> str:
    """What a finding is about: of a step, its pipeline."""
    entity = one.finding.entities[0]
    return entity.rpartition("/")[0] if one.subject == "step" else entity


def told(found: Sequence[Mined]) -> list[Told]:
    """Findings grouped by what they tell, in an order that varies: no more than `MOST_OF_ONE` of a component among
    any `WINDOW` lines as long as there are others, nor of a kind if another scores at least a quarter of it.

    Changes of one component within `SAME_EVENT_DAYS` of each other are one event (a step's and its pipeline's, of
    duration and of failures, a departure and the change that explains it), told by the most specific: the step, if it
    is one. The changes of one series are one story, and so are, in one component, the errors that come back and what is
    flaky.
    """
    groups: list[list[Mined]] = []
    for one in found:
        group = next((group for group in groups if _same(group[0], one)), None)
        if group is None:
            groups.append([one])
        else:
            group.append(one)
    lines = [_told(group) for group in groups]
    return _varied(sorted(lines, key=lambda line: (-line.one.score, line.one.finding.miner, line.one.finding.key)))


def listed(found: Sequence[Mined]) -> list[Told]:
    """What of `told` is worth a line."""
    return [one for one in told(found) if one.one.score >= LEAST_SCORE]


def _same(one: Mined, other: Mined) -> bool:
    if component(one) != component(other):
        return False
    if one.finding.kind in _DATED and other.finding.kind in _DATED:
        (low, high), (first, last) = _when(one), _when(other)
        return (low <= last and first <= high) or _of_one_series(one, other)
    return one.finding.kind == other.finding.kind and one.finding.kind in _ONE_LINE


def _of_one_series(one: Mined, other: Mined) -> bool:
    return one.finding.kind == "change_point" and all(
        getattr(one.finding, name) == getattr(other.finding, name) for name in ("kind", "entities", "measure")
    )


def _when(one: Mined) -> tuple[int, int]:
    """When a change may have happened, µs."""
    finding = one.finding
    if finding.kind == "departure":
        return finding.first_seen_us, finding.last_seen_us
    at = int(finding.evidence.get("at_us", finding.first_seen_us))
    return at - SAME_EVENT_DAYS * DAY_US // 2, at + SAME_EVENT_DAYS * DAY_US // 2


def _told(group: list[Mined]) -> Told:
    """The best of a group first; of changes the best that is a step's, where only one step has it."""
    steps = {one.finding.entities[0] for one in group if one.subject == "step"}
    first = group[0]
    if first.finding.kind != "error_signature" and first.subject != "step" and len(steps) == 1:
        alike = [one for one in group if one.subject == "step" and one.status == first.status]
        first = alike[0] if alike else first
    # Of the changes of one series the latest is the news, the others are what was before.
    first = max((one for one in group if one is first or _of_one_series(first, one)), key=_since)
    return Told(first, tuple(one for one in group if one is not first))


def _since(one: Mined) -> tuple[int, float]:
    return one.finding.first_seen_us, one.score


def _varied(lines: list[Told]) -> list[Told]:
    out: list[Told] = []
    rest = list(lines)
    while rest:
        recent = out[-(WINDOW - 1) :]
        full = _often(component(line.one) for line in recent)
        others = [line for line in rest if component(line.one) not in full] or rest
        kinds = _often(line.one.finding.kind for line in recent)
        least = NEARLY * others[0].one.score
        kept = [line for line in others if line.one.finding.kind not in kinds and line.one.score >= least]
        out.append((kept or others)[0])
        rest.remove(out[-1])
    return out


def _often(names: Iterable[str]) -> set[str]:
    return {name for name, count in Counter(names).items() if count >= MOST_OF_ONE}


def _also(first: Mined, others: Sequence[Mined]) -> str:
    """In words, what else there is to it; "" for nothing."""
    about = first.finding
    if about.kind == "error_signature":
        return _errors(about, [one.finding for one in others])
    before = sorted((one for one in others if _of_one_series(first, one)), key=lambda one: one.finding.first_seen_us)
    elsewhere = []
    for finding in (one.finding for one in others if one not in before):
        what = {"duration_s": "duration", "failed": "failures"}.get(finding.measure, finding.measure)
        if finding.entities == about.entities:
            elsewhere.append(what)
        else:
            elsewhere.append(finding.entities[0] + (f" ({what})" if finding.measure != about.measure else ""))
    said = f" It shows in {words.listed(list(dict.fromkeys(elsewhere)), 4)} as well." if elsewhere else ""
    return said + (f" It changed before: {_story([one.finding for one in before])}." if before else "")


def _story(changes: Sequence[Finding]) -> str:
    return ", ".join(
        f"from {words.level(one.measure, one.evidence['before'])} to {words.level(one.measure, one.evidence['after'])}"
        f" around {words.day(one.first_seen_us)}"
        for one in changes
    )


def _errors(about: Finding, others: Sequence[Finding]) -> str:
    known = {about.evidence.get("signature"), *about.evidence.get("with", ())}
    again = sorted({one.entities[0] for one in others if one.evidence.get("signature") in known} - {about.entities[0]})
    said = f" The same in {words.listed([name.rpartition('/')[2] for name in again], 5)}." if again else ""
    more: dict[str, int] = {}
    for one in others:
        name = str(one.evidence.get("signature"))
        if name not in known:
            more[name] = max(more.get(name, 0), one.support)
    names = [f"“{words.named(name)}” ({count})" for name, count in sorted(more.items(), key=lambda pair: -pair[1])]
    return said + (f" Others that come back: {_listed(names)}." if names else "")


def _listed(names: Sequence[str], most: int = 3) -> str:
    left = len(names) - most
    return ", ".join(names[:most]) + (f" and {left} more" if left > 0 else "")
