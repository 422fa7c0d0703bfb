"""The nightly report: one HTML file that needs no network and can be forwarded."""

import html
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flows.nightly import plots
from flows.nightly.night import Night
from flows.nightly.stages import Result
from flows.nightly.work import NightlyError
from operators.mining import words
from operators.mining.features import Feature
from operators.mining.quality import Quality
from operators.mining.results import Mined
from operators.mining.telling import Told, told
from operators.words import number

MOST_FINDINGS = 60
"""Findings with a line of their own; the database has all of them."""

MOST_ROWS = 40
"""Rows of the other tables."""

_STYLE = """
:root { color-scheme: light dark; --line: #8883; --soft: #8881; --muted: #777; --accent: #1f5f8b; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; margin: 2rem auto; max-width: 72rem;
  padding: 0 1.2rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.4rem 0 .6rem; }
.sub { color: var(--muted); margin: .2rem 0 1.2rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .7rem; }
.tile { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem; }
.tile b { display: block; font-size: 1.35rem; line-height: 1.3; } .tile span { color: var(--muted); font-size: .85rem; }
.warn { border-left: 4px solid #d9622b; background: var(--soft); padding: .5rem .9rem; margin: 1rem 0; }
.figure { background: #fff; border: 1px solid var(--line); border-radius: .5rem; padding: .5rem; margin: .4rem 0 1rem; }
.figure svg { width: 100%; height: auto; display: block; }
ol.found { list-style: none; padding: 0; margin: 0; }
ol.found li { border-top: 1px solid var(--line); padding: .65rem 0; display: grid; grid-template-columns: 3rem 1fr;
  gap: .2rem .9rem; }
ol.found .rank { color: var(--muted); text-align: right; font-variant-numeric: tabular-nums; }
ol.found p { margin: 0; } ol.found .about { color: var(--muted); font-size: .85rem; }
.chip { border: 1px solid var(--line); border-radius: 1rem; padding: 0 .5rem; margin-right: .35rem; font-size: .78rem;
  white-space: nowrap; }
.chip.confirmed { border-color: #2b7a4b; color: #2b7a4b; } .chip.pending { border-color: #b07a00; color: #b07a00; }
details { margin-top: .25rem; font-size: .85rem; } summary { cursor: pointer; color: var(--accent); }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--soft); padding: .6rem .8rem;
  border-radius: .4rem; font-size: .8rem; margin: .3rem 0 0; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; } th { font-weight: 600; }
th, td { text-align: left; padding: .28rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.scroll { overflow-x: auto; } footer { color: var(--muted); font-size: .82rem; margin: 2.5rem 0 1rem; }
@media print { details { display: none; } }
"""

_EFFECTS = {"rate_ratio": "as often", "lift": "as often as by chance", "ratio_of_medians": "of the median",
            "ratio_of_levels": "of the level before", "likeness_ratio": "as alike"}  # fmt: skip


