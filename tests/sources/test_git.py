"""The git collector, against repositories that real git makes."""

from __future__ import annotations

import json
import os
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from operators.events import decode, route
from operators.types import CodeMeasured
from sources import git
from sources.git import GitError, GitHistory, codebase_id, parse_log, remote_name

BASE = 1_767_225_600  # 2026-01-01T00:00:00Z


class Repo:
    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.clock = BASE
        self.run("init", "-q", "-b", "main")

    def run(self, *arguments: str, at: int | None = None, zone: str = "+0000", **variables: str) -> str:
        moment = f"{self.clock if at is None else at} {zone}"
        identity = {
            "GIT_AUTHOR_NAME": "A",
            "GIT_AUTHOR_EMAIL": "a@example.com",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        identity |= {"GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.com"}
        dates = {"GIT_AUTHOR_DATE": moment, "GIT_COMMITTER_DATE": moment}
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, env=os.environ | identity | dates | variables, check=True,
            capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()

    def commit(self, files: dict[str, bytes | str | None], at: int | None = None, zone: str = "+0000") -> str:
        for name, content in files.items():
            place = self.path / name
            if content is None:
                place.unlink()
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content.encode() if isinstance(content, str) else content)
        self.run("add", "-A")
        if at is None:
            self.clock += 60
        self.run("commit", "-q", "--allow-empty", "-m", "x", at=at, zone=zone)
        return self.run("rev-parse", "HEAD")


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "shop")


def read(history: GitHistory) -> list[dict[str, Any]]:
    return [event for events in history.batches() for event in events]


