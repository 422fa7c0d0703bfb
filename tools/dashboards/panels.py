"""Panels in the house's looks. Each function gives a panel with title, description, unit, size and thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from grafana_foundation_sdk.builders import bargauge, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.builders.dashboard import FieldColor, ThresholdsConfig
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model

from tools.dashboards.queries import Ask

Panel = Builder[model.Panel]
"""Any panel."""

P = TypeVar("P", stat.Panel, timeseries.Panel, table.Panel, bargauge.Panel, statetimeline.Panel)

Steps = Sequence[tuple[float | None, str]]
"""Thresholds: from each value on, its colour. The first has no value."""

PLAIN: Steps = ((None, "text"),)
"""A number that is neither good nor bad."""
NONE_IS_GOOD: Steps = ((None, "green"), (1, "red"))
"""Any at all is bad."""
FEW_IS_GOOD: Steps = ((None, "green"), (1, "orange"))
"""Any at all deserves a look."""
SHARE_FAILED: Steps = ((None, "green"), (0.05, "yellow"), (0.2, "red"))
"""Share of failures: 5 % is the rule high_error_rate, a fifth is plainly broken."""
PERCENT_FULL: Steps = ((None, "green"), (80, "yellow"), (90, "red"))
"""Usage in percent: 80 is the rule high_cpu_usage."""

SEVERITY = {
    "critical": "dark-red",
    "high": "red",
    "medium": "orange",
    "low": "yellow",
    "info": "blue",
}
"""A colour for each severity, the same everywhere."""
STATUS = {
    "success": "green",
    "failure": "red",
    "error": "dark-red",
    "timeout": "purple",
    "running": "blue",
    "cancelled": "gray",
    "skipped": "light-gray",
    "partial": "orange",
}
"""A colour for each status word, the same everywhere."""
VERDICT = {"true_positive": "red", "false_positive": "gray", "expected": "blue"}
"""A colour for each verdict of a person."""


def mapping(colours: Mapping[str, str]) -> list[model.ValueMapping]:
    """Colours of words."""
    return [
        model.ValueMap(
            {
                word: model.ValueMappingResult(color=colour, index=at)
                for at, (word, colour) in enumerate(colours.items())
            }
        )
    ]


def _framed(panel: P, title: str, text: str, unit: str, asks: Sequence[Ask], size: tuple[int, int]) -> P:
    sources = {ask.source.uid: ask.source for ask in asks}
    mixed = model.DataSourceRef(type_val="datasource", uid="-- Mixed --")
    panel.title(title).description(text).unit(unit).span(size[0]).height(size[1])
    panel.datasource(mixed if len(sources) > 1 else asks[0].source)
    for ask in asks:
        panel.with_target(ask)
    return panel


def _thresholds(steps: Steps) -> ThresholdsConfig:
    return ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps([model.Threshold(*step) for step in steps])


def _link(title: str, url: str) -> dict[str, object]:
    return {"title": title, "url": url}


def to(uid: str, variable: str = "", value: str = "${__value.raw:percentencode}") -> str:
    """The address of another dashboard, with the same range of time and perhaps a variable's value.

    >>> to("hindsight-code")
    '/d/hindsight-code?${__url_time_range}'
    """
    more = f"&var-{variable}={value}" if variable else ""
    return f"/d/{uid}?${{__url_time_range}}{more}"


def number(
    title: str,
    text: str,
    unit: str,
    *asks: Ask,
    steps: Steps = PLAIN,
    link: str = "",
    width: int = 4,
    empty: str = "–",
    decimals: int | None = None,
) -> stat.Panel:
    """One number that is read at a glance, coloured by its thresholds; `link` is where a click leads."""
    panel = _framed(stat.Panel(), title, text, unit, asks, (width, 4))
    panel.thresholds(_thresholds(steps)).graph_mode(common.BigValueGraphMode.NONE)
    panel.color_mode(common.BigValueColorMode.NONE if steps == PLAIN else common.BigValueColorMode.BACKGROUND)
    panel.reduce_options(ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
    panel.no_value(empty)
    if decimals is not None:
        panel.decimals(decimals)
    if link:
        panel.override_by_regexp(".*", [model.DynamicConfigValue("links", [_link("Look closer", link)])])
    return panel


def severities(title: str, text: str, ask: Ask, *, width: int = 8, link: str = "") -> stat.Panel:
    """Counts by severity, one column of the answer each; none at all is green."""
    panel = _framed(stat.Panel(), title, text, "none", [ask], (width, 4))
    panel.thresholds(_thresholds(NONE_IS_GOOD)).graph_mode(common.BigValueGraphMode.NONE)
    panel.color_mode(common.BigValueColorMode.BACKGROUND).text_mode(common.BigValueTextMode.VALUE_AND_NAME)
    panel.reduce_options(ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False)).no_value("0")
    for severity, colour in SEVERITY.items():
        steps = {"mode": "absolute", "steps": [{"value": None, "color": "green"}, {"value": 1, "color": colour}]}
        properties = [model.DynamicConfigValue("thresholds", steps)]
        if link:
            url = link.replace("$severity", severity)
            properties.append(model.DynamicConfigValue("links", [_link("Look closer", url)]))
        panel.override_by_name(severity, properties)
    return panel


def lines(
    title: str,
    text: str,
    unit: str,
    *asks: Ask,
    width: int = 12,
    height: int = 8,
    steps: Steps = (),
    low: float | None = 0,
    high: float | None = None,
    interval: str = "",
    colours: Mapping[str, str] | None = None,
) -> timeseries.Panel:
    """Values over time. `steps` are drawn as lines; `interval` is the least that ``$__interval`` may be."""
    panel = _framed(timeseries.Panel(), title, text, unit, asks, (width, height))
    panel.draw_style(common.GraphDrawStyle.LINE).line_width(1).fill_opacity(8).show_points(common.VisibilityMode.AUTO)
    panel.tooltip(VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
    legend = VizLegendOptions().display_mode(common.LegendDisplayMode.LIST).placement(common.LegendPlacement.BOTTOM)
    panel.legend(legend.show_legend(True).calcs([]))
    panel.color_scheme(FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
    if steps:
        panel.thresholds(_thresholds(steps))
        panel.thresholds_style(GraphThresholdsStyleConfig().mode(common.GraphTresholdsStyleMode.DASHED))
    if low is not None:
        panel.min(low)
    if high is not None:
        panel.max(high)
    if interval:
        panel.interval(interval)
    for name, colour in (colours or {}).items():
        panel.override_by_name(name, [model.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})])
    return panel


def bars(
    title: str,
    text: str,
    unit: str,
    *asks: Ask,
    width: int = 12,
    height: int = 8,
    interval: str = "1m",
    colours: Mapping[str, str] | None = None,
) -> timeseries.Panel:
    """Counts over time, stacked: what each bucket holds, and of which kind."""
    panel = lines(title, text, unit, *asks, width=width, height=height, interval=interval, colours=colours)
    panel.draw_style(common.GraphDrawStyle.BARS).fill_opacity(70).show_points(common.VisibilityMode.NEVER)
    return panel.stacking(StackingConfig().mode(common.StackingMode.NORMAL).group("A"))


def ranks(
    title: str,
    text: str,
    unit: str,
    ask: Ask,
    *,
    steps: Steps = PLAIN,
    width: int = 8,
    height: int = 8,
    high: float | None = None,
) -> bargauge.Panel:
    """A bar for each row of a table with a name and a number, in the order of the rows."""
    panel = _framed(bargauge.Panel(), title, text, unit, [ask], (width, height))
    panel.thresholds(_thresholds(steps)).orientation(common.VizOrientation.HORIZONTAL).min(0)
    panel.display_mode(common.BarGaugeDisplayMode.GRADIENT).show_unfilled(True)
    panel.reduce_options(ReduceDataOptions().values(True).calcs([]).fields("").limit(25)).no_value("–")
    return panel if high is None else panel.max(high)


def states(title: str, text: str, *asks: Ask, width: int = 24, height: int = 8) -> statetimeline.Panel:
    """The status of several things over time, a row each, in the colours of the status words."""
    panel = _framed(statetimeline.Panel(), title, text, "string", asks, (width, height))
    panel.mappings(mapping(STATUS)).show_value(common.VisibilityMode.NEVER).merge_values(False)
    panel.row_height(0.85).line_width(0).fill_opacity(75)
    legend = VizLegendOptions().display_mode(common.LegendDisplayMode.LIST).placement(common.LegendPlacement.BOTTOM)
    return panel.legend(legend.show_legend(True).calcs([]))


class Column:
    """How a column of a table is shown: its unit, colours of its words, a colour scale, a link or a width."""

    def __init__(
        self,
        name: str,
        unit: str = "",
        *,
        words: Mapping[str, str] | None = None,
        steps: Steps = (),
        link: str = "",
        width: int = 0,
        decimals: int | None = None,
    ) -> None:
        self.name = name
        self.properties: list[model.DynamicConfigValue] = []
        if unit:
            self._set("unit", unit)
        if decimals is not None:
            self._set("decimals", decimals)
        if words:
            self._set("mappings", mapping(words))
            self._set("custom.cellOptions", {"type": "color-text"})
        if steps:
            self._set("thresholds", {"mode": "absolute", "steps": [{"value": v, "color": c} for v, c in steps]})
            self._set("custom.cellOptions", {"type": "color-text"})
        if link:
            self._set("links", [_link("Look closer", link)])
        if width:
            self._set("custom.width", width)

    def _set(self, name: str, value: object) -> None:
        self.properties.append(model.DynamicConfigValue(name, value))


def rows(
    title: str,
    text: str,
    ask: Ask,
    *columns: Column,
    unit: str = "none",
    width: int = 24,
    height: int = 8,
    empty: str = "None",
) -> table.Panel:
    """A table; columns that need more than `unit` are named."""
    panel = _framed(table.Panel(), title, text, unit, [ask], (width, height))
    panel.cell_height(common.TableCellHeight.SM).no_value(empty)
    for column in columns:
        panel.override_by_name(column.name, column.properties)
    return panel


WHEN = "dateTimeAsIso"
"""The unit of points in time."""
SEVERITY_COLUMN = Column("severity", words=SEVERITY, width=90)
ENTITY_COLUMN = Column("entity", link=to("hindsight-patterns", "entity"))
