"""The nightly report: one HTML file that needs no network and can be forwarded."""

import html
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from flows.nightly import plots
from flows.nightly.night import Night
from flows.nightly.outcome import Result
from flows.nightly.style import STYLE
from flows.nightly.summary import rows_read
from flows.nightly.troubles import called, troubles
from flows.nightly.work import NightlyError
from operators.mining import words
from operators.mining.baselines import FEWEST_NOW, Analytics, Baseline
from operators.mining.features import Feature
from operators.mining.finding import Finding
from operators.mining.quality import Quality
from operators.mining.results import Mined
from operators.mining.telling import Told, told
from operators.words import number
from sources.nights import Changed, Faded

MOST_FINDINGS = 60
"""Findings with a line of their own; the database has all of them."""

MOST_ROWS = 40
"""Rows of the other tables."""

MOST_TEXTS = 6
"""Error texts of one kind that are shown, and other kinds of its family."""

MOST_DEPARTURES = 15
"""Components whose last week or month is shown against what is usual."""

LEAST_CHANGE = 10.0
"""Percent from which such a change is shown."""

_EFFECTS = {"rate_ratio": "as often", "lift": "as often as by chance", "ratio_of_medians": "of the median",
            "ratio_of_levels": "of the level before", "likeness_ratio": "as alike"}  # fmt: skip
_WINDOWS = {"daily": "day", "weekly": "week", "monthly": "30 days"}
_METRICS = {"error_rate": "share failed", "response_time": "median duration"}


