"""Features of changes of files, as of each commit: what was known of the file, its folder and the code around it.

A change is a file that a commit touched (a `lines_changed` of `code.measured`); how it ended is known where a run names
the commit. Nothing of the commit's own runs, and nothing that ended at or after its time, is in its features.
"""

from typing import Any

import numpy as np
import pandas as pd

from operators.mining.features import DAYS, LASTS, Table
from operators.mining.history import History, micros
from operators.mining.significance import DAY_US
from operators.mining.streams import outcomes

MOST_FILES = 500
"""Files of a commit beyond which it is left out: a new licence header says nothing of each file it stands in."""

MOST_RUNS = 20
"""Runs of a commit that count, the first that ended."""

MOST_CHANGES = 300_000
"""Changes that get features, the latest. What they are made of is all of the history."""

_RUNS = {
    **{f"failed_last_{last}": f"share of failed among the last {last} runs of the {{}}" for last in LASTS},
    "failures_in_a_row": "failed runs of the {} in a row, up to the last",
    **{f"runs_{days}d": f"runs of the {{}} that ended in the {days} days before the commit" for days in DAYS},
    "since_run_s": "seconds from the end of the last run of the {} to the commit",
    "since_failure_s": "seconds from the end of the last failed run of the {} to the commit",
}
_CHANGES = {
    "changes_7d": "changes of the {} in the 7 days before the commit",
    "changes_30d": "changes of the {} in the 30 days before the commit",
    "lines_30d": "lines changed of the {} in the 30 days before the commit",
    "since_change_s": "seconds from the last change of the {} to the commit",
    "age_s": "seconds from the first change of the {} that is in the history to the commit",
}
_ENDED = " that ended before the commit, of earlier commits that touched it"
_FOLDER = ("failed_last_20", "failures_in_a_row")


def _ended(words: str) -> str:
    return "" if "the commit" in words else _ENDED


LOGIC = {
    **{name: ("history", words.format("file") + _ended(words)) for name, words in _RUNS.items()},
    **{f"folder_{name}": ("history", _RUNS[name].format("files of its folder") + _ENDED)
       for name in _FOLDER},
    **{name: ("history", words.format("file")) for name, words in _CHANGES.items()},
    "folder_changes_7d": ("history", "commits that touched its folder in the 7 days before the commit"),
    "people": ("history", "different people (trigger_data.actor) who started runs of it that ended before the commit"),
    "fan_in": ("graph", "parts of the code that were known before the commit to need the file"),
    "fan_out": ("graph", "parts of the code that the file was known before the commit to need"),
    "component": ("graph", "parts of the code that hung together with the file, itself too, as known before it"),
    "lines": ("own", "lines that the commit changes of the file"),
    "files": ("own", "files that the commit touches"),
    "hour": ("own", "hour of the commit, UTC"),
    "weekday": ("own", "day of the week of the commit, UTC; Monday is 0"),
}  # fmt: skip
"""By feature, its kind and what it is in words."""


class Past:
    """Events of many groups, asked how many of a group came before a time. Groups are small integers, times µs."""

    def __init__(self, groups: Any, times_us: Any) -> None:
        self.order = np.lexsort((times_us, groups))
        self.groups, self.times = groups[self.order], times_us[self.order]
        self._moments = np.unique(times_us)
        self._keys = self.groups * (len(self._moments) + 1) + np.searchsorted(self._moments, self.times)

    def first(self, groups: Any) -> Any:
        """Place of each group's first event in `order`."""
        return np.searchsorted(self.groups, groups)

    def before(self, groups: Any, times_us: Any) -> Any:
        """Place after the last event of the group before each time, not at it.

        >>> Past(np.array([1, 0, 1]), np.array([5, 5, 9])).before(np.array([1, 1, 0]), np.array([9, 10, 5])).tolist()
        [2, 3, 0]
        """
        at = np.searchsorted(self._moments, times_us)
        return np.searchsorted(self._keys, groups * (len(self._moments) + 1) + at)


