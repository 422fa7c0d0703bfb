"""Features of changes of files: each by brute force from the rows, what was not known then changes nothing."""

from datetime import timedelta

import msgspec
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.mining.code_features import LOGIC, MOST_FILES, code_table, commit_runs
from operators.mining.history import BAD, FRAMES, JUDGED, History
from operators.mining.selection import selected
from tests.operators.mining import planted

HOUR = timedelta(hours=1)
FILES = ("app/a.py", "app/b.py", "lib/c.py")
COMMITS = st.lists(
    st.tuples(st.integers(0, 60 * 24), st.sets(st.sampled_from(FILES), min_size=1), st.integers(0, 9)), max_size=9
)
RUNS = st.lists(
    st.tuples(st.integers(0, 8), st.integers(-3, 200), st.sampled_from(["success", "failure", "error", "cancelled"]),
              st.sampled_from(["ada", "bo", None])), max_size=14,
)  # fmt: skip
EDGES = st.lists(
    st.tuples(st.sampled_from([*FILES, "x", "y"]), st.sampled_from([*FILES, "x", "y"]), st.integers(0, 60 * 24),
              st.integers(0, 500)), max_size=8,
)  # fmt: skip


def a_history(commits, runs, edges):
    """Commits by hour with their files and lines; runs some hours after their commit; edges by hour and seen again."""
    changes = [
        {"id": f"{number}{path}", "codebase_id": "shop", "path": path, "commit_sha": f"c{number}",
         "time": planted.START + at * HOUR, "lines": float(lines)}
        for number, (at, paths, lines) in enumerate(commits) for path in sorted(paths)
    ]  # fmt: skip
    done = [
        {"id": f"r{number}", "pipeline_name": "ci", "execution_start": planted.START, "status": status,
         "execution_end": planted.START + (commits[of][0] + late) * HOUR, "commit_sha": f"c{of}",
         "trigger_data": {"actor": actor} if actor else None}
        for number, (of, late, status, actor) in enumerate(runs) if of < len(commits)
    ]  # fmt: skip
    seen = [
        {"codebase_id": "shop", "from_node": one, "to_node": two, "kind": f"k{number}",
         "observed_at": planted.START + (at + again) * HOUR, "first_observed_at": planted.START + at * HOUR}
        for number, (one, two, at, again) in enumerate(edges)
    ]  # fmt: skip
    return History.of(code_changes=changes, runs=done, code_dependencies=seen)


def seconds(later, earlier):
    return (later - earlier).total_seconds()


