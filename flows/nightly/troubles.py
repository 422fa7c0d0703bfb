"""What is wrong with the data, told once: a source that was silent was so in its runs, its steps and their series."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from operators.mining.quality import Quality

_ORDER = ("runs", "task_executions", "integration_events", "steps", "tasks", "task_dependencies", "code_dependencies",
          "code_changes", "patterns", "interventions", "daily", "hourly")  # fmt: skip
"""Where the same silence is told: what happened comes before what is counted from it."""

_CALLED = {"runs": "runs", "task_executions": "executions of tasks", "integration_events": "integration events",
           "daily": "daily series", "hourly": "hourly series"}  # fmt: skip

SHARED = 0.8
"""Share of a gap that another one must cover to be the same."""

SILENT = "nothing for "
"""How a problem begins that is a gap."""

SILENT_NOW = "nothing for the last "
"""How a problem begins that is the silence at the end."""


class Trouble(NamedTuple):
    """What is wrong with a source of a table. `also`: where else the same gap shows, as people call it."""

    status: Literal["notice", "bad"]
    table: str
    source: str
    problems: list[str]
    also: list[str]
    rows: int

    @property
    def text(self) -> str:
        """In one line, without the status."""
        more = f" (the same in its {', '.join(self.also)})" if self.also else ""
        return f"{called(self.table)} of {self.source}: {'; '.join(self.problems)}{more}"


def called(table: str) -> str:
    """What people call the rows of a table.

    >>> called("task_executions"), called("steps")
    ('executions of tasks', 'steps')
    """
    return _CALLED.get(table, table.replace("_", " "))


def troubles(quality: Sequence[Quality]) -> list[Trouble]:
    """What is worth telling, the worst first: each gap once, with the source that it belongs to."""
    roots = sorted((one.source for one in quality if one.table in _ORDER[:3]), key=len)
    groups: dict[str, list[Quality]] = {}
    for one in quality:
        if one.problems:
            groups.setdefault(_root(one.source, roots), []).append(one)
    out: list[Trouble] = []
    for group in groups.values():
        out += _told(sorted(group, key=lambda one: (_place(one.table), one.source)))
    return sorted(out, key=lambda one: (one.status != "bad", -one.rows, one.table, one.source))


def _root(source: str, roots: Iterable[str]) -> str:
    return next((name for name in roots if source == name or source.startswith(f"{name}/")), source)


def _place(table: str) -> int:
    return _ORDER.index(table) if table in _ORDER else len(_ORDER)


def _told(group: Sequence[Quality]) -> list[Trouble]:
    out: list[Trouble] = []
    heads: list[tuple[Quality, Trouble, str]] = []
    for one in group:
        left = []
        for problem in one.problems:
            kind = SILENT_NOW if problem.startswith(SILENT_NOW) else SILENT if problem.startswith(SILENT) else ""
            same = next((told for head, told, of in heads if kind and of == kind and _same(kind, head, one)), None)
            if same is None:
                left.append((problem, kind))
            elif (name := called(one.table)) not in same.also:
                same.also.append(name)
        if left:
            kinds = [kind for _, kind in left]
            bad = one.status == "bad" and not all(kinds)
            told = Trouble("bad" if bad else "notice", one.table, one.source, [text for text, _ in left], [],
                           one.partial.n)  # fmt: skip
            out.append(told)
            heads += [(one, told, kind) for kind in kinds if kind]
    return out


def _same(kind: str, head: Quality, one: Quality) -> bool:
    if kind == SILENT_NOW:
        return one.stale_days - head.stale_days <= max(3.0, 0.2 * head.stale_days)
    (start, end), (from_, to) = _gap(head), _gap(one)
    return min(end, to) - max(start, from_) >= SHARED * (to - from_)


def _gap(one: Quality) -> tuple[int, int]:
    """The longest gap: the days of the rows before and after it."""
    days = np.array(sorted(one.partial.days), dtype=np.int64)
    at = int(np.argmax(np.diff(days)))
    return int(days[at]), int(days[at + 1])
