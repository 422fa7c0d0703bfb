"""Gaps are told once, with the source that they belong to; what is another fact is told as well."""

from flows.nightly.troubles import troubles
from operators.mining.quality import judged
from tests.flows.nightly.results import GAP, planted, quality_of

ALL = list(range(180))


def test_one_gap_is_one_line_with_where_else_it_shows():
    quality = [
        quality_of("daily", "shop/main/build", GAP), quality_of("steps", "shop/main", GAP),
        quality_of("daily", "shop/main", GAP), quality_of("runs", "shop/main", GAP), quality_of("runs", "calm", ALL),
    ]  # fmt: skip
    (told,) = troubles(quality)
    assert (told.status, told.table, told.source, told.also) == (
        "notice",
        "runs",
        "shop/main",
        ["steps", "daily series"],
    )
    assert told.text == (
        "runs of shop/main: nothing for 30 days in a row; usually at most 1 (the same in its steps, daily series)"
    )


def test_a_gap_of_its_own_and_other_problems_are_told():
    other = [day for day in ALL if not 120 <= day < 150]
    quality = [
        quality_of("runs", "shop/main", GAP), quality_of("daily", "shop/main/build", other),
        quality_of("steps", "shop/main", GAP, duplicates=7), quality_of("runs", "shop/main2", GAP),
    ]  # fmt: skip
    told = {(one.table, one.source): one.problems for one in troubles(quality)}
    assert list(told) == [
        ("steps", "shop/main"),
        ("daily", "shop/main/build"),
        ("runs", "shop/main"),
        ("runs", "shop/main2"),
    ]
    assert told["steps", "shop/main"] == ["7 of 100 rows say the same as another one"]
    assert troubles(quality)[0].status == "bad"


def test_silence_at_the_end_is_told_once_unless_it_is_longer():
    silent, longer = list(range(120)), list(range(60))
    quality = [quality_of("runs", "a", silent), quality_of("steps", "a", silent), quality_of("daily", "a/b", longer)]
    assert [(one.table, one.source) for one in troubles(quality)] == [("daily", "a/b"), ("runs", "a")]


def test_without_events_the_first_series_tells():
    quality = [quality_of("hourly", "web-1", GAP), quality_of("daily", "web-1", GAP)]
    (told,) = troubles(quality)
    assert (told.table, told.also) == ("daily", ["hourly series"])


def test_every_table_has_its_place():
    """A table that is not known would be an error here."""
    from operators.mining.history import FRAMES

    for table in FRAMES:
        assert troubles(judged(table, [{"x": quality_of("runs", "x", ALL, duplicates=1).partial}], planted.UNTIL))
