"""A dashboard: rows of panels with ids, variables, links to the others, annotations."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.builders.dashboard import CustomVariable, Dashboard, DashboardLink, QueryVariable, Row
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as model

from tools.dashboards.panels import Panel
from tools.dashboards.queries import POSTGRES, PROMETHEUS, Annotated

TAG = "hindsight"
"""The tag by which the dashboards find each other."""

LEVEL = """
SELECT CASE
    WHEN ${__to} - ${__from} <= 3 * 3600000 AND ${__from} / 1000 > extract(epoch FROM now() - interval '13 d')
        THEN '10s'
    WHEN ${__to} - ${__from} <= 24 * 3600000 AND ${__from} / 1000 > extract(epoch FROM now() - interval '89 d')
        THEN '1m'
    WHEN ${__to} - ${__from} <= 7 * 24 * 3600000 THEN '5m'
    WHEN ${__to} - ${__from} <= 60::bigint * 24 * 3600000 THEN '1h'
    ELSE '1d'
END
"""
"""Which of the views series_10s to series_1d fits a range: some 2,000 points a series at most, and still kept."""

ALL = model.VariableOption(selected=True, text="All", value="$__all")


def board(uid: str, title: str, text: str, *, range_from: str = "now-24h", refresh: str = "1m") -> Dashboard:
    """An empty dashboard with links to the others. its time begins at `range_from` unless somebody says otherwise."""
    made = Dashboard(title).uid(uid).description(text).tags([TAG]).refresh(refresh).time(range_from, "now")
    made.timezone("browser").tooltip(model.DashboardCursorSync.CROSSHAIR).readonly().version(1)
    others = DashboardLink("Hindsight").type(model.DashboardLinkType.DASHBOARDS).tags([TAG]).as_dropdown(True)
    return made.link(others.keep_time(True).include_vars(False).icon("external link").tooltip("The other dashboards"))


def choice(name: str, label: str, text: str, query: str, all_is: str = "") -> QueryVariable:
    """A variable to choose several values of, from SQL, at first all of them.

    Statements say ``column IN (${name:sqlstring})``. For all, Grafana puts `all_is` there unquoted: the column itself,
    so that the condition holds whatever there is, and the statement stays short.
    """
    made = QueryVariable(name).label(label).description(text).datasource(POSTGRES).query(query.strip())
    made.multi(True).include_all(True).all_value(all_is or name).current(ALL)
    return made.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.ALPHABETICAL_ASC)


def one_of(name: str, label: str, text: str, query: str) -> QueryVariable:
    """A variable to choose one value of, from SQL, at first the first."""
    made = QueryVariable(name).label(label).description(text).datasource(POSTGRES).query(query.strip())
    return made.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.DISABLED)


def level() -> QueryVariable:
    """The variable ``level``: which of the views of series fits the range of time."""
    return one_of("level", "Resolution", "Length of the buckets; follows from the range of time.", LEVEL)


def labels(name: str, label: str, text: str, metric: str) -> QueryVariable:
    """A variable to choose several values of a Prometheus label from; expressions say ``label=~"$name"``."""
    query: dict[str, object] = {"query": f"label_values({metric}, {name})", "refId": "Values"}
    made = QueryVariable(name).label(label).description(text).datasource(PROMETHEUS).query(query)
    made.multi(True).include_all(True).all_value(".*").current(ALL)
    return made.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.ALPHABETICAL_ASC)


def words(name: str, label: str, text: str, values: Sequence[str], all_is: str) -> CustomVariable:
    """A variable to choose several of some fixed words of, at first all; `all_is` as for :func:`choice`."""
    options = [model.VariableOption(selected=False, text=value, value=value) for value in values]
    made = CustomVariable(name).label(label).description(text).values(",".join(values)).multi(True)
    return made.include_all(True).all_value(all_is).current(ALL).options([ALL, *options])


def finish(
    made: Dashboard,
    variables: Sequence[Builder[model.VariableModel]],
    annotations: Sequence[Annotated],
    sections: Sequence[tuple[str, Sequence[Panel]]],
) -> model.Dashboard:
    """Put it together: variables, annotations, and sections of a title and panels; panels get their ids."""
    for variable in variables:
        made.with_variable(variable)
    for annotation in annotations:
        made.annotation(annotation)
    number = 0
    for title, panels in sections:
        number += 1
        made.with_row(Row(title).id(number))
        for panel in panels:
            number += 1
            panel.build().id_val = number
            made.with_panel(panel)
    return made.build()
