"""The code history of a git repository as `code.measured.v1` events, read with plain `git log`.

Each commit that is no merge gives the repository's `lines_added`, `lines_deleted` and `files_changed`, and
for each text file it touched `lines_changed` (added + deleted, scope `file`). Binary files count in
`files_changed` only. Merges are left out: their lines were measured in the commits they merge (an edit made
while resolving a conflict is not seen).

Events come in ascending committer time (ties: as git orders the history), so that a watermark passes over
them once; a branch merged later brings older commits, which are then late downstream, as the contract has it.

Where it does not work well: the commits at the edge of a shallow clone cannot be measured and are left out;
in a partial clone git fetches each missing blob from the network.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

EVENT_TYPE = "dev.hindsight.code.measured.v1"
CHUNK = 500
"""Commits measured by one `git log`; also what a restart repeats at most."""

_NUMSTAT = re.compile(rb"\n?(\d+|-)\t(\d+|-)\t(.*)", re.DOTALL)
_FORMAT = "--format=tformat:%x01%H %ct %cI"
HEADS = 64
"""Tips of branches that are remembered as read."""

_ID_LIMIT = 255
_NEUTRAL = ("-c", "log.showRoot=true", "-c", "log.showSignature=false")
"""What the user's own configuration could change in the output."""


_LACKING = ("unable to read", "bad object", "missing")
"""What git says of an object that the repository should have, and has not."""


class GitError(RuntimeError):
    """The repository cannot be read; the message is one line."""


@dataclass(frozen=True)
class FileChange:
    """One file of a commit; `added` is `None` for a binary file. `old_path` is set for a rename."""

    path: str
    added: int | None
    deleted: int | None
    old_path: str | None = None


@dataclass(frozen=True)
class Commit:
    """A commit with its changes against its parent; `time` is RFC 3339 with the committer's offset."""

    sha: str
    time: str
    epoch: int
    files: tuple[FileChange, ...]


@dataclass(frozen=True)
class Position:
    """What has been emitted: all that `heads` reach, and on the way to `target` the first `done` commits.

    `time` is the greatest committer time (seconds since 1970) emitted. When the last head no longer exists,
    reading goes on with the commits from that time on (`since`; -1 = all).
    """

    codebase_id: str
    heads: tuple[str, ...] = ()
    target: str | None = None
    since: int = -1
    done: int = 0
    time: int = 0