def write(path: Path, night: Night, result: Result, daily: Any, seconds: float, changed: Changed | None = None) -> None:
    """Write the report, whole or not at all; `daily` are the series by day. Without matplotlib it has no pictures, and
    says so. `changed`: what is known of the nights before.

    :raises NightlyError: when the file can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(page(night, result, daily, seconds, changed), encoding="utf-8")
        fresh.replace(path)
    except OSError as problem:
        raise NightlyError(f"{path}: {problem.strerror}") from None


def page(night: Night, result: Result, daily: Any, seconds: float, changed: Changed | None = None) -> str:
    """The report as HTML."""
    title = f"Hindsight: the night after {_last_day(night)}"
    groups = told(result.found)[:MOST_FINDINGS]
    ranks = {one.finding.sentence: rank for rank, (one, _) in enumerate(groups, 1)}
    pictures = _pictures(result, daily)
    drawn = {ranks[name]: at for at, (name, _) in enumerate(pictures, 1) if name in ranks}
    sections = [
        ("findings", "Findings", _findings(result.found, changed, drawn)),
        ("faded", "Not found again", _faded(changed)),
        ("pictures", "Pictures", _shown(pictures, ranks)),
        ("rules", "Rules for the stream", _rules(result)),
        ("baselines", "What is usual", _baselines(result.featured.baselines, result.featured.analytics)),
        ("data", "The data", _quality(result.quality)),
        ("features", "Features that tell something", _features(result.featured.features)),
    ]
    sections = [one for one in sections if one[2]]
    contents = "".join(f'<li><a href="#{at}">{_e(name)}</a></li>' for at, name, _ in sections)
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_e(title)}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{STYLE}</style></head><body><main><h1>{_e(title)}</h1>",
        _about(night, seconds, changed),
        _tiles(result, changed),
        f'<nav aria-label="On this page"><ul>{contents}</ul></nav>',
        _warnings(result),
        *(f'<section id="{at}"><h2>{_e(name)}</h2>{text}</section>' for at, name, text in sections),
        _footer(night),
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _last_day(night: Night) -> str:
    return words.day(int(night.until.timestamp() * 1e6) - 1)


def _day(time: datetime) -> str:
    return words.day(int(time.timestamp() * 1e6))


def _about(night: Night, seconds: float, changed: Changed | None) -> str:
    took = f"Worked through in {words.duration(seconds)}."
    if changed is not None and changed.seconds > 1.2 * seconds:
        took = f"Worked through in {words.duration(changed.seconds)}, of which this run did {words.duration(seconds)}."
    return (
        f'<p class="sub">What keeps happening, {_day(night.since)} to {_last_day(night)} (UTC).'
        f" Engine: {night.engine}. {took}</p>"
    )


def _footer(night: Night) -> str:
    return (
        "</main><footer>Numbers are counts of the rows that were read; each finding names the SQL that counts them"
        " again. Confirmed: also found in the last three tenths of the history, which it was not found in. Findings"
        f" against chance keep a false discovery rate of {night.config.false_discovery_rate:.0%} for each kind of"
        " search. An association is no cause.</footer></body></html>"
    )


def _e(text: object) -> str:
    return html.escape(str(text))


def _tiles(result: Result, changed: Changed | None) -> str:
    rows = rows_read(result)
    new = result.stored.new if changed is None else len(changed.first & {one.id for one in result.found})
    retired = result.stored.retired if changed is None else len(changed.retired)
    tiles = [
        (f"{rows['runs']:,}", "runs"), (f"{rows['steps']:,}", "steps"),
        (f"{rows['task_executions']:,}", "executions of tasks"),
        (f"{rows['integration_events']:,}", "integration events"),
        (f"{len(result.found):,}", f"findings, {new} of them new"), (f"{retired}", "retired tonight"),
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


def _findings(found: Sequence[Mined], changed: Changed | None, drawn: Mapping[int, int]) -> str:
    if not found:
        return "<p>Nothing that holds: no pattern passed the checks. That is an answer, too.</p>"
    groups = told(found)
    items = "".join(
        _item(rank, group, _known(group.one, changed), drawn.get(rank))
        for rank, group in enumerate(groups[:MOST_FINDINGS], 1)
    )
    more = f"<p>… and {len(groups) - MOST_FINDINGS} more, in the view nightly_findings.</p>"
    return f'<ol class="found">{items}</ol>' + (more if len(groups) > MOST_FINDINGS else "")


def _known(one: Mined, changed: Changed | None) -> str:
    """Whether it is new or was found before."""
    if changed is None:
        return ""
    since = changed.since.get(one.id)
    if since is not None:
        return f'<span class="chip">again, since {words.day(int(since.timestamp() * 1e6) - 1)}</span>'
    if one.id in changed.first:
        return '<span class="chip new">new</span>'
    return '<span class="chip">a later night found it first</span>'


def _item(rank: int, group: Told, known: str, picture: int | None) -> str:
    one = group.one
    finding = one.finding
    numbers = [f"{finding.support:,} of {finding.total:,}"]
    if finding.effect_name in _EFFECTS:
        size = words.times(finding.effect) if finding.effect >= 1 else words.share(finding.effect, 1.0)
        numbers.append(f"{size} {_EFFECTS[finding.effect_name]}")
    numbers.append("a count, no claim" if finding.q_value is None else f"q {finding.q_value:.2g}")
    check = f"<details><summary>SQL</summary><pre>{_e(finding.sql)}</pre></details>" if finding.sql else ""
    why = f" {_e(one.reason[0].upper() + one.reason[1:])}." if one.reason else ""
    said = _e(group.sentence)
    link = f' <a href="#picture-{picture}">picture</a>' if picture else ""
    return (
        f'<li id="finding-{rank}"><span class="rank" title="score {one.score:.2f}">{rank}</span><div><p>{said}</p>'
        f'<p class="about"><span class="chip {one.status}">{one.status}</span>{known}'
        f'<span class="chip">{_e(finding.kind.replace("_", " "))}</span>'
        f'<span class="chip">{_e(finding.pattern_class.value.replace("_", " "))}</span>'
        f"{_e(' · '.join(numbers))}.{why}{link}</p>"
        f"{_texts(finding)}{check}</div></li>"
    )


def _texts(finding: Finding) -> str:
    """What failures of one kind say, and which other kinds are of the same family."""
    texts = finding.evidence.get("texts")
    if not texts:
        return ""
    items = "".join(f"<li><code>{_e(text)}</code></li>" for text in texts[:MOST_TEXTS])
    more = finding.evidence["different_texts"] - len(texts[:MOST_TEXTS])
    said = [f"… and {more} more."] if more > 0 else []
    if finding.evidence["near_to_none"]:
        said.append(f"{words.share(finding.evidence['near_to_none'], 1.0)} of the texts are near to no others.")
    if kin := finding.evidence["family"]:
        said.append(f"Of one family with: {'; '.join(words.listed(terms, 4) for terms in kin[:MOST_TEXTS])}.")
    return f"<details><summary>Texts</summary><ul>{items}</ul><p>{_e(' '.join(said))}</p></details>"


def _faded(changed: Changed | None) -> str:
    if changed is None or not (changed.weakened or changed.retired):
        return ""
    out = ""
    for name, rows in (("Retired", changed.retired), ("Weakened", changed.weakened)):
        if rows:
            items = "".join(f"<li>{_e(one.sentence)} <span>{_e(_left(one))}</span></li>" for one in rows[:MOST_ROWS])
            more = f"<p>… and {len(rows) - MOST_ROWS} more.</p>" if len(rows) > MOST_ROWS else ""
            out += f'<h3>{name}</h3><ul class="faded">{items}</ul>{more}'
    return out


def _left(one: Faded) -> str:
    nights = f"{one.nights_missed} night{'s' * (one.nights_missed > 1)} without it"
    return f"({nights}; last seen on {_day(one.last_seen)}; {one.confidence:.0%} sure)".replace("%", " %")


def _pictures(result: Result, daily: Any) -> list[tuple[str, str]]:
    if not plots.available():
        return []
    drawn: list[tuple[str, str | None]] = [
        ("Runs by week", plots.weeks(result.featured.calendar)),
        ("When runs fail", plots.clock(result.featured.calendar)),
        *plots.changes(result.found, daily),
    ]
    return [(name, picture) for name, picture in drawn if picture]


def _figure(name: str, picture: str) -> str:
    named = re.sub(r"<svg ", f'<svg aria-label="{_e(name)}" ', picture, count=1)
    return f'<div class="figure" tabindex="0" role="group" aria-label="{_e(name)}">{named}</div>'


def _shown(pictures: Sequence[tuple[str, str]], ranks: Mapping[str, int]) -> str:
    out = ""
    for at, (name, picture) in enumerate(pictures, 1):
        rank = ranks.get(name)
        head = _e(name) if rank is None else f'<a href="#finding-{rank}">{rank}</a> {_e(name)}'
        out += f'<h3 id="picture-{at}">{head}</h3>{_figure(name, picture)}'
    return out


def _table(name: str, heads: Sequence[str], rows: Sequence[Sequence[Any]], numeric: frozenset[int]) -> str:
    def cell(tag: str, at: int, value: Any) -> str:
        return f"<{tag}{' class=n' if at in numeric else ''}>{_e(value)}</{tag}>"

    head = "".join(cell("th", at, name) for at, name in enumerate(heads))
    body = "".join(
        "<tr>" + "".join(cell("td", at, value) for at, value in enumerate(row)) + "</tr>" for row in rows[:MOST_ROWS]
    )
    more = f"<p>… and {len(rows) - MOST_ROWS} more.</p>" if len(rows) > MOST_ROWS else ""
    inside = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll" tabindex="0" role="group" aria-label="{_e(name)}">{inside}</div>{more}'


def _rules(result: Result) -> str:
    if not result.rules:
        return ""
    rows = [
        (" → ".join(rule.items), rule.then, f"{rule.hits} of {rule.matches}", f"{rule.precision:.0%}",
         f"{rule.low:.0%}", words.times(rule.lift), words.duration(rule.lead_us / 1e6))
        for rule in result.rules
    ]  # fmt: skip
    heads = ("when", "then", "came true", "precision", "at least", "against any time", "lead")
    path = f"<code>{_e(result.rules_path)}</code>"
    where = f"Written to {path}."
    if result.withheld:
        where = f"Not written, those in {path} stay: {_e(result.withheld)}."
    return (
        f"<p>Measured on time they were not mined from. {where}</p>"
        f"{_table('rules', heads, rows, frozenset({2, 3, 4, 5, 6}))}"
    )


def _baselines(baselines: Sequence[Baseline], now: Sequence[Analytics]) -> str:
    if not baselines:
        return ""
    components = len({one.component_name for one in baselines})
    told = (
        f"<p>{len(baselines)} baselines of {components} component{'s' * (components > 1)} (day, week and 30 days"
        " against the windows before), in the table performance_baselines."
    )
    chosen: dict[tuple[str, str], Analytics] = {}
    for one in sorted(now, key=lambda one: -abs(one.performance_delta or 0.0)):
        enough = one.context_metadata["n"] >= FEWEST_NOW and one.context_metadata["baseline"] != "daily"
        if one.metric_type in _METRICS and enough and abs(one.performance_delta or 0.0) >= LEAST_CHANGE:
            chosen.setdefault((one.component_name, one.metric_type), one)
    if not chosen:
        return f"{told} No last week or month is far from its own.</p>"
    rows = [
        (one.component_name, _METRICS[one.metric_type], _WINDOWS[one.context_metadata["baseline"]],
         _value(one, one.baseline_value), _value(one, one.current_value), f"{one.performance_delta or 0.0:+.0f} %",
         f"{one.context_metadata['n']:,}")
        for one in list(chosen.values())[:MOST_DEPARTURES]
    ]  # fmt: skip
    heads = ("of", "what", "the last", "usual", "now", "change", "outcomes")
    return f"{told} Furthest from their own:</p>" + _table("what is usual", heads, rows, frozenset({3, 4, 5, 6}))


def _value(one: Analytics, value: float) -> str:
    return words.share(value, 1.0) if one.metric_type == "error_rate" else words.duration(value)


def _quality(quality: Sequence[Quality]) -> str:
    wrong = troubles(quality)
    about = {(one.table, one.source): one for one in wrong}
    names = len({one.source for one in quality})
    picture = plots.strips(quality) if plots.available() else None
    shown = _figure("Days with rows, by source", picture) if picture else ""
    many = f"{len(wrong)} thing{'s' * (len(wrong) != 1)} to look at"
    intro = f"<p>{names} source{'s' * (names != 1)}, {many}.</p>{shown}"
    order = {"bad": 0, "notice": 1, "good": 2}
    events = {id(one) for one in plots.events_of(quality)}
    listed = [
        one
        for one in quality
        if one.table not in ("daily", "hourly") or id(one) in events or (one.table, one.source) in about
    ]

    def status(one: Quality) -> str:
        trouble = about.get((one.table, one.source))
        return "good" if trouble is None else trouble.status

    def said(one: Quality) -> str:
        trouble = about.get((one.table, one.source))
        if trouble is None:
            return "as said of its source" if one.problems else ""
        return "; ".join(trouble.problems) + (f" (the same in its {', '.join(trouble.also)})" if trouble.also else "")

    rows = [
        (called(one.table), one.source, f"{one.partial.n:,}", f"{one.coverage:.0%}", one.longest_gap_days,
         number(round(one.stale_days, 1)), status(one), said(one))
        for one in sorted(listed, key=lambda one: (order[status(one)], -one.partial.n, one.source))
    ]  # fmt: skip
    heads = ("table", "source", "rows", "days with rows", "longest gap, days", "silent for, days", "state",
             "what is wrong")  # fmt: skip
    return intro + _table("the data", heads, rows, frozenset({2, 3, 4, 5}))


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
        f"<p>{len(chosen)} of {len(features)}. Of runs, steps, tasks,"
        " integrations and changes of code: of failing, as |2 AUC - 1|; of series: of the week after, as Kendall's tau;"
        " of an axis of series: its share of the variance.</p>" + _table("features", heads, rows, frozenset({2, 3}))
    )
