"""Earlier episodes: what comes and goes by itself is familiar."""

from operators.detect.verdict import Verdict
from operators.patterns import Past, Subject, advance, snapshot_pattern

SECOND = 1_000_000
DAY = 86_400 * SECOND
WEB = Subject("web-1", "cpu_usage", "resource", "hindsight.events.metric.v1", 3)


def drive_again(past, *scores, value=97.2):
    """Severity of an episode of as many observations, given the peaks of earlier ones and when they opened."""
    earlier = [Past(at, at + SECOND, peak, "high", 5, "resolved") for at, peak in past]
    episode = None
    for place, score in enumerate(scores):
        said = Verdict(score, 5.0, 30.0, 20.0, 40.0, "up", 0.9, True, {"mean": score})
        at = 40 * DAY + place * 10 * SECOND
        episode, _ = advance(episode, WEB, "spike", said, value, at, past=earlier)
    return snapshot_pattern(episode, WEB)


def test_what_comes_and_goes_by_itself_wakes_nobody_the_fourth_time():
    lately = [(39 * DAY, 97.2), (30 * DAY, 98.0), (20 * DAY, 97.2)]
    long = (40.0,) * 3
    assert drive_again([], *long).severity == "high"
    assert drive_again(lately[:2], *long).severity == "high"
    found = drive_again(lately, *long)
    assert (found.severity, found.evidence["familiar"]) == ("medium", 3)
    assert drive_again(lately, *long, value=99.0).severity == "high", "worse than it ever was"
    assert drive_again([*lately[:2], (5 * DAY, 99.0)], *long).severity == "high", "long ago"