class GitHistory:
    """The events of one repository, continuing after the last commit emitted.

    `state_file` keeps the position between runs; without it only this object does. `files=False` leaves out
    the events of single files, `newest` takes only that many of the newest commits of a first reading.

    Raises :class:`GitError` when `repo` is no git repository or git is not installed.
    """

    def __init__(
        self,
        repo: Path,
        state_file: Path | None = None,
        *,
        files: bool = True,
        newest: int | None = None,
        on_warning: Callable[[str], None] | None = None,
    ) -> None:
        self.repo = repo
        self._git("rev-parse", "--git-dir")
        self.codebase_id = codebase_id(repo)
        self.source = f"git://{quote(self.codebase_id)}"
        self._state_file = state_file
        self._files = files
        self._newest = newest
        self._warn = on_warning or (lambda _: None)
        self._warned: set[str] = set()
        self.position = _load(state_file, self.codebase_id)

    def batches(self, stop: Callable[[], bool] = lambda: False) -> Iterator[list[dict[str, Any]]]:
        """Lists of events of up to :data:`CHUNK` commits: all that are new since the last call, oldest first.

        The position moves on, and is saved, when the *next* list is asked for: by then the caller has stored
        this one. An empty repository gives none. Raises :class:`GitError`.
        """
        while (position := self._plan()) is not None:
            todo = self._todo(position)
            for start in range(position.done, len(todo), CHUNK):
                if stop():
                    return
                chunk = todo[start : start + CHUNK]
                commits = self._measure([sha for sha, _ in chunk])
                yield [event for commit in commits for event in self.events(commit)]
                position = replace(position, done=start + len(chunk), time=max(position.time, chunk[-1][1]))
                self._save(position)
            # Several heads, so that going to another branch and back does not emit its commits again.
            heads = (*(head for head in position.heads if head != position.target), str(position.target))
            self._save(Position(self.codebase_id, heads=heads[-HEADS:], time=position.time))

    def events(self, commit: Commit) -> list[dict[str, Any]]:
        """The events of one commit, in a fixed order with ids that never change."""
        texts = [change for change in commit.files if change.added is not None]
        totals: list[tuple[str, int, str]] = [
            ("lines_added", sum(change.added or 0 for change in texts), "lines"),
            ("lines_deleted", sum(change.deleted or 0 for change in texts), "lines"),
            ("files_changed", len(commit.files), "files"),
        ]
        events = [
            self._event(commit, name, {"metric_value": value, "unit": unit, "scope": "repo"})
            for name, value, unit in totals
        ]
        for change in texts if self._files else ():
            churn = (change.added or 0) + (change.deleted or 0)
            if churn == 0:  # a mere rename or a change of mode
                continue
            context: dict[str, Any] = {"lines_added": change.added, "lines_deleted": change.deleted}
            if change.old_path is not None:
                context["renamed_from"] = change.old_path
            data = {"metric_value": churn, "unit": "lines", "scope": "file", "context": context}
            events.append(self._event(commit, "lines_changed", data, change.path))
        return events

    def _event(self, commit: Commit, name: str, data: dict[str, Any], path: str | None = None) -> dict[str, Any]:
        identity = f"{commit.sha}:{name}"
        if path is not None:
            data = {**data, "path": path}
            fits = len(identity) + 1 + len(path) <= _ID_LIMIT
            identity += ":" + (path if fits else hashlib.sha256(path.encode()).hexdigest())
        return {
            "specversion": "1.0",
            "id": identity,
            "source": self.source,
            "type": EVENT_TYPE,
            "time": commit.time,
            "data": {"codebase_id": self.codebase_id, "metric_type": name, "commit_sha": commit.sha, **data},
        }

    def _plan(self) -> Position | None:
        """The position with the commit to reach as its `target`, or `None` if there is nothing new."""
        position = self.position
        if position.target is not None:
            if self._resolve(position.target) is not None:
                return position
            position = replace(position, target=None, done=0, since=position.time)
        elif position.heads and self._resolve(position.heads[-1]) is None:
            self._warn_once("gone", f"{self.repo}: the last commit read is gone (rebased?): going on by time")
            position = replace(position, since=position.time)
        head = self._resolve("HEAD")
        if head is None or head in position.heads:
            return None
        known = tuple(old for old in position.heads if self._resolve(old) is not None)
        return replace(position, heads=known, target=head)

    def _todo(self, position: Position) -> list[tuple[str, int]]:
        """(sha, committer time) of what the target has and the heads lack: after a rebase, all behind the
        merge base."""
        excluded = [f"^{head}" for head in position.heads if self._resolve(head) is not None]
        listed = self._git(
            "rev-list", "--no-merges", "--reverse", "--timestamp", str(position.target), *excluded
        ).split()
        edge = self._shallow_edge()
        if edge:
            self._warn_once("shallow", f"{self.repo} is a shallow clone: {len(edge)} commits at its edge are left out")
        found = [
            (sha.decode(), int(epoch))
            for epoch, sha in zip(listed[::2], listed[1::2], strict=True)
            if sha.decode() not in edge and int(epoch) >= position.since
        ]
        found.sort(key=lambda item: item[1])
        first_reading = not position.heads and position.since < 0
        return found[-self._newest :] if self._newest is not None and first_reading else found

    def _measure(self, shas: Sequence[str]) -> list[Commit]:
        try:
            output = self._git(
                "log", "--stdin", "--no-walk=unsorted", "-z", "--numstat", "-M", "-O/dev/null", "--no-ext-diff",
                "--no-textconv", "--ignore-submodules=all", "--no-color", "--no-notes", _FORMAT,
                given="\n".join(shas).encode(),
            )  # fmt: skip
        except GitError as error:
            if not any(words in str(error) for words in _LACKING):
                raise
            if len(shas) == 1:
                self._warn_once(
                    "lacking",
                    f"commits are left out whose files are missing, such as {shas[0][:12]}: {error}",
                )
                return []
            half = len(shas) // 2
            return self._measure(shas[:half]) + self._measure(shas[half:])
        return parse_log(output)

    def _shallow_edge(self) -> frozenset[str]:
        path = Path(os.fsdecode(self._git("rev-parse", "--git-path", "shallow").rstrip(b"\n")))
        try:
            return frozenset((self.repo / path).read_text().split())
        except OSError:
            return frozenset()

    def _resolve(self, name: str) -> str | None:
        try:
            found = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        except GitError:
            return None
        return found.decode().strip() or None

    def _git(self, *arguments: str, given: bytes | None = None) -> bytes:
        return run_git(self.repo, *arguments, given=given)

    def _warn_once(self, kind: str, text: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            self._warn(text)

    def _save(self, position: Position) -> None:
        self.position = position
        if self._state_file is None:
            return
        self._state_file.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._state_file.with_name(self._state_file.name + ".new")
        scratch.write_text(json.dumps(asdict(position)) + "\n")
        scratch.replace(self._state_file)


def run_git(repo: Path, *arguments: str, given: bytes | None = None) -> bytes:
    """The standard output of `git -C repo …`; raises :class:`GitError` with git's own words in one line."""
    environment = {key: value for key, value in os.environ.items() if key not in _REDIRECTIONS}
    environment |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat"}
    if not repo.is_dir():
        raise GitError(f"{repo} is not a folder")
    try:
        done = subprocess.run(
            ["git", "-C", str(repo), *_NEUTRAL, *arguments],
            input=given if given is not None else b"",
            capture_output=True,
            env=environment,
            check=False,
            start_new_session=True,  # Ctrl-C is ours to handle
        )
    except FileNotFoundError:
        raise GitError("git is not installed") from None
    if done.returncode:
        words = " ".join(done.stderr.decode(errors="replace").split()).removeprefix("fatal: ")
        raise GitError(f"{repo}: {words or f'git ended with status {done.returncode}'}")
    return done.stdout


_REDIRECTIONS = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_EXTERNAL_DIFF"})
"""Set inside git hooks; they would send us to another repository than the one asked for."""


def parse_log(output: bytes) -> list[Commit]:
    """The commits in the output of `git log -z --numstat` with our header; bytes that are no UTF-8 read
    `\\xNN`.

    >>> parse_log(b"\\x01ab 0 1970-01-01T00:00:00+00:00\\x00\\n3\\t1\\ta.py\\x00")[0].files
    (FileChange(path='a.py', added=3, deleted=1, old_path=None),)
    """
    commits: list[Commit] = []
    files: list[FileChange] = []
    tokens = iter(output.split(b"\0"))
    for token in tokens:
        if token.startswith(b"\x01"):
            sha, epoch, iso = token[1:].decode().split(" ")
            files = []
            commits.append(Commit(sha, _rfc3339(iso, int(epoch)), int(epoch), ()))
        elif match := _NUMSTAT.fullmatch(token):
            added, deleted, path = match.groups()
            old = None
            if not path:  # a rename: the two names follow
                old, path = _text(next(tokens)), next(tokens)
            binary = added == b"-"
            files.append(FileChange(_text(path), None if binary else int(added), None if binary else int(deleted), old))
            commits[-1] = replace(commits[-1], files=tuple(files))
    return commits


def codebase_id(repo: Path) -> str:
    """`owner/name` of the remote `origin` (or the only remote), else the name of the repository's folder."""
    try:
        remotes = run_git(repo, "remote").decode(errors="replace").split()
        if remotes:
            name = "origin" if "origin" in remotes else remotes[0]
            if found := remote_name(_text(run_git(repo, "config", "--get", f"remote.{name}.url")).strip()):
                return found
        top = _text(run_git(repo, "rev-parse", "--show-toplevel").rstrip(b"\n"))
    except GitError:  # a bare repository has no top level
        top = str(repo.resolve())
    return Path(top).name.removesuffix(".git") or "repository"


def remote_name(url: str) -> str | None:
    """`owner/name` in the URL of a remote, `None` for a path of this machine. A password in it is not kept.

    >>> remote_name("git@github.com:acme/shop.git"), remote_name("https://me:secret@host.example/acme/shop/")
    ('acme/shop', 'acme/shop')
    """
    if "://" in url:
        address = urlsplit(url)
        path = "" if address.scheme == "file" else address.path
    elif match := re.fullmatch(r"(?:[^/@]+@)?[^/:]{2,}:(.+)", url):
        path = match[1]
    else:
        path = ""
    parts = path.removesuffix("/").removesuffix(".git").split("/")
    return "/".join([part for part in parts if part not in ("", ".", "..", "~")][-2:]) or None


def _rfc3339(iso: str, epoch: int) -> str:
    """Git's own text where it is a valid time; a broken offset or year falls back to UTC."""
    try:
        moment = datetime.fromisoformat(iso)
        if moment.tzinfo is not None and int(moment.timestamp()) == epoch:
            return moment.isoformat()
    except (ValueError, OverflowError):
        pass
    try:
        return datetime.fromtimestamp(epoch, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return iso or str(epoch)  # no such time: the reader rejects it by name


def _text(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")


def _load(state_file: Path | None, codebase: str) -> Position:
    """The stored position; a file that is not this repository's is an error rather than a silent gap."""
    if state_file is None or not state_file.exists():
        return Position(codebase)
    try:
        fields = json.loads(state_file.read_text())
        position = Position(**{**fields, "heads": tuple(fields["heads"])})
    except (ValueError, TypeError, KeyError):
        raise GitError(f"{state_file} is no state of this collector: delete it to read all again") from None
    if position.codebase_id != codebase:
        raise GitError(f"{state_file} belongs to {position.codebase_id}, not to {codebase}")
    return position
