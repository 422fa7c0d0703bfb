"""The file of rules for sequences: where it is, and how a running flow takes a new one without a restart."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from flows.nightly_settings import RULES_FILE
from flows.settings import Settings, SettingsError, variable
from operators.detect.rules import RuleError, Rules, load_rules

log = logging.getLogger(__name__)

Mark = tuple[int, int, int]
"""What tells one file from the next: time of change in ns, size, inode."""


def rules_path(settings: Settings) -> Path:
    """Where `hindsight nightly` writes and the stream reads: the file that the settings name, or the default.

    >>> from flows.settings import load
    >>> rules_path(load(env_file=None, data_dir="/srv/hindsight", sequence_rules="")).as_posix()
    '/srv/hindsight/nightly/sequence-rules.json'
    """
    return settings.sequence_rules or settings.data_dir / RULES_FILE


class SequenceRules:
    """The rules of the file, read again when it has changed.

    A default file that is not there means no rules. Once loaded, a file that can't be read or makes no sense is told
    of once, and the rules before it stay; so do they when a file that was named is gone.
    """

    def __init__(
        self,
        settings: Settings,
        on_loaded: Callable[[int], object] = lambda _: None,
        on_refused: Callable[[], object] = lambda: None,
    ) -> None:
        """Read the file. `on_loaded` is told how many rules there are, `on_refused` of a new file that is no good.

        :raises SettingsError: with one line, for a file that can't be read or makes no sense, or a named one that is
            missing.
        """
        self.path = rules_path(settings)
        self._named = settings.sequence_rules is not None
        self._on_loaded = on_loaded
        self._on_refused = on_refused
        self._mark = self._look()
        try:
            self._rules = self._read(self._mark)
        except RuleError as problem:
            where = f"setting {variable('sequence_rules')}: " if self._named else "rules of the nightly flow: "
            raise SettingsError(f"{where}{problem}") from None
        self._on_loaded(len(self._rules.by_id))

    def __call__(self) -> Rules:
        """The rules as of now; the same object until the file has changed for the better."""
        mark = self._look()
        if mark != self._mark:
            self._mark = mark
            try:
                self._rules = self._read(mark)
            except RuleError as problem:
                log.warning("new sequence rules are refused, the old ones stay: %s", problem)
                self._on_refused()
            else:
                log.info("%d sequence rules from %s", len(self._rules.by_id), self.path)
                self._on_loaded(len(self._rules.by_id))
        return self._rules

    def _look(self) -> Mark | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError:
            return (0, 0, 0)  # reading it says what is wrong
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self, mark: Mark | None) -> Rules:
        if mark is None and not self._named:
            return Rules(())
        return load_rules(self.path)
