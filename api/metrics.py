"""What an API process says about itself, for Prometheus. Labels are route templates and fixed words."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Upper bounds of the histogram, seconds; 2 is the promise."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class ApiMetrics:
    """The registry and its metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self.requests = Counter(
            "hindsight_api_requests", "Requests by route and status.", ["method", "route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "hindsight_api_request_seconds", "Time to answer, live streams left out.", ["route"], buckets=BUCKETS,
            registry=registry,
        )  # fmt: skip
        self.running = Gauge("hindsight_api_requests_running", "Requests at work, streams too.", registry=registry)
        self.cached = Counter("hindsight_api_cached", "Answers that were given again.", registry=registry)
        self.refused = Counter(
            "hindsight_api_refused", "Requests refused by a limit: rate, size, time, busy.", ["limit"],
            registry=registry,
        )  # fmt: skip
        self.events = Counter(
            "hindsight_api_events", "Events sent in: accepted, or rejected by reason.", ["outcome", "reason"],
            registry=registry,
        )  # fmt: skip
        self.streams = Gauge("hindsight_api_streams", "Live streams that are open.", registry=registry)
        self.analyses = Counter(
            "hindsight_api_analyses", "Analyses that ended in this process.", ["status"], registry=registry
        )

    def text(self) -> bytes:
        """All of it, in Prometheus's format."""
        return generate_latest(self.registry)
