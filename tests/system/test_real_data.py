"""Real histories, where they lie beside the checkout (`../shared/data`): they are not part of the project."""

import gzip
from pathlib import Path

import pytest

from tests import flow
from tests.tables import query

EVENTS = flow.ROOT.parent / "shared" / "data" / "events"
FILES = ["ci-builds", "host-cpu", "tasks"]


@pytest.mark.parametrize("name", FILES)
def test_a_real_history_is_read_whole(name: str, database: str, tmp_path: Path) -> None:
    path = EVENTS / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no real data: {path.name} is not beside the checkout")
    with gzip.open(path) as file:
        lines = sum(1 for line in file if line.strip())
    counts = flow.stream("--input", path, "--database-url", database, "--recovery-dir", tmp_path / "state")
    assert (counts["read"], counts["applied"]) == (lines, lines)
    assert (counts["late"], counts["dead_letters"], counts["duplicates"]) == (0, 0, 0)
    # Links between series are found by who groups the patterns, after the partitions.
    of_series = "SELECT count(*) FROM detected_patterns WHERE pattern_type NOT IN ('correlation', 'multivariate')"
    assert query(database, of_series) == [(counts["patterns"],)]
    # A window's parts are whole at each level: 10 s, 1 m and 5 m hold the same values.
    assert len({query(database, f"SELECT sum(n) FROM series_{level}")[0][0] for level in ("10s", "1m", "5m")}) == 1
