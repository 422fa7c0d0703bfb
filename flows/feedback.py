"""People's verdicts from the database, for detection: read when the flow starts, and again every so often."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping

import psycopg

from operators.feedback import Adjustments, Label

log = logging.getLogger(__name__)

LABELS = """
SELECT p.entity, p.measure, p.pattern_type, c.classification_value,
    (extract(epoch FROM c.classified_at) * 1000000)::bigint
FROM pattern_classifications AS c
JOIN detected_patterns AS p ON p.id = c.pattern_id
WHERE c.human_verified AND c.classification_type = 'verdict'
"""

EVERY = 30.0
"""Seconds between two looks for new verdicts."""


def labels(url: str) -> list[Label]:
    """Every verdict of a person about a pattern that is known.

    :raises psycopg.Error: as the server does.
    """
    with psycopg.connect(url, connect_timeout=10, application_name="hindsight-feedback") as connection:
        return [Label(*row) for row in connection.execute(LABELS)]


def adjustments_of(url: str) -> Adjustments:
    """What the verdicts that a database holds do to thresholds; raises `psycopg.Error` as the server does."""
    return Adjustments(labels(url))


class Following:
    """Keeps adjustments up to date, by a thread, while a flow runs. A database that is away changes nothing meanwhile.

    Without `every` (0) they are read once, which is what a history needs. `on_verdicts` is told how many verdicts there
    are by detector and verdict.
    """

    def __init__(
        self,
        url: str,
        every: float = EVERY,
        *,
        on_verdicts: Callable[[Mapping[tuple[str, str], int]], None] = lambda _: None,
        read: Callable[[str], list[Label]] = labels,
    ) -> None:
        self.adjustments = Adjustments()
        self._url = url
        self._every = every
        self._on_verdicts = on_verdicts
        self._read = read
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Adjustments:
        self._look()
        if self._every:
            self._thread = threading.Thread(target=self._run, name="feedback", daemon=True)
            self._thread.start()
        return self.adjustments

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self._look()

    def _look(self) -> None:
        try:
            found = self._read(self._url)
            self.adjustments.replace(found)
            self._on_verdicts(Counter((label.detector, label.verdict) for label in found))
        except psycopg.Error as problem:
            log.debug("verdicts not read: %s", problem)
