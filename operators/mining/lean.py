"""What of a shard is kept for looking across components: fewer rows, and only the columns that are read.

Each gives a history in which the miner that uses it finds what it finds in the whole one, also when it is cut in time
(`History.before`, `History.since`) afterwards: what matters only by being there is kept at its first and last time.
"""

from typing import Any

import pandas as pd

from operators.mining.history import BAD, COMPONENTS, JUDGED, History, micros
from operators.mining.significance import DAY_US
from operators.mining.streams import COLUMNS, TEXTS, integration_entities


def _entities(history: History) -> dict[str, Any]:
    """The component of each row of a table, as `outcomes` names it; steps by their pipeline."""
    return {
        "runs": history.runs["pipeline_name"],
        "task_executions": history.task_executions["project_name"].fillna("tasks"),
        "integration_events": pd.Series(integration_entities(history.integration_events), dtype=object),
    }


def failures(history: History, tables: tuple[str, ...] = tuple(COMPONENTS)) -> History:
    """What failed, with its texts.

    >>> found = failures(History.of(runs=[{"id": "1", "status": "error"}, {"id": "2", "status": "success"}]))
    >>> found.runs["id"].tolist()
    ['1']
    """
    return history.thinned(
        **{
            table: (getattr(history, table)["status"].isin(BAD), f"{COLUMNS[table]} {TEXTS.get(table, '')}")
            for table in tables
        }
    )


def often_failing(history: History, fewest: int) -> History:
    """All that ended of components that failed `fewest` times and more, without texts and without steps."""
    kept = {}
    for table, entities in _entities(history).items():
        failed = getattr(history, table)["status"].isin(BAD).to_numpy()
        counts = pd.Series(failed).groupby(entities.to_numpy(dtype=object)).transform("sum")
        kept[table] = (counts.to_numpy(dtype=float) >= fewest, COLUMNS[table])
    return history.thinned(**kept)


def repeated(history: History) -> History:
    """Runs and their steps that came more than once on a commit, and executions of a task; without texts."""
    runs = history.runs
    on = runs[runs["commit_sha"].notna() & runs["status"].isin(JUDGED)]
    again = on.duplicated(["pipeline_name", "commit_sha"], keep=False)
    ids = on.loc[again.to_numpy(dtype=bool), "id"]
    twice = history.steps.duplicated(["pipeline_execution_id", "step_name"], keep=False)
    ids = pd.Index(ids).union(pd.Index(history.steps.loc[twice.to_numpy(dtype=bool), "pipeline_execution_id"]))
    done = history.task_executions
    return history.thinned(
        runs=(runs["id"].isin(ids), f"{COLUMNS['runs']} commit_sha"),
        steps=(history.steps["pipeline_execution_id"].isin(ids), COLUMNS["steps"]),
        task_executions=(done.duplicated(["project_name", "task_id"], keep=False), "project_name status task_id"),
    )


def of_days(history: History) -> History:
    """What did not end well, of the rest each component's first and last of a day; correlated events all."""
    kept = {}
    for table, entities in _entities(history).items():
        frame = getattr(history, table)
        end = "event_timestamp"
        if table != "integration_events":
            end = "end"
            frame = frame.assign(end=frame["execution_end"].fillna(frame["execution_start"]))
        day = pd.DataFrame({"entity": entities.to_numpy(dtype=object), "at": micros(frame[end])})
        day["status"] = frame["status"].to_numpy(dtype=object)
        order = day.sort_values("at", kind="stable")
        order["day"] = order["at"] // DAY_US
        names = ["entity", "day", "status"]
        edges = ~order.duplicated(names, keep="first") | ~order.duplicated(names, keep="last")
        rows = edges.reindex(day.index).to_numpy(dtype=bool) | ~frame["status"].eq("success").to_numpy(dtype=bool)
        if table == "integration_events":
            rows |= frame["correlation_key"].notna().to_numpy(dtype=bool)
        more = " correlation_key" if table == "integration_events" else ""
        kept[table] = (rows, COLUMNS[table] + more)
    return history.thinned(**kept)


def named(history: History) -> History:
    """Of each component (a step is one here) what ended first, and what began last; without texts."""
    kept = {}
    names = _entities(history) | {"steps": history.steps["pipeline_name"] + "/" + history.steps["step_name"]}
    for table, entities in names.items():
        frame = getattr(history, table)
        start = end = frame["event_timestamp"] if table == "integration_events" else frame["execution_start"]
        if table != "integration_events":
            end = frame["execution_end"] if table == "runs" else frame["execution_end"].fillna(start)
        rows = pd.DataFrame({"entity": entities.to_numpy(dtype=object), "start": micros(start), "end": micros(end)})
        rows = rows[(frame["status"].isin(JUDGED) & end.notna()).to_numpy(dtype=bool)]
        groups = rows.groupby("entity", sort=False)
        chosen = {*groups["end"].idxmin(), *groups["start"].idxmax()}
        kept[table] = ([at in chosen for at in range(len(frame))], COLUMNS[table])
    return history.thinned(**kept)