def write(path: Path, night: Night, result: Result, daily: Any, seconds: float) -> None:
    """Write the report, whole or not at all; `daily` are the series by day. Without matplotlib it has no pictures, and
    says so.

    :raises NightlyError: when the file can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(page(night, result, daily, seconds), encoding="utf-8")
        fresh.replace(path)
    except OSError as problem:
        raise NightlyError(f"{path}: {problem.strerror}") from None


def page(night: Night, result: Result, daily: Any, seconds: float) -> str:
    """The report as HTML."""
    title = f"Hindsight: the night after {night.label}"
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_e(title)}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head><body><h1>{_e(title)}</h1>",
        _about(night, seconds),
        _tiles(result),
        _warnings(result),
        "<h2>Findings</h2>",
        _findings(result.found),
        _pictures(result, daily),
        _rules(result),
        _quality(result.quality),
        _features(result.featured.features),
        _footer(night),
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _about(night: Night, seconds: float) -> str:
    return (
        f'<p class="sub">What keeps happening, {words.day(int(night.since.timestamp() * 1e6))} to {night.label} (UTC).'
        f" Engine: {night.engine}. Worked through in {words.duration(seconds)}.</p>"
    )


def _footer(night: Night) -> str:
    return (
        "<footer>Numbers are counts of the rows that were read; each finding names the SQL that counts them again."
        " Confirmed: also found in the last three tenths of the history, which it was not found in. Findings against"
        f" chance keep a false discovery rate of {night.config.false_discovery_rate:.0%} for each kind of search."
        " An association is no cause.</footer></body></html>"
    )


def _e(text: object) -> str:
    return html.escape(str(text))


def _tiles(result: Result) -> str:
    rows = Counter[str]()
    for one in result.loaded:
        if one.skipped is None:
            rows[one.piece.table] += one.rows
    stored = result.stored
    tiles = [
        (f"{rows['runs']:,}", "runs"), (f"{rows['steps']:,}", "steps"),
        (f"{rows['task_executions']:,}", "executions of tasks"),
        (f"{rows['integration_events']:,}", "integration events"),
        (f"{len(result.found):,}", f"findings, {stored.new} of them new"), (f"{stored.retired}", "retired tonight"),
        (f"{len(result.rules)}", "rules for the stream"),
    ]  # fmt: skip
    return '<div class="tiles">' + "".join(
        f'<div class="tile"><b>{_e(value)}</b><span>{_e(name)}</span></div>' for value, name in tiles if value != "0"
        or "run" in name or "finding" in name
    ) + "</div>"  # fmt: skip


def _warnings(result: Result) -> str:
    said = [f"{one.piece.name} was left out: {one.skipped}" for one in result.loaded if one.skipped]
    said += [f"the miner {name} was left out: {why}" for name, why in sorted(result.failed.items())]
    if not plots.available():
        said.append("no pictures: they need matplotlib (pip install 'hindsight[report]')")
    return "".join(f'<p class="warn">{_e(one)}</p>' for one in said)


def _findings(found: Sequence[Mined]) -> str:
    if not found:
        return "<p>Nothing that holds: no pattern passed the checks. That is an answer, too.</p>"
    groups = told(found)
    items = "".join(_item(rank, group) for rank, group in enumerate(groups[:MOST_FINDINGS], 1))
    more = f"<p>… and {len(groups) - MOST_FINDINGS} more, in the view nightly_findings.</p>"
    return f'<ol class="found">{items}</ol>' + (more if len(groups) > MOST_FINDINGS else "")


def _item(rank: int, group: Told) -> str:
    one = group.one
    finding = one.finding
    numbers = [f"{finding.support:,} of {finding.total:,}"]
    if finding.effect_name in _EFFECTS:
        size = words.times(finding.effect) if finding.effect >= 1 else words.share(finding.effect, 1.0)
        numbers.append(f"{size} {_EFFECTS[finding.effect_name]}")
    numbers.append("a count, no claim" if finding.q_value is None else f"q {finding.q_value:.2g}")
    check = f"<details><summary>SQL</summary><pre>{_e(finding.sql)}</pre></details>" if finding.sql else ""
    why = f" {_e(one.reason)}." if one.reason else ""
    said = _e(group.sentence)
    return (
        f'<li><span class="rank" title="score {one.score:.2f}">{rank}</span><div><p>{said}</p>'
        f'<p class="about"><span class="chip {one.status}">{one.status}</span>'
        f'<span class="chip">{_e(finding.kind.replace("_", " "))}</span>'
        f'<span class="chip">{_e(finding.pattern_class.value.replace("_", " "))}</span>'
        f"{_e(' · '.join(numbers))}.{why}</p>"
        f"{check}</div></li>"
    )


def _pictures(result: Result, daily: Any) -> str:
    if not plots.available():
        return ""
    drawn: list[tuple[str, str | None]] = [
        ("Runs by week", plots.weeks(result.featured.calendar)),
        ("When runs fail", plots.clock(result.featured.calendar)),
        *plots.changes(result.found, daily),
    ]
    shown = "".join(
        f'<h3 style="font-size:.95rem;margin:1rem 0 .3rem">{_e(name)}</h3><div class="figure">{picture}</div>'
        for name, picture in drawn
        if picture
    )
    return f"<h2>Pictures</h2>{shown}" if shown else ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]], numeric: frozenset[int]) -> str:
    def cell(tag: str, at: int, value: Any) -> str:
        return f"<{tag}{' class=n' if at in numeric else ''}>{_e(value)}</{tag}>"

    head = "".join(cell("th", at, name) for at, name in enumerate(heads))
    body = "".join(
        "<tr>" + "".join(cell("td", at, value) for at, value in enumerate(row)) + "</tr>" for row in rows[:MOST_ROWS]
    )
    more = f"<p>… and {len(rows) - MOST_ROWS} more.</p>" if len(rows) > MOST_ROWS else ""
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{more}'


def _rules(result: Result) -> str:
    if not result.rules:
        return ""
    rows = [
        (" → ".join(rule.items), rule.then, f"{rule.hits} of {rule.matches}", f"{rule.precision:.0%}",
         f"{rule.low:.0%}", words.times(rule.lift), words.duration(rule.lead_us / 1e6))
        for rule in result.rules
    ]  # fmt: skip
    heads = ("when", "then", "came true", "precision", "at least", "against any time", "lead")
    return (
        "<h2>Rules for the stream</h2><p>Measured on time they were not mined from. Written to"
        f" <code>{_e(result.rules_path)}</code>.</p>{_table(heads, rows, frozenset({2, 3, 4, 5, 6}))}"
    )


def _quality(quality: Sequence[Quality]) -> str:
    bad = [one for one in quality if one.status != "good"]
    picture = plots.strips(quality) if plots.available() else None
    shown = f'<div class="figure">{picture}</div>' if picture else ""
    intro = f"<h2>The data</h2><p>{len(quality)} sources, {len(bad)} with something to look at.</p>{shown}"
    order = {"bad": 0, "notice": 1, "good": 2}
    events = {id(one) for one in plots.events_of(quality)}
    quality = [one for one in quality if one.table not in ("daily", "hourly") or id(one) in events]
    rows = [
        (one.table, one.source, f"{one.partial.n:,}", f"{one.coverage:.0%}", one.longest_gap_days,
         number(round(one.stale_days, 1)), one.status, "; ".join(one.problems))
        for one in sorted(quality, key=lambda one: (order[one.status], -one.partial.n, one.source))
    ]  # fmt: skip
    heads = ("table", "source", "rows", "days with rows", "longest gap, days", "silent for, days", "", "what is wrong")
    return intro + _table(heads, rows, frozenset({2, 3, 4, 5}))


def _features(features: Sequence[Feature]) -> str:
    chosen = sorted(
        (one for one in features if one.selected and one.importance), key=lambda one: -(one.importance or 0)
    )
    if not chosen:
        return ""
    rows = [
        (one.of, one.name, number(one.importance or 0.0), "" if one.correlation is None else f"{one.correlation:+.2f}",
         one.logic)
        for one in chosen
    ]  # fmt: skip
    heads = ("of", "feature", "importance", "correlation", "what it is")
    return (
        f"<h2>Features that tell something</h2><p>{len(chosen)} of {len(features)}. Of runs, steps, tasks,"
        " integrations and changes of code: of failing, as |2 AUC - 1|; of series: of the week after, as Kendall's tau;"
        " of an axis of series: its share of the variance.</p>" + _table(heads, rows, frozenset({2, 3}))
    )
