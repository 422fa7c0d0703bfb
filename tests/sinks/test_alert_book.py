"""What is due when: lives of incidents by hand, and random ones against an Alertmanager that is a dictionary."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from operators.notices import Notice
from sinks.alert_book import ENDS_SENT, LASTS, Accepted, Book, Due
from tests.notices import START_US, notice

S = 1_000_000
RESEND_US = 60 * S


def micros(text: str) -> int:
    return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1e6)


class Place:
    """One Alertmanager, as a dictionary: labels → when the alert ends."""

    def __init__(self, book: Book, number: int = 0) -> None:
        self.book, self.number = book, number
        self.alerts: dict[tuple[tuple[str, str], ...], int] = {}
        self.told: list[tuple[Accepted, int | None]] = []

    def take(self, now_us: int) -> list[Due]:
        return self.finish(self.book.due(self.number, now_us), now_us)

    def finish(self, dues: list[Due], now_us: int) -> list[Due]:
        for due in dues:
            self.alerts[tuple(sorted(due.alert.labels.items()))] = micros(due.alert.ends_at)
        self.book.delivered(self.number, dues, now_us, lambda accepted, since: self.told.append((accepted, since)))
        return dues

    def all(self, now_us: int) -> list[Due]:
        found: list[Due] = []
        while dues := self.take(now_us):
            found += dues
        return found

    def firing(self, now_us: int) -> list[dict[str, str]]:
        return [dict(labels) for labels, ends in self.alerts.items() if ends > now_us]


def at(seconds: float) -> int:
    return START_US + round(seconds * S)


def made(**options: Any) -> tuple[Book, Place]:
    book = Book(1, resend_us=RESEND_US, **options)
    return book, Place(book)


def test_a_life_from_start_to_end() -> None:
    book, place = made()
    assert book.offer(notice(), at(1))
    assert book.waiting == 1
    (due,) = place.take(at(2))
    assert due.alert.labels["severity"] == "high"
    assert "escalated" not in due.alert.labels
    assert micros(due.alert.starts_at) == START_US
    assert micros(due.alert.ends_at) == at(2) + LASTS * RESEND_US, "it lapses by itself"
    assert (book.waiting, place.told) == (0, [((notice().incident_id, START_US, False), at(1))])
    assert place.take(at(61)) == [], "not yet sent again"
    assert len(place.take(at(62))) == 1
    book.offer(notice(updated_us=at(70), patterns=9), at(71))
    assert place.take(at(71)) == [], "news of an old story wait for the next sending"
    (again,) = place.take(at(122))
    assert "9 patterns" in again.alert.annotations["scope"]
    assert again.alert.labels == due.alert.labels
    assert place.told[-1] == ((due.incident_id, at(70), False), None)
    book.offer(notice(updated_us=at(130), ended_us=at(130)), at(131))
    (end,) = place.take(at(131))
    assert (end.alert.labels, micros(end.alert.ends_at)) == (due.alert.labels, at(130))
    assert place.told[-1] == ((due.incident_id, at(130), True), at(131))
    assert [len(place.take(at(131 + n * 30))) for n in range(1, 8)] == [0, 1, 0, 1, 0, 0, 0]
    assert len(book) == 0


def test_a_rise_starts_a_second_alert_before_the_first_ends() -> None:
    book, place = made()
    book.offer(notice(), at(1))
    place.take(at(1))
    book.offer(notice(severity="critical", updated_us=at(5)), at(6))
    (start,), (end,), rest = place.take(at(7)), place.take(at(7)), place.take(at(7))
    assert (start.end, start.alert.labels["severity"]) == (False, "critical")
    assert (end.end, end.alert.labels["severity"], micros(end.alert.ends_at)) == (True, "high", at(6))
    assert rest == []
    book.offer(notice(severity="low", updated_us=at(9)), at(9))
    assert place.take(at(9)) == [], "it only rises"
    assert {one["severity"] for one in place.firing(at(10))} == {"critical"}


def test_one_that_rose_comes_back_where_it_was() -> None:
    """The end of "high" was inhibited: Alertmanager takes "high" for told, and would be silent."""
    book, place = made()
    book.offer(notice(), at(1))
    place.all(at(1))
    book.offer(notice(severity="critical", updated_us=at(2)), at(2))
    assert [due.end for due in place.all(at(2))] == [False, True]
    book.offer(notice(severity="critical", ended_us=at(9), updated_us=at(9)), at(9))
    for n in range(4):
        dues = place.all(at(9 + 60 * n))
        assert {due.alert.labels["severity"] for due in dues} <= {"critical"}, "no end of high after that of critical"
    assert len(book) == 0
    book.offer(notice(updated_us=at(999)), at(999))
    assert [due.alert.labels["severity"] for due in place.all(at(999))] == ["critical"]


def test_a_rise_before_anything_was_sent_is_one_alert() -> None:
    book, place = made()
    book.offer(notice(), at(1))
    book.offer(notice(severity="critical"), at(2))
    assert [due.alert.labels["severity"] for due in place.all(at(3))] == ["critical"]


def test_who_is_paged_for_long_is_escalated() -> None:
    book, place = made(escalate_us=1800 * S)
    for number, severity in ((1, "high"), (2, "medium"), (3, "critical")):
        book.offer(notice(number, severity=severity), at(1))
    place.all(at(1))
    assert not any("escalated" in one for one in place.firing(at(1799)))
    place.all(at(1801))
    firing = {one["incident_id"][-1]: one for one in place.firing(at(1802))}
    assert {number: one.get("escalated") for number, one in firing.items()} == {"1": "true", "2": None, "3": "true"}
    assert len(place.firing(at(1802))) == 3, "those before have ended"
    assert not made()[0].waiting


def test_what_nobody_is_to_be_told_is_not_sent_and_ends_what_was() -> None:
    book, place = made()
    for quiet in (notice(1, inhibited="quiet hours"), notice(2, severity="info")):
        assert book.offer(quiet, at(1))
    assert (len(book), place.all(at(1))) == (0, [])
    book.offer(notice(3), at(1))
    place.all(at(1))
    book.offer(notice(3, inhibited="expected: labelled by ada"), at(5))
    assert [due.end for due in place.all(at(5))] == [True]
    assert place.firing(at(6)) == []
    book.offer(notice(3, updated_us=at(8)), at(8))
    assert [due.end for due in place.all(at(8))] == [False], "and it comes back"


def test_labels_are_those_of_the_first_notice() -> None:
    book, place = made()
    book.offer(notice(), at(1))
    first = place.take(at(1))[0].alert.labels
    book.offer(notice(entity="shop", pattern_class="error_propagation", category="error", evidence=()), at(2))
    assert place.take(at(100))[0].alert.labels == first


def test_an_end_survives_an_outage_and_an_old_state_is_no_news() -> None:
    book = Book(2, resend_us=RESEND_US)
    up, away = Place(book, 0), Place(book, 1)
    book.offer(notice(), at(1))
    up.all(at(1))
    away.all(at(1))
    book.offer(notice(ended_us=at(50), updated_us=at(50)), at(50))
    for second in range(50, 400, 10):
        up.all(at(second))
    assert book.waiting == 1
    assert [due.end for due in away.take(at(4000))] == [True]
    assert away.told[-1][0].ended
    assert not [accepted for accepted, _ in up.told if accepted.ended]
    book.offer(notice(updated_us=at(40)), at(4001))
    assert away.all(at(4001)) == [], "a state from before the end"


def test_there_is_a_bound_and_known_incidents_are_within() -> None:
    book, place = made(most=2)
    assert [book.offer(notice(number), at(1)) for number in (1, 2, 3)] == [True, True, False]
    assert book.offer(notice(1, ended_us=at(2), updated_us=at(2)), at(2)), "an end is never refused"
    for n in range(ENDS_SENT):
        place.all(at(2 + 60 * n))
    assert book.offer(notice(3), at(200))


def test_one_that_came_back_before_its_end_was_told_ends_where_it_rises() -> None:
    """It went quiet and came back while an Alertmanager could not be reached: that one never heard of the end."""
    book = Book(2, resend_us=RESEND_US)
    here, there = Place(book, 0), Place(book, 1)
    book.offer(notice(severity="low"), at(1))
    here.all(at(1))
    there.all(at(1))
    book.offer(notice(severity="info", updated_us=at(2)), at(2))
    here.all(at(2))
    book.offer(notice(severity="medium", updated_us=at(3)), at(3))
    here.all(at(3))
    assert [(due.stage.severity, due.end) for due in there.all(at(4))] == [("medium", False), ("low", True)]
    assert [one["severity"] for place in (here, there) for one in place.firing(at(5))] == ["medium", "medium"]


SEVERITIES = ("info", "low", "medium", "high", "critical")
STEPS = st.lists(
    st.tuples(
        st.integers(1, 4), st.sampled_from(SEVERITIES), st.booleans(), st.booleans(), st.integers(0, 90), st.booleans()
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.sampled_from([0, 100 * S]))
def test_after_any_life_each_alertmanager_has_what_is_open_and_nothing_else(
    steps: list[tuple[int, str, bool, bool, int, bool]], escalate_us: int
) -> None:
    book = Book(2, resend_us=RESEND_US, escalate_us=escalate_us)
    places = [Place(book, 0), Place(book, 1)]
    last: dict[uuid.UUID, Notice] = {}
    now = START_US
    for number, severity, ended, quiet, seconds, reachable in steps:
        now += seconds * S
        one = notice(
            number, severity=severity, updated_us=now, ended_us=now if ended else None, inhibited="x" if quiet else None
        )
        under_way = [place.book.due(place.number, now) for place in places] if reachable else []
        assert book.offer(one, now)
        for place, dues in zip(places, under_way, strict=False):
            place.finish(dues, now)  # sent before, answered after
        last[one.incident_id] = one
        for place in places[: 2 if reachable else 1]:
            place.take(now)
    for _ in range(3):
        for place in places:
            place.all(now)
        now += S
    for place in places:
        firing = [one["incident_id"] for one in place.firing(now)]
        wanted = [str(key) for key, one in last.items() if one.ended_us is None and one.receiver != "log"]
        assert sorted(firing) == sorted(wanted)
    assert book.waiting == 0
    for n in range(1, ENDS_SENT + 2):
        for place in places:
            place.all(now + n * RESEND_US)
    assert len(book) == len([one for one in last.values() if one.ended_us is None and one.receiver != "log"])
    newest: dict[uuid.UUID, Accepted] = {}
    for accepted, _ in sorted(places[0].told + places[1].told, key=lambda pair: pair[0].updated_us):
        newest[accepted.incident_id] = accepted
    for key, accepted in newest.items():
        assert accepted.ended == (last[key].ended_us is not None or last[key].receiver == "log")
