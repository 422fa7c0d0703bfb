"""What is said of a pattern: its name and its explanation, plain sentences with numbers and times in UTC."""

from operators.episodes import Episode, Subject
from operators.sentences import SENTENCES
from operators.words import moment

NAME_LENGTH = 255
"""Characters of a name: the specification's `pattern_name`."""


def name(episode: Episode, subject: Subject) -> str:
    """One line that tells this pattern from others: what, where, how far at its peak, and what is usual."""
    make_name, _ = SENTENCES.get(episode.detector, SENTENCES["spike"])
    return _fit(*make_name(episode, subject))


def explanation(episode: Episode, subject: Subject) -> str:
    """One sentence with the evidence."""
    _, make_explanation = SENTENCES.get(episode.detector, SENTENCES["spike"])
    what = make_explanation(episode, subject)
    times = "once" if episode.count == 1 else f"{episode.count} times"
    seen = f"seen {times}, first at {moment(episode.opened_us)}"
    if episode.count > 1:
        seen += f", peak at {moment(episode.peak_us)}, last at {moment(episode.seen_us)}"
    if episode.reopened:
        seen += f", came back {episode.reopened} ×"
    if episode.resolved_us is not None:
        seen += f", over by {moment(episode.resolved_us)}"
    return f"{what}; {seen}."


def _fit(subject: str, tail: str) -> str:
    room = NAME_LENGTH - len(tail)
    return (subject if len(subject) <= room else subject[: max(0, room - 1)] + "…") + tail