def table(events: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """commit → measure[:path] → value."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for event in events:
        data = event["data"]
        name = data["metric_type"] + (":" + data["path"] if "path" in data else "")
        found[data["commit_sha"]][name] = data["metric_value"]
    return dict(found)


def commits(events: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(event["data"]["commit_sha"] for event in events))


def test_measures_of_each_commit(repo: Repo) -> None:
    first = repo.commit({"a.py": "1\n2\n3\n", "b.py": "x\n"})
    second = repo.commit({"a.py": "1\n3\n4\n5\n", "b.py": None})
    assert table(read(GitHistory(repo.path))) == {
        first: {
            "lines_added": 4, "lines_deleted": 0, "files_changed": 2, "lines_changed:a.py": 3, "lines_changed:b.py": 1,
        },
        second: {
            "lines_added": 2, "lines_deleted": 2, "files_changed": 2, "lines_changed:a.py": 3, "lines_changed:b.py": 1,
        },
    }  # fmt: skip


def test_events_are_the_contract(repo: Repo) -> None:
    repo.run("remote", "add", "origin", "https://me:secret@example.com/acme/shop.git")
    sha = repo.commit({"a.py": "1\n"}, at=BASE, zone="+0530")
    events = read(GitHistory(repo.path))
    assert events[0] == {
        "specversion": "1.0",
        "id": f"{sha}:lines_added",
        "source": "git://acme/shop",
        "type": "dev.hindsight.code.measured.v1",
        "time": "2026-01-01T05:30:00+05:30",
        "data": {
            "codebase_id": "acme/shop", "metric_type": "lines_added", "commit_sha": sha, "metric_value": 1,
            "unit": "lines", "scope": "repo",
        },
    }  # fmt: skip
    assert events[-1]["id"] == f"{sha}:lines_changed:a.py"
    assert events[-1]["data"]["scope"] == "file" and events[-1]["data"]["path"] == "a.py"
    assert len({event["id"] for event in events}) == len(events)
    assert "secret" not in json.dumps(events)


def test_events_decode_by_the_contracts_types(repo: Repo) -> None:
    sha = repo.commit({"a.py": "1\n"})
    decoded = [decode(json.dumps(event).encode()) for event in read(GitHistory(repo.path))]
    assert {type(event) for event in decoded} == {CodeMeasured}
    assert [(event.data.metric_type, event.data.path) for event in decoded if isinstance(event, CodeMeasured)] == [
        ("lines_added", None),
        ("lines_deleted", None),
        ("files_changed", None),
        ("lines_changed", "a.py"),
    ]
    assert route(decoded[0]).key == "shop" and sha in decoded[0].id


def test_a_commit_whose_files_are_missing_is_left_out(repo: Repo) -> None:
    shas = [repo.commit({"a": f"{number}\n" * 10}) for number in range(5)]
    blob = repo.run("rev-parse", f"{shas[2]}:a")
    (repo.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    said: list[str] = []
    # The blob is one side of two commits' differences.
    assert commits(read(GitHistory(repo.path, on_warning=said.append))) == [shas[0], shas[1], shas[4]]
    assert len(said) == 1 and "left out" in said[0]


def test_binary_rename_mode_and_empty_commits(repo: Repo) -> None:
    repo.commit({"a.txt": "one\ntwo\nthree\nfour\n", "run.sh": "x\n"})
    binary = repo.commit({"logo.png": b"\x89PNG\0\0\1"})
    repo.run("mv", "a.txt", "b.txt")
    renamed = repo.commit({"b.txt": "one\ntwo\nthree\nfour\nfive\n"})
    repo.run("mv", "b.txt", "c.txt")
    moved = repo.commit({})
    (repo.path / "run.sh").chmod(0o755)
    mode = repo.commit({})
    empty = repo.commit({})
    events = read(GitHistory(repo.path))
    found = table(events)
    assert found[binary] == {"lines_added": 0, "lines_deleted": 0, "files_changed": 1}
    assert found[renamed] == {
        "lines_added": 1,
        "lines_deleted": 0,
        "files_changed": 1,
        "lines_changed:b.txt": 1,
    }
    assert found[moved] == {"lines_added": 0, "lines_deleted": 0, "files_changed": 1}
    assert found[mode]["files_changed"] == 1
    assert found[empty]["files_changed"] == 0
    change = next(event for event in events if event["data"].get("path") == "b.txt")
    assert change["data"]["context"] == {"lines_added": 1, "lines_deleted": 0, "renamed_from": "a.txt"}


def test_strange_paths(repo: Repo) -> None:
    (repo.path / "caf\udce9 \t\n\x01é.txt").write_text("1\n")
    (repo.path / "\udcff").write_text("1\n2\n")
    long = "/".join(["d" * 100] * 4)
    repo.commit({f"{long}/a": "1\n", f"{long}/b": "1\n", "{x => y}.txt": "1\n"})
    events = read(GitHistory(repo.path))
    paths = {event["data"]["path"] for event in events if "path" in event["data"]}
    assert paths == {"caf\\xe9 \t\n\x01é.txt", "\\xff", f"{long}/a", f"{long}/b", "{x => y}.txt"}
    json.dumps(events, ensure_ascii=False).encode()
    assert all(len(event["id"]) <= 255 for event in events)
    assert len({event["id"] for event in events}) == len(events)


def test_merges_are_measured_once(repo: Repo) -> None:
    repo.commit({"a": "1\n"})
    repo.run("checkout", "-q", "-b", "side")
    side = repo.commit({"b": "1\n2\n"})
    repo.run("checkout", "-q", "main")
    main = repo.commit({"c": "1\n"})
    repo.clock += 60
    repo.run("merge", "-q", "--no-ff", "-m", "m", "side")
    merge = repo.run("rev-parse", "HEAD")
    found = table(read(GitHistory(repo.path)))
    assert merge not in found and side in found and main in found
    assert sum(measures["lines_added"] for measures in found.values()) == 4


def test_ascending_time_though_the_clocks_differ(repo: Repo) -> None:
    shas = [
        repo.commit({"a": f"{number}\n"}, at=BASE + offset) for number, offset in enumerate((500, 100, 300, 200, 200))
    ]
    events = read(GitHistory(repo.path))
    assert commits(events) == [shas[1], shas[3], shas[4], shas[2], shas[0]]


def test_goes_on_after_the_last_commit(repo: Repo, tmp_path: Path) -> None:
    state = tmp_path / "state" / "git.json"
    repo.commit({"a": "1\n"})
    history = GitHistory(repo.path, state)
    assert len(commits(read(history))) == 1
    assert read(history) == []
    second = repo.commit({"a": "2\n"})
    assert commits(read(history)) == [second]
    third = repo.commit({"a": "3\n"})
    assert commits(read(GitHistory(repo.path, state))) == [third]
    assert read(GitHistory(repo.path, state)) == []
    assert not list(state.parent.glob("*.new"))


def test_a_chunk_that_was_not_stored_is_read_again(repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "CHUNK", 2)
    shas = [repo.commit({"a": f"{number}\n"}) for number in range(5)]
    state = tmp_path / "git.json"
    batches = GitHistory(repo.path, state).batches()
    assert commits(next(batches)) == shas[:2]
    assert commits(next(batches)) == shas[2:4]
    # The process ends here: asking for the second list said that the first is stored, the second may be lost.
    sixth = repo.commit({"a": "6\n"})
    assert commits(read(GitHistory(repo.path, state))) == [*shas[2:], sixth]


def test_stop_between_chunks(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "CHUNK", 1)
    shas = [repo.commit({"a": f"{number}\n"}) for number in range(3)]
    history = GitHistory(repo.path)
    asked: list[bool] = []

    def stop() -> bool:
        asked.append(True)
        return len(asked) > 2

    assert commits([event for events in history.batches(stop) for event in events]) == shas[:2]
    assert commits(read(history)) == shas[2:]


def test_rebase_emits_only_what_is_new(repo: Repo, tmp_path: Path) -> None:
    state = tmp_path / "git.json"
    first = repo.commit({"a": "1\n"})
    lost = repo.commit({"b": "1\n"})
    read(GitHistory(repo.path, state))
    repo.run("reset", "-q", "--hard", first)
    new = repo.commit({"c": "1\n"})
    assert commits(read(GitHistory(repo.path, state))) == [new]
    assert lost != new


def test_rebase_whose_old_commits_are_gone(repo: Repo, tmp_path: Path) -> None:
    state = tmp_path / "git.json"
    first = repo.commit({"a": "1\n"})
    repo.commit({"b": "1\n"})
    read(GitHistory(repo.path, state))
    repo.run("reset", "-q", "--hard", first)
    new = [repo.commit({"c": "1\n"}), repo.commit({"c": "2\n"})]
    repo.run("reflog", "expire", "--expire=now", "--all")
    repo.run("gc", "-q", "--prune=now")
    said: list[str] = []
    assert commits(read(GitHistory(repo.path, state, on_warning=said.append))) == new
    assert len(said) == 1 and "going on by time" in said[0]


def test_another_branch_and_back_repeats_nothing(repo: Repo) -> None:
    repo.commit({"a": "1\n"})
    repo.run("branch", "side")
    main = repo.commit({"b": "1\n"})
    history = GitHistory(repo.path)
    assert main in commits(read(history))
    repo.run("checkout", "-q", "side")
    side = repo.commit({"c": "1\n"})
    assert commits(read(history)) == [side]
    repo.run("checkout", "-q", "main")
    assert read(history) == []


def test_newest_and_no_files(repo: Repo) -> None:
    shas = [repo.commit({"a": f"{number}\n"}) for number in range(4)]
    history = GitHistory(repo.path, newest=2, files=False)
    events = read(history)
    assert commits(events) == shas[2:]
    assert {event["data"]["scope"] for event in events} == {"repo"}
    later = [repo.commit({"a": f"{number}\n"}) for number in range(10, 13)]
    assert commits(read(history)) == later


def test_shallow_clone_leaves_its_edge_out(repo: Repo, tmp_path: Path) -> None:
    shas = [repo.commit({"a": f"{number}\n", f"f{number}": "x\n" * 100}) for number in range(4)]
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth", "2", repo.path.as_uri(), str(clone)], check=True)
    said: list[str] = []
    events = read(GitHistory(clone, on_warning=said.append))
    assert commits(events) == shas[3:]
    assert len(said) == 1 and "shallow" in said[0]


def test_empty_repository(repo: Repo) -> None:
    history = GitHistory(repo.path)
    assert read(history) == []
    sha = repo.commit({"a": "1\n"})
    assert commits(read(history)) == [sha]


def test_a_bare_repository_and_a_subfolder(repo: Repo, tmp_path: Path) -> None:
    sha = repo.commit({"sub/a": "1\n"})
    assert commits(read(GitHistory(repo.path / "sub"))) == [sha]
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(repo.path), str(bare)], check=True)
    assert commits(read(GitHistory(bare))) == [sha]


@pytest.mark.parametrize("place", ["", "missing"])
def test_no_repository_is_one_line(tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(GitError) as raised:
        GitHistory(tmp_path / place)
    assert "\n" not in str(raised.value) and str(tmp_path) in str(raised.value)


def test_no_git_is_one_line(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repo.path))
    with pytest.raises(GitError, match="git is not installed"):
        GitHistory(repo.path)


def test_the_users_configuration_changes_nothing(repo: Repo) -> None:
    repo.commit({"a": "1\n2\n3\n", "z": "1\n"})
    repo.run("mv", "a", "b")
    repo.commit({})
    before = read(GitHistory(repo.path))
    order = repo.path / ".git" / "order"
    order.write_text("z\n")
    for name, value in {
        "log.showRoot": "false", "diff.renames": "false", "diff.noprefix": "true", "core.quotePath": "true",
        "color.ui": "always", "diff.external": "false", "diff.orderFile": str(order), "log.showSignature": "true",
        "diff.renameLimit": "1", "core.pager": "false", "format.pretty": "oneline", "log.follow": "true",
        "log.diffMerges": "separate",
    }.items():  # fmt: skip
        repo.run("config", name, value)
    assert read(GitHistory(repo.path)) == before


def test_state_of_another_repository_is_refused(repo: Repo, tmp_path: Path) -> None:
    state = tmp_path / "git.json"
    repo.commit({"a": "1\n"})
    read(GitHistory(repo.path, state))
    other = Repo(tmp_path / "other")
    with pytest.raises(GitError, match="belongs to shop, not to other"):
        GitHistory(other.path, state)
    state.write_text("{")
    with pytest.raises(GitError, match="no state of this collector"):
        GitHistory(repo.path, state)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("git@github.com:acme/shop.git", "acme/shop"),
        ("https://github.com/acme/shop", "acme/shop"),
        ("ssh://git@host:2222/acme/shop.git/", "acme/shop"),
        ("https://me:secret@gitlab.example/group/sub/shop.git", "sub/shop"),
        ("host:shop.git", "shop"),
        ("/srv/git/shop.git", None),
        ("../shop", None),
        ("file:///srv/git/shop.git", None),
        ("C:/src/shop", None),
    ],
)
def test_remote_names(url: str, name: str | None) -> None:
    assert remote_name(url) == name


def test_codebase_without_remote_is_the_folder(repo: Repo) -> None:
    (repo.path / "sub").mkdir()
    assert codebase_id(repo.path / "sub") == "shop"
    repo.run("remote", "add", "upstream", "git@example.com:acme/shop.git")
    assert codebase_id(repo.path) == "acme/shop"


def test_times_that_are_none_fall_back_to_utc() -> None:
    raw = b"\x01ab 60 1970-01-01T00:01:00+99:99\x00\x01cd 999999999999 +292277-01-01T00:00:00Z\x00"
    parsed = parse_log(raw)
    assert parsed[0].time == "1970-01-01T00:01:00+00:00"
    assert parsed[1].time.startswith("+292277")
