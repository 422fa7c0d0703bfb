"""The file of rules: by default where the nightly flow puts it, and taken anew while a flow runs."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from flows.realtime import partition_config
from flows.sequence_rules import SequenceRules, rules_path
from flows.settings import Settings, SettingsError, load


def settings(folder: Path, **options: Any) -> Settings:
    return load(env_file=None, data_dir=folder, **options)


def write(path: Path, *ids: str, at: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rules = [{"id": name, "items": ["pipeline:$x:failure"], "within_us": 1_000_000} for name in ids]
    path.write_text(json.dumps({"version": 1, "rules": rules}))
    if at:
        os.utime(path, (at, at))


def test_the_default_file_is_the_nightly_flow_s_and_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "nightly" / "sequence-rules.json"
    assert rules_path(settings(tmp_path)) == path
    assert partition_config(settings(tmp_path)).judge.rules == ()
    write(path, "r")
    assert [rule.id for rule in partition_config(settings(tmp_path)).judge.rules] == ["r"]


def test_a_named_file_must_be_there_and_any_file_must_make_sense(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"ANALYTICS_SEQUENCE_RULES: .*none\.json: No such file"):
        partition_config(settings(tmp_path, sequence_rules=tmp_path / "none.json"))
    (tmp_path / "nightly").mkdir()
    (tmp_path / "nightly" / "sequence-rules.json").write_text("{")
    with pytest.raises(SettingsError, match=r"rules of the nightly flow: .*sequence-rules\.json"):
        partition_config(settings(tmp_path))


def test_a_new_file_is_taken_and_a_broken_one_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "nightly" / "sequence-rules.json"
    counts: list[int] = []
    refused: list[int] = []
    current = SequenceRules(settings(tmp_path), counts.append, lambda: refused.append(1))
    assert list(current().by_id) == []
    write(path, "a", at=1000)
    assert list(current().by_id) == ["a"]
    assert current() is current(), "it is read when it has changed, and not else"
    write(path, "a", "b", at=2000)
    assert list(current().by_id) == ["a", "b"]
    path.write_text("{")
    assert [list(current().by_id) for _ in range(3)] == [["a", "b"]] * 3
    assert len(refused) == 1 and caplog.text.count("are refused, the old ones stay") == 1
    write(path, "c", at=3000)
    assert list(current().by_id) == ["c"]
    path.unlink()
    assert list(current().by_id) == []
    assert counts == [0, 1, 2, 1, 0]


def test_a_named_file_that_is_gone_leaves_the_rules_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    write(path, "a")
    refused: list[int] = []
    current = SequenceRules(settings(tmp_path, sequence_rules=path), on_refused=lambda: refused.append(1))
    path.unlink()
    assert [list(current().by_id) for _ in range(2)] == [["a"], ["a"]]
    assert len(refused) == 1