def code_table(history: History, runs: Any = None) -> Table | None:
    """Features of the changes whose commit a run names; None where there is none.

    `runs`: what `commit_runs` gives, of parts of a history that is not at hand as a whole, one after the other.

    Commits are found by their full name, files as parts of the dependency graph by their path: a graph of modules under
    other names says nothing (NaN), and so do files of a code base before its first edge. Only the last commit of a
    push has runs: the others count as changes and have no outcome. Renames begin a new file.
    """
    runs = commit_runs(history) if runs is None else runs
    if not len(runs) or not len(history.code_changes):
        return None
    changes = _changes(history)
    runs = runs.sort_values(["end_us", "failed"], kind="stable")
    runs = runs[runs.groupby("commit_sha").cumcount() < MOST_RUNS]
    changes["failed"] = changes["commit_sha"].map(runs.groupby("commit_sha")["failed"].max())
    rows = changes[changes["failed"].notna()].tail(MOST_CHANGES)
    if not len(rows):
        return None
    at = rows["at_us"].to_numpy()
    out: dict[str, Any] = {}
    for prefix, by, chosen in (("", "file", (*_RUNS, "people")), ("folder_", "folder", _FOLDER)):
        groups = rows[by].to_numpy()
        # A run is known when it has ended, and never to its own commit, whatever the clocks say.
        of = changes.groupby([by, "commit_sha"], sort=True)["at_us"].max().reset_index().merge(runs, on="commit_sha")
        of["end_us"] = np.maximum(of["end_us"], of["at_us"])
        of = of.sort_values(["end_us", "failed"], kind="stable")
        found = _of_runs(of, by, groups, at)
        out |= {prefix + name: found[name] for name in chosen}
    out |= _of_changes(changes, "file", rows["file"].to_numpy(), at)
    commits = changes.drop_duplicates(["folder", "commit_sha", "at_us"])
    past = Past(commits["folder"].to_numpy(), commits["at_us"].to_numpy())
    out["folder_changes_7d"] = _within(past, rows["folder"].to_numpy(), at, 7)
    out |= _of_graph(history.code_dependencies, rows)
    out |= {"lines": rows["lines"].to_numpy(), "files": rows["files"].to_numpy(dtype=float)}
    out["hour"] = ((at // 3_600_000_000) % 24).astype(float)
    out["weekday"] = ((at // DAY_US + 3) % 7).astype(float)
    return Table(
        "code", rows["ref"].to_numpy(), rows["entity"].to_numpy(), at, rows["failed"].to_numpy(dtype=bool), tuple(out),
        np.column_stack(list(out.values())), LOGIC,
    )  # fmt: skip


def _changes(history: History) -> Any:
    """Changes by time: one a file and commit; `file` and `folder` as numbers."""
    found = history.code_changes
    found = found[found["path"].notna() & found["time"].notna()]
    code, path = found["codebase_id"].astype(object), found["path"].astype(object)
    sha = found["commit_sha"].astype(object)
    entity = (code + ":" + path).to_numpy(dtype=object)
    folder = (code + ":" + path.str.rpartition("/")[0]).to_numpy(dtype=object) if len(found) else entity
    frame = pd.DataFrame(
        {"codebase_id": code.to_numpy(dtype=object), "path": path.to_numpy(dtype=object), "entity": entity,
         "commit_sha": sha.to_numpy(dtype=object), "at_us": micros(found["time"]), "lines": found["lines"].to_numpy(),
         "file": pd.factorize(entity, sort=True)[0], "folder": pd.factorize(folder, sort=True)[0]}
    )  # fmt: skip
    frame = frame.sort_values(["at_us", "entity", "commit_sha"], kind="stable")
    named = frame["commit_sha"].notna()
    frame = frame[~named | ~frame.duplicated(["entity", "commit_sha"])].reset_index(drop=True)
    frame["files"] = frame.groupby(["codebase_id", "commit_sha"], dropna=False)["entity"].transform("size")
    frame.loc[frame["commit_sha"].isna(), "files"] = 1
    frame["ref"] = frame["entity"] + "@" + frame["commit_sha"].fillna("")
    return frame[frame["files"] <= MOST_FILES].reset_index(drop=True)


def commit_runs(history: History) -> Any:
    """Runs that say of which commit they are: `commit_sha`, `end_us`, `failed`, and `actor`, who started it."""
    stream = outcomes(history, ["pipeline"])
    if not len(stream):
        return pd.DataFrame({"commit_sha": [], "end_us": [], "failed": [], "actor": []})
    own = history.runs.drop_duplicates("id").set_index("id").reindex(stream["ref"])
    sha = own["commit_sha"].astype(object).to_numpy()
    said = own["trigger_data"].to_numpy()
    actor = [data.get("actor") if isinstance(data, dict) else None for data in said]
    frame = pd.DataFrame(
        {"commit_sha": sha, "end_us": stream["end_us"].to_numpy(dtype=np.int64),
         "failed": stream["failed"].to_numpy(dtype=bool),
         "actor": [name if isinstance(name, str) else None for name in actor]}
    )  # fmt: skip
    return frame[frame["commit_sha"].notna()].reset_index(drop=True)


def _within(past: Past, groups: Any, at: Any, days: int) -> Any:
    """How many events of the group came in so many days before."""
    return (past.before(groups, at) - past.before(groups, at - days * DAY_US)).astype(float)


def _of_runs(of: Any, by: str, groups: Any, at: Any) -> dict[str, Any]:
    past = Past(of[by].to_numpy(), of["end_us"].to_numpy())
    bad = of["failed"].to_numpy()[past.order]
    first, known = past.first(groups), past.before(groups, at)
    has = known > first
    total = np.concatenate(([0], np.cumsum(bad)))
    out: dict[str, Any] = {}
    with np.errstate(invalid="ignore", divide="ignore"):
        for last in LASTS:
            least = np.maximum(first, known - last)
            out[f"failed_last_{last}"] = np.where(has, (total[known] - total[least]) / (known - least), np.nan)
    for days in DAYS:
        out[f"runs_{days}d"] = _within(past, groups, at, days)
    places = np.arange(len(bad) + 1) - 1  # of the last one up to each place; -1 before all
    calm = np.maximum.accumulate(np.where(np.concatenate(([False], ~bad)), places, -1))[known]
    broke = np.maximum.accumulate(np.where(np.concatenate(([False], bad)), places, -1))[known]
    out["failures_in_a_row"] = np.where(has, known - 1 - np.maximum(calm, first - 1), 0).astype(float)
    times = np.append(past.times, 0)
    out["since_run_s"] = np.where(has, (at - times[known - 1]) / 1e6, np.nan)
    out["since_failure_s"] = np.where(has & (broke >= first), (at - times[broke]) / 1e6, np.nan)
    people = of["actor"].to_numpy(dtype=object)[past.order]
    named = pd.notna(people)
    fresh = named & ~pd.DataFrame({"group": past.groups, "actor": people}).duplicated().to_numpy()
    counted = np.concatenate(([0], np.cumsum(fresh)))
    different = (counted[known] - counted[first]).astype(float)
    out["people"] = np.where(different > 0, different, np.nan)
    return out


def _of_changes(changes: Any, by: str, groups: Any, at: Any) -> dict[str, Any]:
    past = Past(changes[by].to_numpy(), changes["at_us"].to_numpy())
    first, known = past.first(groups), past.before(groups, at)
    has = known > first
    total = np.concatenate(([0.0], np.cumsum(np.nan_to_num(changes["lines"].to_numpy()[past.order]))))
    return {
        "changes_7d": _within(past, groups, at, 7), "changes_30d": _within(past, groups, at, 30),
        "lines_30d": total[known] - total[past.before(groups, at - 30 * DAY_US)],
        "since_change_s": np.where(has, (at - past.times[known - 1]) / 1e6, np.nan),
        "age_s": np.where(has, (at - past.times[np.minimum(first, len(past.times) - 1)]) / 1e6, np.nan),
    }  # fmt: skip


def _of_graph(edges: Any, rows: Any) -> dict[str, Any]:
    """Neighbours of the file in the graph, and how large a part of it hangs together with it, as known before."""
    code = edges["codebase_id"].astype(object).to_numpy()
    ends = [edges[name].astype(object).to_numpy() for name in ("from_node", "to_node")]
    seen = micros(edges["first_observed_at"].fillna(edges["observed_at"]))
    frame = pd.DataFrame({"code": code, "from": ends[0], "to": ends[1], "at": seen})
    frame = frame[frame["from"] != frame["to"]].sort_values("at", kind="stable").drop_duplicates(["code", "from", "to"])
    names = pd.MultiIndex.from_arrays(
        [np.concatenate((frame["code"], frame["code"], rows["codebase_id"])),
         np.concatenate((frame["from"], frame["to"], rows["path"]))]
    )  # fmt: skip
    numbers, count = pd.factorize(names)[0], len(frame)
    origin, to, node = numbers[:count], numbers[count : 2 * count], numbers[2 * count :]
    at, when = rows["at_us"].to_numpy(), frame["at"].to_numpy(dtype=np.int64)
    out = {}
    for name, ended in (("fan_in", to), ("fan_out", origin)):
        past = Past(ended, when)
        out[name] = (past.before(node, at) - past.first(node)).astype(float)
    out["component"] = _components(origin, to, when, node, at)
    start = rows["codebase_id"].map(frame.groupby("code")["at"].min()).to_numpy(dtype=float)
    unknown = ~(start < at) | (out["component"] == 1.0)  # of no known edge: it may have another name there
    return {name: np.where(unknown, np.nan, values) for name, values in out.items()}


def _components(origin: Any, to: Any, when: Any, node: Any, at: Any) -> Any:
    """Nodes connected with each `node`, whichever way edges point, by the edges before `at`: union-find in time.

    Tarjan, "Efficiency of a Good But Not Linear Set Union Algorithm", JACM 22 (1975); edges in the order of `when`.
    """
    parent: dict[int, int] = {}
    size: dict[int, int] = {}

    def root(one: int) -> int:
        while (up := parent.get(one, one)) != one:
            parent[one] = parent.get(up, up)
            one = up
        return one

    out = np.ones(len(node))
    known = np.searchsorted(when, at, side="left")
    done, pairs = 0, list(zip(origin.tolist(), to.tolist(), strict=True))
    for place in np.argsort(known, kind="stable").tolist():
        for first, second in pairs[done : int(known[place])]:
            less, more = sorted((root(first), root(second)), key=lambda one: size.get(one, 1))
            if less != more:
                parent[less] = more
                size[more] = size.get(more, 1) + size.get(less, 1)
        done = max(done, int(known[place]))
        out[place] = size.get(root(int(node[place])), 1)
    return out
