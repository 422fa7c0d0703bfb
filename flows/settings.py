"""Settings: one typed object, read from options, ``ANALYTICS_*`` variables and ``.env`` (the first wins).

Names and defaults are the specification's where it has them; every field's description (with its unit) is
the text of ``docs/settings.md``. A wrong value raises :class:`SettingsError`, printed as one line.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import click
from pydantic import Field, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from flows import alert_settings, api_settings, collector_settings, incident_settings, nightly_settings
from flows.wording import rule
from operators.events import TOPICS

PREFIX = "ANALYTICS_"
"""What every variable's name starts with."""

DEFAULT_THRESHOLDS: Mapping[str, float] = {
    "high_cpu_usage": 0.8,
    "high_memory_usage": 0.85,
    "slow_response_time": 2.0,
    "high_error_rate": 0.05,
}
"""The specification's alert thresholds: shares of 1, and seconds for ``slow_response_time``."""

SECRET_FIELDS = frozenset({"database_url", "kafka_config", "alertmanager_urls"}) | alert_settings.SECRETS
"""Fields that may carry a password: shown only redacted."""


OPTIONS: Mapping[str, str] = {"partition_subset": "--subset"}
"""Fields whose command-line option is not simply the field's name."""


class SettingsError(click.ClickException):
    """A setting is wrong; the message is one line, the exit status 2."""

    exit_code = 2


