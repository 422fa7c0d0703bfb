"""What each detector's patterns are called, and what their evidence says: two functions a detector.

A name is given as two parts, of which the first is cut when the whole is too long. Words that are true of every pattern
(when, how often) are added by `operators.wording`.
"""

from collections.abc import Callable, Mapping

from operators.episodes import Episode, Subject
from operators.words import length, moment, number, share


def _unit(episode: Episode) -> str:
    unit = episode.evidence.get("unit", "")
    return f" {unit}" if unit else ""


def _usual(episode: Episode) -> str:
    return f"{number(episode.low)}–{number(episode.high)}"


def _series(subject: Subject) -> str:
    return f"{subject.measure} of {subject.entity}"


def _spike_name(episode: Episode, subject: Subject) -> tuple[str, str]:
    verb = "spiked to" if episode.direction == "up" else "dropped to"
    return _series(subject), f" {verb} {number(episode.peak_value)} (usual {_usual(episode)})"


def _spike(episode: Episode, subject: Subject) -> str:
    went = "rose" if episode.direction == "up" else "fell"
    numbers = {part: value for part, value in episode.evidence.items() if isinstance(value, int | float)}
    parts = ", ".join(f"{part} {number(value)}" for part, value in numbers.items())
    return (
        f"{_series(subject)} {went} to {number(episode.peak_value)} where {_usual(episode)} is usual:"
        f" {number(episode.peak_score)} deviations off, {number(episode.threshold)} are needed to speak"
        f"{f' ({parts})' if parts else ''}"
    )


def _threshold_name(episode: Episode, subject: Subject) -> tuple[str, str]:
    if "rate" in episode.evidence:
        rate = share(float(episode.evidence["rate"]))
        return subject.entity, f" fails too often: {rate} of runs (limit {share(episode.high)})"
    unit = _unit(episode)
    return _series(subject), f" above {number(episode.high)}{unit} (peak {number(episode.peak_value)}{unit})"


def _threshold(episode: Episode, subject: Subject) -> str:
    evidence = episode.evidence
    if "rate" in evidence:
        rate, bound = share(float(evidence["rate"])), share(float(evidence["lower_bound"]))
        return (
            f"{evidence['failures']} of the last {evidence['outcomes']} runs of {subject.entity} failed"
            f" ({rate}; with 95 % certainty at least {bound}, the limit of {evidence['rule']} is {share(episode.high)})"
        )
    unit = _unit(episode)
    return (
        f"{_series(subject)} reached {number(episode.peak_value)}{unit}, above the limit of"
        f" {number(episode.high)}{unit} ({evidence.get('rule', 'rule')})"
    )


def _burst_name(episode: Episode, subject: Subject) -> tuple[str, str]:
    evidence = episode.evidence
    counts = f"{evidence['failures']} of {evidence['outcomes']} failed"
    return subject.entity, f" fails more than it used to: {counts} (usual {share(episode.expected)})"


def _burst(episode: Episode, subject: Subject) -> str:
    evidence = episode.evidence
    over = float(evidence["over_s"])
    within = f" within {length(over)}" if over else ""
    return (
        f"{evidence['failures']} of {evidence['outcomes']} runs of {subject.entity} failed{within}, where"
        f" {share(float(evidence['usual_rate']))} is usual by the last {number(float(evidence['history']))} outcomes"
    )


def _overdue_name(episode: Episode, subject: Subject) -> tuple[str, str]:
    running = length(float(episode.evidence["running_s"]))
    usual = f"{length(episode.low)} to {length(episode.high)}"
    return subject.entity, f" is overdue: under way for {running} (usual {usual})"


def _overdue(episode: Episode, subject: Subject) -> str:
    evidence = episode.evidence
    others = f", {evidence['overdue']} runs of it are overdue" if int(evidence["overdue"]) > 1 else ""
    return (
        f"run {evidence['run']} of {subject.entity} has been under way for {length(float(evidence['running_s']))},"
        f" where {length(float(evidence['usual_s']))} is usual and 95 % end within"
        f" {length(float(evidence['p95_s']))}{others}"
    )