def brute_force(history, change):
    """One change's features, by looking at every row that was known before its commit."""
    at, sha, path = change["time"], change["commit_sha"], change["path"]
    folder = path.rpartition("/")[0]
    changes = history.code_changes.to_dict("records")
    judged = [run for run in history.runs.to_dict("records") if run["status"] in JUDGED]
    earlier = [one for one in changes if one["time"] < at]
    judged = [run for run in judged if run["execution_end"] < at and run["commit_sha"] != sha]

    def of(commits):
        """Runs of commits, by the moment at which they are known: not before the commit itself is."""
        when = {one["commit_sha"]: one["time"] for one in commits}
        mine = [run for run in judged if run["commit_sha"] in when]
        known = [(max(run["execution_end"], when[run["commit_sha"]]), run["status"] in BAD, run) for run in mine]
        return sorted(known, key=lambda row: (row[0], row[1]))

    own = [one for one in earlier if one["path"] == path]
    near = [one for one in earlier if one["path"].rpartition("/")[0] == folder]
    runs, folders = of(own), of(near)
    out = {}
    for prefix, rows in (("", runs), ("folder_", folders)):
        for last in (5, 20):
            bad = [failed for _, failed, _ in rows[-last:]]
            out[f"{prefix}failed_last_{last}"] = sum(bad) / len(bad) if bad else np.nan
        streak = 0
        while streak < len(rows) and rows[-1 - streak][1]:
            streak += 1
        out[f"{prefix}failures_in_a_row"] = streak
    for days in (1, 7, 28):
        out[f"runs_{days}d"] = sum(end >= at - timedelta(days=days) for end, _, _ in runs)
    out["since_run_s"] = seconds(at, runs[-1][0]) if runs else np.nan
    broken = [end for end, failed, _ in runs if failed]
    out["since_failure_s"] = seconds(at, broken[-1]) if broken else np.nan
    people = {run["trigger_data"]["actor"] for _, _, run in runs if run["trigger_data"]}
    out["people"] = len(people) or np.nan
    for days in (7, 30):
        out[f"changes_{days}d"] = sum(one["time"] >= at - timedelta(days=days) for one in own)
    out["lines_30d"] = sum(one["lines"] for one in own if one["time"] >= at - timedelta(days=30))
    out["since_change_s"] = seconds(at, max(one["time"] for one in own)) if own else np.nan
    out["age_s"] = seconds(at, min(one["time"] for one in own)) if own else np.nan
    week = {one["commit_sha"] for one in near if one["time"] >= at - timedelta(days=7)}
    out["folder_changes_7d"] = len(week)
    graph = nx.DiGraph()
    for edge in history.code_dependencies.to_dict("records"):
        if edge["first_observed_at"] < at and edge["from_node"] != edge["to_node"]:
            graph.add_edge(edge["from_node"], edge["to_node"])
    known = path in graph
    out["fan_in"] = graph.in_degree(path) if known else np.nan
    out["fan_out"] = graph.out_degree(path) if known else np.nan
    out["component"] = len(nx.node_connected_component(graph.to_undirected(), path)) if known else np.nan
    out |= {"lines": change["lines"], "hour": at.hour, "weekday": at.day_of_week}
    out["files"] = sum(one["commit_sha"] == sha for one in changes)
    return out


@settings(deadline=None, max_examples=30)
@given(COMMITS, RUNS, EDGES)
def test_each_feature_by_brute_force(commits, runs, edges):
    history = a_history(commits, runs, edges)
    table = code_table(history)
    judged = history.runs[history.runs["status"].isin(JUDGED)]
    changes = [one for one in history.code_changes.to_dict("records") if one["commit_sha"] in set(judged["commit_sha"])]
    if not changes:
        assert table is None
        return
    assert set(table.names) == set(LOGIC) and len(table.names) == len(LOGIC)
    rows = dict(zip(table.refs, zip(table.values, table.failed, strict=True), strict=True))
    assert set(rows) == {f"shop:{one['path']}@{one['commit_sha']}" for one in changes}
    for one in changes:
        values, failed = rows[f"shop:{one['path']}@{one['commit_sha']}"]
        mine = judged[judged["commit_sha"] == one["commit_sha"]]
        assert failed == mine["status"].isin(BAD).any()
        wanted = brute_force(history, one)
        for name, value in zip(table.names, values, strict=True):
            assert value == pytest.approx(wanted[name], nan_ok=True), (name, one)


@pytest.fixture(scope="module")
def busy():
    """Ten commits a day for 90 days: half of those that touch one of the folders fail, few of the others."""
    rng = np.random.default_rng(4)
    frames = {"code_changes": [], "runs": [], "code_dependencies": []}
    files = [f"src/{folder}/{name}.py" for folder in "abc" for name in "xyz"]
    for number in range(900):
        at = number * 144.0 + float(rng.uniform(0, 100))
        touched = [str(one) for one in rng.choice(files, int(rng.integers(1, 4)), replace=False)]
        bad = rng.random() < (0.5 if any("/a/" in one for one in touched) else 0.05)
        frames["code_changes"] += [
            {"id": f"{number}{path}", "codebase_id": "shop", "path": path, "commit_sha": f"c{number}",
             "time": planted.at(at), "lines": float(rng.integers(1, 80))} for path in touched
        ]  # fmt: skip
        frames["runs"].append(
            {"id": f"r{number}", "pipeline_name": "ci", "commit_sha": f"c{number}", "execution_start": planted.at(at),
             "execution_end": planted.at(at + float(rng.uniform(5, 600))), "status": "failure" if bad else "success"}
        )  # fmt: skip
    for one, two in ((a, b) for a in files for b in files if a < b and rng.random() < 0.4):
        seen = planted.at(float(rng.uniform(0, 90)) * 1440)
        edge = {"codebase_id": "shop", "from_node": one, "to_node": two, "kind": "import", "observed_at": seen}
        frames["code_dependencies"].append(edge | {"first_observed_at": seen})
    return History.of(**frames)