class CoreSettings(BaseSettings):
    """The settings of the flow, the database and Kafka; :class:`Settings` is all of them."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, allow_inf_nan=False
    )

    # --- database
    database_url: str = Field(
        "postgresql://localhost:5432/analytics",
        description="URL of the PostgreSQL or TimescaleDB database. A password in it is never shown.",
    )
    batch_size: int = Field(
        5000,
        ge=1,
        le=1_000_000,
        description="Greatest number of records read in one poll, which is also one database transaction. "
        "5000, not the specification's 1000: rows go in by COPY, and fewer transactions cost less.",
    )
    write_queue_batches: int = Field(
        8,
        ge=1,
        le=1000,
        description="Batches that may wait for the database before reading pauses (back-pressure).",
    )
    raw_rows: bool = Field(
        True, description="Store a row for each metric and resource sample, and not the aggregates alone."
    )

    # --- Kafka
    brokers: str = Field("localhost:9092", description="Kafka brokers, `HOST:PORT[,HOST:PORT…]`.")
    topic_prefix: str = Field(
        "hindsight",
        description="First part of the names of all topics.",
    )
    topics: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Input topics, separated by commas. Empty: the six of the contract, with the prefix."
    )
    group_id: str = Field(
        "hindsight",
        min_length=1,
        description="Consumer group to which positions are committed; other Kafka tools see the lag.",
    )
    kafka_config: Annotated[dict[str, str | int | float | bool], NoDecode] = Field(
        default_factory=dict,
        description="Further librdkafka settings as a JSON object, such as SASL and TLS; kept out of logs.",
    )
    auto_offset_reset: Literal["earliest", "latest"] = Field(
        "earliest", description="Where a partition without a stored position starts."
    )
    partition_subset: str = Field(
        "0/1",
        description="`i/k`: of k independent processes this is number i (from 0); it reads the partitions "
        "whose number modulo k is i.",
    )
    output_topics: bool = Field(
        True,
        description="With Kafka input, also write window aggregates, patterns and dead letters to Kafka.",
    )
    max_record_bytes: int = Field(
        1_048_576,
        ge=1024,
        description="Greatest size of a record in bytes; a larger one becomes a dead letter.",
    )

    # --- time and windows
    pane_seconds: int = Field(
        10, ge=1, le=10, description="Length of a base pane in seconds of event time: 1, 2, 5 or 10."
    )
    lateness_seconds: float = Field(
        5.0, ge=0, le=86_400, description="How far, in seconds of event time, a record may lag the watermark."
    )
    idle_flush_seconds: float = Field(
        5.0,
        gt=0,
        le=86_400,
        description="Seconds by the clock after which a partition with nothing to read closes its panes.",
    )
    future_limit_seconds: float = Field(
        300.0,
        ge=0,
        description="Seconds that an event's time may be ahead of the clock; beyond, it is a dead letter.",
    )

    # --- detection
    real_time_detection_enabled: bool = Field(True, description="Run the detectors on the stream.")
    pattern_confidence_threshold: float = Field(
        0.7, ge=0, le=1, description="Patterns below this confidence (0 to 1) are not stored."
    )
    anomaly_detection_sensitivity: float = Field(
        0.95,
        gt=0,
        lt=1,
        description="Sensitivity of the anomaly detectors (0 to 1): greater finds more, and errs more.",
    )
    alert_thresholds: Annotated[dict[str, float], NoDecode] = Field(
        default_factory=lambda: dict(DEFAULT_THRESHOLDS),
        description="Threshold rules as a JSON object; a rule left out keeps its default. Shares are between "
        "0 and 1 (0.8 = 80 %), `slow_response_time` is in seconds.",
    )

    # --- recovery and files
    recovery_dir: Path = Field(
        Path(".hindsight/recovery"), description="Folder of the recovery snapshots: where a restart goes on."
    )
    epoch_seconds: float = Field(
        10.0, gt=0, le=3600, description="Seconds between recovery snapshots: what a kill -9 repeats at most."
    )
    maintenance_seconds: float = Field(
        300.0, ge=0, le=86_400, description="Seconds between runs of the database's upkeep inside the flow; 0 = none."
    )
    data_dir: Path = Field(
        Path(".hindsight"), description="Folder of the embedded database and of the collectors' spool files."
    )

    # --- metrics and logs
    performance_monitoring_enabled: bool = Field(True, description="Serve metrics for Prometheus.")
    metrics_host: str = Field("127.0.0.1", min_length=1, description="Address on which metrics are served.")
    metrics_port: int = Field(9464, ge=0, le=65_535, description="Port on which metrics are served; 0 = none.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level of the log lines on stderr; `debug` also shows tracebacks."
    )
    log_format: Literal["text", "json"] = Field("text", description="Form of the log lines.")

    # --- collectors
    metrics_collection_interval: int = Field(
        60, ge=1, le=86_400, description="Seconds between two samples of `hindsight collect host`."
    )
    host_interval_seconds: float = Field(
        5.0,
        gt=0,
        le=3600,
        description="Seconds between two samples of this machine under `hindsight up`.",
    )
    git_repository: Path = Field(Path("."), description="Git repository whose history `hindsight up` reads.")

    @field_validator("database_url")
    @classmethod
    def _postgres_url(cls, value: str) -> str:
        if not value.startswith(("postgresql://", "postgres://")):
            raise ValueError("must be a URL that starts with postgresql://")
        return value

    @field_validator("brokers")
    @classmethod
    def _broker_list(cls, value: str) -> str:
        brokers = [broker.strip() for broker in value.split(",")]
        if not all(re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^\s:/]+):[0-9]{1,5}", broker) for broker in brokers):
            raise ValueError("must be HOST:PORT, or several separated by commas")
        return ",".join(brokers)

    @field_validator("topic_prefix")
    @classmethod
    def _topic_characters(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,200}", value):
            raise ValueError("must be letters, digits, '.', '_' or '-'")
        return value

    @field_validator("topics", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        if isinstance(value, str):
            value = [name.strip() for name in value.split(",") if name.strip()]
        if isinstance(value, Iterable):
            value = tuple(value)
            for name in value:
                if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", str(name)):
                    raise ValueError("must be topic names (letters, digits, '.', '_', '-') separated by commas")
        return value

    @field_validator("partition_subset")
    @classmethod
    def _subset_in_range(cls, value: str) -> str:
        if re.fullmatch(r"[0-9]{1,6}/[0-9]{1,6}", value):
            index, count = value.split("/")
            if int(index) < int(count):
                return value
        raise ValueError("must be i/k with i from 0 to k-1, such as 0/2")

    @field_validator("pane_seconds")
    @classmethod
    def _divides_ten(cls, value: int) -> int:
        if 10 % value:
            raise ValueError("must be 1, 2, 5 or 10, so that windows of 10 s can be merged from panes")
        return value

    @field_validator("log_level", "log_format", "auto_offset_reset", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("alert_thresholds", mode="before")
    @classmethod
    def _json_object(cls, value: object) -> Mapping[str, Any]:
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                raise ValueError("must be a JSON object") from None
        if not isinstance(value, Mapping):
            raise ValueError("must be a JSON object")
        return value

    @field_validator("kafka_config", mode="before")
    @classmethod
    def _librdkafka_settings(cls, value: Any) -> object:
        value = cls._json_object(value)
        if not all(isinstance(entry, (str, int, float, bool)) for entry in value.values()):
            raise ValueError("must be a JSON object of strings, numbers and booleans")
        for name, setting in (("bootstrap.servers", "brokers"), ("group.id", "group_id")):
            if name in value:
                raise ValueError(f"must not hold {name}, which is set by {variable(setting)}")
        return value

    @field_validator("alert_thresholds")
    @classmethod
    def _known_thresholds(cls, value: dict[str, float]) -> dict[str, float]:
        for name, limit in value.items():
            if name not in DEFAULT_THRESHOLDS:
                raise ValueError(f"must not hold {name!r}; the rules are {', '.join(DEFAULT_THRESHOLDS)}")
            if not limit > 0:
                raise ValueError(f"must hold a number greater than 0 for {name!r}")
            if limit > 1 and name != "slow_response_time":
                raise ValueError(f"must hold a share between 0 and 1 for {name!r}, such as 0.8 for 80 %")
        return {**DEFAULT_THRESHOLDS, **value}

    @property
    def subset(self) -> tuple[int, int]:
        """``partition_subset`` as ``(i, k)``."""
        index, count = self.partition_subset.split("/")
        return int(index), int(count)

    @property
    def input_topics(self) -> tuple[str, ...]:
        """The topics to read: those set, or the six of the contract."""
        return self.topics or tuple(f"{self.topic_prefix}.events.{kind}.v1" for kind in TOPICS)

    def public(self) -> dict[str, Any]:
        """Every field by name, with secrets redacted: fit for a log line or a bug report."""
        return {name: redact(name, getattr(self, name)) for name in type(self).model_fields}

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return list(self.public().items())


class Settings(  # in this order, the core's fields come first
    collector_settings.CollectorSettings,
    nightly_settings.NightlySettings,
    api_settings.ApiSettings,
    alert_settings.AlertSettings,
    incident_settings.IncidentSettings,
    CoreSettings,
):
    """What a Hindsight process is told from outside; immutable once read.

    Use :func:`load`, which turns a wrong value into a :class:`SettingsError`.

    >>> settings = load(env_file=None, batch_size=100)
    >>> settings.batch_size, settings.subset, settings.input_topics[0]
    (100, (0, 1), 'hindsight.events.metric.v1')
    """


def load(*, env_file: str | Path | None = ".env", **options: Any) -> Settings:
    """Read the settings.

    ``options`` are what the command line was given, by field name; ``None`` means "not given". They win over
    the process environment, which wins over ``env_file``; an empty variable counts as not set.

    Raises :class:`SettingsError`: the option or variable, its value (unless secret) and what is allowed.

    >>> load(env_file=None, batch_size="many")
    Traceback (most recent call last):
    ...
    flows.settings.SettingsError: option --batch-size='many': must be a whole number
    """
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in Settings.model_fields:
            raise TypeError(f"there is no setting {name!r}")
    try:
        return Settings(_env_file=env_file, **given)
    except ValidationError as error:
        raise SettingsError(_one_line(error.errors(), frozenset(given))) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"settings file {env_file}: cannot be read ({error})") from None


def variable(field: str) -> str:
    """The environment variable of a field.

    >>> variable("batch_size")
    'ANALYTICS_BATCH_SIZE'
    """
    return PREFIX + field.upper()


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """One message for each ``ANALYTICS_*`` variable that no setting has (a typing error, most often).

    ``ANALYTICS_TEST_*`` belongs to the test suite and is left alone.

    >>> unknown_variables({"ANALYTICS_BATCHSIZE": "3", "HOME": "/"})
    ['ANALYTICS_BATCHSIZE has no effect; did you mean ANALYTICS_BATCH_SIZE?']
    """
    known = [variable(field) for field in Settings.model_fields]
    messages = []
    for name in sorted(environment):
        if name.startswith(PREFIX) and not name.startswith(PREFIX + "TEST_") and name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            hint = f"; did you mean {close[0]}?" if close else ": there is no such setting"
            messages.append(f"{name} has no effect{hint}")
    return messages


def redact_url(url: str) -> str:
    """The URL (or libpq keyword string) without its password.

    >>> redact_url("postgresql://ada:s3@cret@db:5432/x?sslpassword=a&application_name=b")
    'postgresql://ada:***@db:5432/x?sslpassword=***&application_name=b'
    >>> redact_url("host=db password='a b' user=ada")
    'host=db password=*** user=ada'
    """
    # Up to the last '@', whatever stands between: better to hide too much than a password with a slash in it.
    url = re.sub(r"(://[^:@/?#]*):.*@", r"\1:***@", url)
    return re.sub(r"(\w*password\s*=\s*)('[^']*'|[^&\s]*)", r"\1***", url, flags=re.IGNORECASE)


def redact(field: str, value: Any) -> Any:
    """A field's value as it may be shown: no password, none of the librdkafka values."""
    if field == "kafka_config":
        return dict.fromkeys(value, "***") if isinstance(value, Mapping) else "***"
    if field == "database_url":
        return redact_url(str(value))
    return alert_settings.redact(field, value)


def _one_line(errors: list[ErrorDetails], options: frozenset[str]) -> str:
    """The first of the errors, as ``setting NAME='value': must be …``."""
    first = errors[0]
    more = "" if len(errors) == 1 else f" (and {len(errors) - 1} more)"
    field = str(first["loc"][0])
    option = OPTIONS.get(field, "--" + field.replace("_", "-"))
    name = f"option {option}" if field in options else f"setting {variable(field)}"
    entry = f" at {first['loc'][1]!r}" if len(first["loc"]) > 1 else ""
    shown = redact(field, first["input"])
    shown = repr(shown if isinstance(shown, (str, int, float, bool)) else str(shown))
    return f"{name}={shown}{entry}: {rule(first)}{more}"
