from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from flows import settings
from flows.settings import Settings, SettingsError, load, redact_url, variable


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.upper().startswith("ANALYTICS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def complaint(**options: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        load(**options)
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.format_message()
    return caught.value.format_message()


def test_specification_names_and_defaults() -> None:
    # Section 4.4 of the specification.
    found = load()
    assert found.database_url == "postgresql://localhost:5432/analytics"
    assert found.real_time_detection_enabled is True
    assert found.pattern_confidence_threshold == 0.7
    assert found.anomaly_detection_sensitivity == 0.95
    assert found.performance_monitoring_enabled is True
    assert found.metrics_collection_interval == 60
    assert found.alert_thresholds == {
        "high_cpu_usage": 0.8,
        "high_memory_usage": 0.85,
        "slow_response_time": 2.0,
        "high_error_rate": 0.05,
    }


def test_option_beats_process_environment_beats_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("ANALYTICS_BATCH_SIZE=10\nANALYTICS_GROUP_ID=file\nANALYTICS_TOPIC_PREFIX=file\n")
    monkeypatch.setenv("ANALYTICS_BATCH_SIZE", "20")
    monkeypatch.setenv("ANALYTICS_GROUP_ID", "environment")
    found = load(batch_size=30, group_id=None)
    assert (found.batch_size, found.group_id, found.topic_prefix) == (30, "environment", "file")


def test_file_may_hold_json_and_other_peoples_variables() -> None:
    Path(".env").write_text(
        'ANALYTICS_ALERT_THRESHOLDS={"high_cpu_usage": 0.5}\n'
        'ANALYTICS_KAFKA_CONFIG={"sasl.password": "a#b", "socket.keepalive.enable": true, "retries": 3}\n'
        "OTHER=1\n"
    )
    found = load()
    assert found.alert_thresholds["high_cpu_usage"] == 0.5
    assert found.alert_thresholds["high_error_rate"] == 0.05
    assert found.kafka_config == {"sasl.password": "a#b", "socket.keepalive.enable": True, "retries": 3}


def test_example_file_with_every_line_enabled_is_the_defaults() -> None:
    example = Path(settings.__file__).parent.parent / ".env.example"
    lines = [line.removeprefix("#") for line in example.read_text(encoding="utf-8").splitlines()]
    Path(".env").write_text("\n".join(line for line in lines if line.startswith("ANALYTICS_")))
    assert len(Path(".env").read_text().splitlines()) == len(Settings.model_fields)
    assert load() == load(env_file=None)


def test_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_BATCH_SIZE", "")
    monkeypatch.setenv("ANALYTICS_TOPICS", "")
    assert load().batch_size == 5000
    assert load().input_topics[-1] == "hindsight.events.feedback.v1"


def test_topics_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_TOPICS", "a.v1, b_2 ,")
    assert load().input_topics == ("a.v1", "b_2")
    assert load(topics=["c"]).input_topics == ("c",)
    assert len(load(topics="", topic_prefix="x").input_topics) == 6


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("batch_size", "many", "='many': must be a whole number"),
        ("batch_size", "0", "='0': must be at least 1"),
        ("batch_size", "1.5", "='1.5': must be a whole number"),
        ("raw_rows", "perhaps", "='perhaps': must be true or false"),
        ("pattern_confidence_threshold", "1.1", "='1.1': must be at most 1"),
        ("lateness_seconds", "nan", "='nan': must be a finite number"),
        ("lateness_seconds", "-1", "='-1': must be at least 0"),
        ("pane_seconds", "7", "='7': must be 1, 2, 5 or 10"),
        ("auto_offset_reset", "error", "='error': must be 'earliest' or 'latest'"),
        ("log_level", "loud", "='loud': must be 'debug', 'info', 'warning' or 'error'"),
        ("brokers", "localhost", "='localhost': must be HOST:PORT"),
        ("topics", "a b", "='a b': must be topic names"),
        ("topic_prefix", "a/b", "='a/b': must be letters"),
        ("partition_subset", "2/2", "='2/2': must be i/k"),
        ("partition_subset", "half", "='half': must be i/k"),
        ("metrics_port", "65536", "='65536': must be at most 65535"),
        ("alert_thresholds", "{", "='{': must be a JSON object"),
        ("alert_thresholds", "[1]", "='[1]': must be a JSON object"),
        ("alert_thresholds", '{"hot": 1}', "must not hold 'hot'; the rules are high_cpu_usage,"),
        (
            "alert_thresholds",
            '{"high_cpu_usage": 0}',
            "must hold a number greater than 0 for 'high_cpu_usage'",
        ),
        ("alert_thresholds", '{"high_cpu_usage": "x"}', "at 'high_cpu_usage': must be a number"),
        ("kafka_config", '{"a": [1]}', "='***': must be a JSON object of strings, numbers and booleans"),
        ("kafka_config", '{"group.id": "x"}', "must not hold group.id, which is set by ANALYTICS_GROUP_ID"),
    ],
)
def test_wrong_value_is_one_line_with_the_variables_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable(name), value)
    line = complaint()
    assert line.startswith(f"setting {variable(name)}=")
    assert message in line