def _sequence_name(episode: Episode, subject: Subject) -> tuple[str, str]:
    evidence = episode.evidence
    if evidence["then"]:
        return str(evidence["then"]), f" is likely ({share(episode.confidence)}): {evidence['sequence']}"
    return subject.entity, f": {evidence['sequence']}"


def _sequence(episode: Episode, _: Subject) -> str:
    evidence = episode.evidence
    entity = str(evidence["entity"])
    happened = str(evidence["sequence"]).replace("$x", entity or "$x")
    if not evidence["then"]:
        return f"{happened} happened within {length(float(evidence['within_s']))} (rule {evidence['rule']})"
    became = {1: " It came true.", 0: " It did not come true."}.get(int(evidence.get("came_true", -1)), "")
    return (
        f"{happened}: after that {evidence['then']} follows in {share(episode.confidence)} of cases, usually within"
        f" {length(float(evidence['lead_s']))} (rule {evidence['rule']}, seen {evidence['support']} times,"
        f" {number(float(evidence['lift']))} × chance).{became}"
    ).removesuffix(".")


def _prior_name(episode: Episode, subject: Subject) -> tuple[str, str]:
    return _series(subject), f" is new and unlike its like: {number(episode.peak_value)} (theirs {_usual(episode)})"


def _prior(episode: Episode, subject: Subject) -> str:
    return (
        f"{_series(subject)} is new: {number(episode.peak_value)}, where series like it have {_usual(episode)}:"
        f" {number(episode.peak_score)} deviations off, {number(episode.threshold)} are needed to speak"
    )


_NEW = {
    "level": "a jump as it never showed before",
    "trend": "it moved further than it ever did",
    "day hours": "its daily pattern is gone",
    "day quick": "its daily pattern breaks",
    "week": "this weekday is like no other of its kind",
    "day": "never before at this time of day",
}


def _novelty_name(episode: Episode, subject: Subject) -> tuple[str, str]:
    why = _NEW.get(str(episode.evidence.get("reason", "")), "as never before")
    return _series(subject), f" is {number(episode.peak_value)}: {why} (so far {_usual(episode)})"


def _novelty(episode: Episode, subject: Subject) -> str:
    why = _NEW.get(str(episode.evidence.get("reason", "")), "as never before")
    return f"{_series(subject)} is {number(episode.peak_value)} where it was {_usual(episode)} so far: {why}"


def _correlation_name(episode: Episode, subject: Subject) -> tuple[str, str]:
    lag = length(float(episode.evidence["lag_s"]))
    after = f"after {lag}" if float(episode.evidence["lag_s"]) else "at the same time"
    against = "" if episode.direction == "up" else ", the other way"
    return _series(subject), f" follows {episode.evidence['leader']} {after}{against}"


def _correlation(episode: Episode, subject: Subject) -> str:
    evidence = episode.evidence
    name = "".join(_correlation_name(episode, subject))
    return (
        f"{name}: correlation {number(float(evidence['strength']))} over {evidence['n']} values, chance of a find"
        f" like it among all pairs and lags that were looked at {number(float(evidence['q_value']))}"
    )


def _multivariate_name(episode: Episode, subject: Subject) -> tuple[str, str]:
    by = str(episode.evidence.get("contributors", ""))
    return subject.entity, f": its series do not go together as they used to{f' ({by})' if by else ''}"


def _multivariate(episode: Episode, subject: Subject) -> str:
    evidence = episode.evidence
    by = str(evidence.get("contributors", ""))
    return (
        f"the series of {subject.entity} do not go together as they used to: {number(episode.peak_score)} from what is"
        f" usual, {number(episode.threshold)} is told{f'; by share: {by}' if by else ''}"
    )


def _forest_name(episode: Episode, subject: Subject) -> tuple[str, str]:
    by = str(episode.evidence.get("contributors", ""))
    return subject.entity, f": its series have hardly ever been like this together{f' ({by})' if by else ''}"


