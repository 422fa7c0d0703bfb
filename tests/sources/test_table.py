from pathlib import Path

import pytest

from sources.table import TableError, read_series


def write(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("2026-01-05T10:15:30.250Z", 1767608130250000),
        ("2026-01-05T11:15:30.25+01:00", 1767608130250000),
        ("2026-01-05 10:15:30", 1767608130000000),
        ("1767608130.25", 1767608130250000),
        ("-1.5", -1500000),
        ("1969-12-31T23:59:59.999999Z", -1),
    ],
)
def test_times(tmp_path: Path, text: str, micros: int) -> None:
    rows = read_series(write(tmp_path, f"t,v\n{text},1\n"), "t", "v")
    assert (rows.texts, rows.times_us, rows.values) == ([text], [micros], [1.0])


def test_what_is_no_number_is_a_row_without_one(tmp_path: Path) -> None:
    rows = read_series(write(tmp_path, "\ufefft,v,x\n1,,a\n2,nan,\n3,inf,\n4,-2.5e3,\n"), "t", "v")
    assert rows.values == [None, None, None, -2500.0]
    assert len(rows) == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,v\n1,2\n", "no column 't'; there are: a, v"),
        ("", "no column 't'; there are: none"),
        ("t,v\n1,2\nsoon,2\n", "line 3: 'soon' is neither"),
        ("t,v\n1,2\n2,two\n", "line 3: 'two' is no number"),
        ("t,v\n1e300,2\n", "line 2"),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(TableError, match=words.replace("?", r"\?")):
        read_series(write(tmp_path, text), "t", "v")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="No such file"):
        read_series(tmp_path / "none.csv", "t", "v")
    (tmp_path / "b.csv").write_bytes(b"t,v\n\xff\xfe,1\n")
    with pytest.raises(TableError, match="is not UTF-8"):
        read_series(tmp_path / "b.csv", "t", "v")
