"""What a night says at its end: it adds up, tells where the rules are, and breaks no line."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.nightly import summary
from operators.mining.history import FRAMES
from sinks.nightly import Stored
from tests.flows.nightly.results import NIGHT, changed, finding, result

READS = Path("/srv/nightly/sequence-rules.json")


def shown(capsys, made, **more):
    options = {"limit": 10, "stream_reads": READS} | more
    summary.show(NIGHT, made, options.pop("report", None), options.pop("limit"), **options)
    return capsys.readouterr().out.splitlines()


def test_lines_are_whole_paths_are_as_they_are_and_a_gap_is_told_once(capsys):
    path = "/srv/[red]a  place/" + "long-" * 30 + "rules.json"
    found = [finding("k", sentence="It fails " + "very " * 40 + "often.\x1b[2J")]
    lines = shown(capsys, result(path, found), report=Path("/srv/[bold]/night.html"))
    assert lines[-1] == "report: /srv/[bold]/night.html"
    assert path in lines[-2]
    assert any(line.startswith("0.50  confirmed  It fails very") and line.endswith("often.?[2J") for line in lines)
    assert [line for line in lines if "nothing for" in line] == [
        (
            "notice: runs of shop/main: nothing for 30 days in a row; usually at most 1"
            " (the same in its steps, daily series)"
        )
    ]


def test_the_parts_of_an_old_night_add_up():
    found = [finding(str(number)) for number in range(28)]
    made = result(found=found, stored=Stored(new=5, again=0, missed=3, retired=1))
    assert summary.counted(made) == (
        "28 findings: 5 new, 0 again, 23 that a later night has judged since and are left as it said;"
        " 3 of earlier nights not found again, 1 of them retired"
    )
    facts = summary.facts(NIGHT, made, changed(), None, 0.9)
    assert facts["new"] + facts["again"] + facts["judged_later"] == sum(facts["findings"].values())
    assert (facts["seconds"], facts["seconds_of_night"]) == (0.9, 40.0)


def test_all_tables_are_counted_also_those_without_rows():
    assert summary.facts(NIGHT, result(rows=0), changed(), None, 1.0)["rows"] == dict.fromkeys(FRAMES, 0)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (result(), "1 rule for the stream in /srv/nightly/sequence-rules.json (stream, up and replay"),
        (result("/x/r.json"), "(no stream reads it with these settings: set ANALYTICS_SEQUENCE_RULES=/x"),
        (result(rules=()), "no rules for the stream in /srv"),
        (result(withheld="nothing was read"), "those in /srv/nightly/sequence-rules.json stay as they are"),
    ],
)  # fmt: skip
def test_the_line_about_rules_says_where_they_are_and_who_reads_them(made, said):
    assert said in summary.rules_line(made, READS)


def test_a_night_without_anything_says_which_one_has(capsys):
    newest = datetime(2019, 8, 8, 10, tzinfo=UTC)
    lines = shown(capsys, result(rows=0), newest=newest)
    assert lines[1] == "nothing from 2026-01-05 to 2026-07-03; the newest row is of 2019-08-08: try --date 2019-08-08"
    assert "holds no runs" in shown(capsys, result(rows=0))[1]
    assert not any("nothing from" in line for line in shown(capsys, result(rows=1)))