def rows_before(table, at_us):
    """The rows of changes before a time, without their outcome, which may come later."""
    keep = table.start_us < at_us
    return pd.DataFrame(table.values[keep], index=table.refs[keep], columns=table.names)


def test_what_was_not_known_at_a_commit_changes_nothing_of_it(busy):
    whole = code_table(busy)
    commits = sorted(set(busy.code_changes["time"]))
    for number, last in enumerate(commits[300:900:40]):
        at = last + pd.Timedelta(seconds=1)  # what is to be seen is just before it
        known = {name: getattr(busy, name) for name in FRAMES}
        # All that came later is something else: it ended otherwise, was elsewhere, was seen at another time.
        runs, changes, edges = known["runs"].copy(), known["code_changes"].copy(), known["code_dependencies"].copy()
        late = runs["execution_end"] >= at
        runs.loc[late, "status"] = np.where(runs.loc[late, "status"] == "success", "failure", "success")
        runs = runs[~late] if number % 2 else runs
        after = changes["time"] >= at
        changes.loc[after, "path"] = "src/a/x.py"
        changes.loc[after, "lines"] *= 3
        edges = edges[edges["first_observed_at"] < at]
        other = History.of(**(known | {"runs": runs, "code_changes": changes, "code_dependencies": edges}))
        at_us = int(at.timestamp() * 1e6)
        before = rows_before(whole, at_us)
        found = rows_before(code_table(other), at_us)
        assert len(found) > 100 and any(ref.endswith(f"@c{commits.index(last)}") for ref in before.index)
        pd.testing.assert_frame_equal(found, before.loc[found.index])


def test_runs_may_come_in_parts(busy):
    """As a night gives them that reads its history in shards."""
    parts = [commit_runs(msgspec.structs.replace(busy, runs=busy.runs[at::3])) for at in (2, 0, 1)]
    np.testing.assert_array_equal(code_table(busy, pd.concat(parts)).values, code_table(busy).values)


def test_an_edge_that_is_seen_again_was_known_before(busy):
    again = busy.code_dependencies.assign(observed_at=planted.UNTIL)
    other = code_table(msgspec.structs.replace(busy, code_dependencies=again))
    np.testing.assert_array_equal(other.values, code_table(busy).values)


def test_what_goes_with_failing_is_selected(busy):
    found = {one.name: one for one in selected(code_table(busy), {"sources": ["system_metrics"]})}
    # A folder in which half of the commits fail: its own past says so, the hour of the day does not.
    told, silent = found["folder_failed_last_20"], [found[name] for name in ("hour", "weekday", "lines")]
    assert told.selected and not any(one.selected for one in silent)
    assert told.importance > 2 * max(one.importance for one in silent)
    assert found["fan_in"].kind == "graph" and found["files"].kind == "own" and found["failed_last_5"].kind == "history"
    assert all(one.logic and one.lineage["sources"] == ["system_metrics"] for one in found.values())


def test_a_commit_that_touches_everything_is_left_out(busy):
    wide = [
        {"id": f"w{number}", "codebase_id": "shop", "path": f"vendor/{number}", "commit_sha": "c3", "lines": 1.0,
         "time": planted.at(500)} for number in range(MOST_FILES + 1)
    ]  # fmt: skip
    more = History.of(code_changes=[*busy.code_changes.to_dict("records"), *wide], runs=busy.runs)
    assert not any(ref.endswith("@c3") for ref in code_table(more).refs)


def test_nothing_is_known_of_nothing():
    assert code_table(History.of()) is None
    assert (
        code_table(History.of(code_changes=[{"id": "1", "codebase_id": "c", "path": "a", "time": planted.START}]))
        is None
    )