def test_wrong_option_is_named_as_the_user_wrote_it() -> None:
    assert complaint(partition_subset="3/2").startswith("option --subset='3/2': ")
    assert complaint(batch_size=0).startswith("option --batch-size=0: ")


def test_several_wrong_values_are_counted() -> None:
    assert complaint(batch_size=0, metrics_port=-1, log_level="x").endswith("(and 2 more)")


def test_unreadable_file_is_one_line() -> None:
    Path(".env").write_bytes(b"ANALYTICS_GROUP_ID=\xff\xfe\n")
    assert complaint().startswith("settings file .env: cannot be read")


def test_option_that_is_no_setting_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="no setting 'batchsize'"):
        load(batchsize=1)


def test_settings_do_not_change() -> None:
    found = load()
    with pytest.raises(ValueError, match="frozen"):
        setattr(found, "batch_size", 1)  # noqa: B010 - the type checker knows it already


SECRET = "s3:cr@t/"


@pytest.mark.parametrize("text", [repr, str, lambda found: str(found.public())])
def test_secrets_are_not_shown(text: Any) -> None:
    found = load(database_url=f"postgresql://ada:{SECRET}@db/x", kafka_config='{"sasl.password": "hush"}')
    assert SECRET in found.database_url
    shown = text(found)
    assert "s3" not in shown
    assert "cr@t" not in shown
    assert "hush" not in shown
    assert "sasl.password" in shown


def test_secrets_are_not_shown_in_complaints() -> None:
    assert "s3" not in complaint(database_url=f"mysql://ada:{SECRET}@db/x")
    assert "hush" not in complaint(kafka_config='{"sasl.password": "hush"')
    assert "hush" not in complaint(kafka_config='{"sasl.password": ["hush"]}')


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:pw@db:5432/x", "postgresql://ada:***@db:5432/x"),
        ("postgresql://ada@db/x", "postgresql://ada@db/x"),
        ("postgresql://[::1]:5432/x", "postgresql://[::1]:5432/x"),
        ("postgresql://ada:pw@[::1]:5432,h2:1/x", "postgresql://ada:***@[::1]:5432,h2:1/x"),
        ("postgresql://ada:p/w@db/x", "postgresql://ada:***@db/x"),
        ("postgresql://ada:p?w#@db/x?sslmode=require", "postgresql://ada:***@db/x?sslmode=require"),
        ("postgresql://:pw@db/x", "postgresql://:***@db/x"),
        (
            "postgresql://db/x?user=a&password=pw&sslmode=require",
            "postgresql://db/x?user=a&password=***&sslmode=require",
        ),
        ("host=db password=pw user=a", "host=db password=*** user=a"),
    ],
)
def test_redacted_url(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_unknown_variables_are_named() -> None:
    messages = settings.unknown_variables(
        {
            "ANALYTICS_REDIS_URL": "x",
            "ANALYTICS_BROKER": "x",
            "ANALYTICS_TEST_URL": "x",
            "ANALYTICS_BROKERS": "x",
        }
    )
    assert messages == [
        "ANALYTICS_BROKER has no effect; did you mean ANALYTICS_BROKERS?",
        "ANALYTICS_REDIS_URL has no effect: there is no such setting",
    ]


def test_every_setting_says_what_it_is() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
        if name.endswith(("_seconds", "_interval")):
            assert "econds" in field.description, name