def _forest(episode: Episode, subject: Subject) -> str:
    by = str(episode.evidence.get("contributors", ""))
    return (
        f"the series of {subject.entity} have hardly ever been like this together: a surprise of"
        f" {number(episode.peak_score)} bits, {number(episode.threshold)} is told{f'; by share: {by}' if by else ''}"
    )


def _drift_name(episode: Episode, subject: Subject) -> tuple[str, str]:
    evidence = episode.evidence
    old, new = float(evidence.get("old", episode.expected)), float(evidence.get("new", episode.peak_value))
    if evidence.get("kind") == "errors":
        more = "more often" if new > old else "less often"
        return subject.entity, f" fails {more} now: {share(new)} (was {share(old)})"
    if evidence.get("kind") == "spread":
        more = "more" if new > old else "less"
        return _series(subject), f" varies {more} than it did: by {number(new)} (was {number(old)})"
    return _series(subject), f" has moved {episode.direction} to {number(new)} (was {number(old)})"


def _drift(episode: Episode, subject: Subject) -> str:
    name = "".join(_drift_name(episode, subject))
    since = episode.evidence.get("since_us")
    return f"{name}{f', since about {moment(int(since))}' if isinstance(since, int | float) else ''}"


def _trend_name(episode: Episode, subject: Subject) -> tuple[str, str]:
    verb = "rises" if episode.direction == "up" else "falls"
    slope = float(episode.evidence["per_day"])
    return _series(subject), f" {verb} steadily: {number(slope)} a day, now {number(episode.peak_value)}"


def _trend(episode: Episode, subject: Subject) -> str:
    evidence = episode.evidence
    slope, low, high = (float(evidence[name]) for name in ("per_day", "per_day_low", "per_day_high"))
    verb = "rises" if episode.direction == "up" else "falls"
    reached = evidence.get("hours_to_bound")
    until = f"; at this pace it reaches its limit in {length(3600.0 * float(reached))}" if reached is not None else ""
    return (
        f"{_series(subject)} {verb} steadily, by {number(slope)} a day ({number(low)} to {number(high)}), and is at"
        f" {number(episode.peak_value)}{until}"
    )


def _flatline_name(episode: Episode, subject: Subject) -> tuple[str, str]:
    how = "hardly moves any more" if episode.evidence.get("kind") == "limp" else "is stuck"
    return _series(subject), f" {how} at {number(episode.peak_value)}"


def _flatline(episode: Episode, subject: Subject) -> str:
    evidence = episode.evidence
    name = "".join(_flatline_name(episode, subject))
    return (
        f"{name} since {moment(int(evidence['since_us']))}: {evidence['run']} values, where the longest run before was"
        f" {number(float(evidence['longest_before']))}"
    )


def _missing_name(episode: Episode, subject: Subject) -> tuple[str, str]:
    usual = length(float(episode.evidence["usual_s"]))
    return _series(subject), f" has stopped: nothing for {length(float(episode.evidence['silent_s']))} (usual: {usual})"


def _missing(episode: Episode, subject: Subject) -> str:
    evidence = episode.evidence
    return (
        f"nothing of {_series(subject)} for {length(float(evidence['silent_s']))}, where a value comes every"
        f" {length(float(evidence['usual_s']))} and the longest wait was {length(float(evidence['longest_s']))}"
    )


Sentences = tuple[Callable[[Episode, Subject], tuple[str, str]], Callable[[Episode, Subject], str]]

SENTENCES: Mapping[str, Sentences] = {
    "spike": (_spike_name, _spike),
    "threshold": (_threshold_name, _threshold),
    "burst": (_burst_name, _burst),
    "overdue": (_overdue_name, _overdue),
    "drift": (_drift_name, _drift),
    "flatline": (_flatline_name, _flatline),
    "missing": (_missing_name, _missing),
    "trend": (_trend_name, _trend),
    "correlation": (_correlation_name, _correlation),
    "multivariate": (_multivariate_name, _multivariate),
    "forest": (_forest_name, _forest),
    "novelty": (_novelty_name, _novelty),
    "prior": (_prior_name, _prior),
    "sequence": (_sequence_name, _sequence),
}
"""By detector: how the name is made, and how the explanation."""
