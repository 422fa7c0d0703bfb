"""Old nights' files go, their reports later, and nothing else."""

import os

from flows.nightly.pruning import prune

NOW = 1_800_000_000.0
DAY = 86_400.0


def night(folder, name, age_days, report_days=None):
    file = folder / name / "load" / "runs-2026-01.bin"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    os.utime(file, (0, NOW - age_days * DAY))
    os.utime(file.parent, (0, NOW - age_days * DAY))
    if report_days is not None:
        report = folder / name / "report.html"
        report.write_text("x")
        os.utime(report, (0, NOW - report_days * DAY))


def test_files_that_nothing_touched_for_days_go_and_reports_stay_longer(tmp_path):
    night(tmp_path, "2026-01-01-0123456789ab", 8, 8)
    night(tmp_path, "2026-01-02-0123456789ab", 6, 6)
    night(tmp_path, "2025-09-01-0123456789ab", 100, 100)
    night(tmp_path, "own-things", 100)
    (tmp_path / "sequence-rules.json").write_text("{}")
    assert prune(tmp_path, 7, NOW) == 2
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()) == [
        "2026-01-01-0123456789ab/report.html", "2026-01-02-0123456789ab/load/runs-2026-01.bin",
        "2026-01-02-0123456789ab/report.html", "own-things/load/runs-2026-01.bin", "sequence-rules.json",
    ]  # fmt: skip
    assert prune(tmp_path, 7, NOW) == 0
    assert prune(tmp_path / "none", 7, NOW) == 0
