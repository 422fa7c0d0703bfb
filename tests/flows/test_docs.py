from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

import psycopg
import pytest

from flows import docs, docs_catalogue, docs_departures, docs_tables
from flows.settings import Settings, variable
from operators import events, types
from sinks.migrate import migrate

ROOT = Path(__file__).parent.parent.parent


def blocks(page: str, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def test_stale_page_is_named_and_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(docs, "__file__", str(tmp_path / "flows" / "docs.py"))
    assert docs.main(["--check"]) == 1
    assert "docs/settings.md is not current" in capsys.readouterr().err
    assert docs.main([]) == 0
    assert docs.main(["--check"]) == 0
    (tmp_path / "docs/settings.md").write_text("old")
    assert docs.main(["--check"]) == 1


def test_every_setting_has_its_line() -> None:
    page, example = docs.settings_page(), docs.env_example()
    for name in Settings.model_fields:
        assert page.count(f"| `{variable(name)}` |") == 1
        assert example.count(f"\n#{variable(name)}=") == 1


def test_pages_do_not_depend_on_the_settings_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    before = docs.settings_page(), docs.commands_page()
    monkeypatch.setenv("ANALYTICS_BATCH_SIZE", "17")
    monkeypatch.setenv("COLUMNS", "40")
    assert (docs.settings_page(), docs.commands_page()) == before


def test_every_type_and_reason_is_in_the_producers_page() -> None:
    page = (ROOT / "docs/events.md").read_text(encoding="utf-8")
    for reason in events.REASONS:
        assert page.count(f"| `{reason}` |") == 1
    for event in events.Event.__args__:
        assert f"### {event.__struct_config__.tag}\n" in page


def test_the_producers_examples_are_valid_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for example in blocks("docs/events.md", "json"):
        events.decode(example.encode())
    monkeypatch.chdir(tmp_path)
    exec(blocks("docs/events.md", "python")[0], {})
    event = events.decode((tmp_path / "events.jsonl").read_bytes())
    assert isinstance(event, types.MetricSampled)
    assert event.data.metric_value == 0.312


def test_the_readmes_example_makes_valid_events() -> None:
    found = re.search(r"<<'PYTHON'\n(.*?)^PYTHON$", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.M)
    assert found
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(found[1], {})
    lines = printed.getvalue().splitlines()
    assert len(lines) == 720
    for line in lines:
        events.decode(line.encode())
    assert len({json.loads(line)["id"] for line in lines}) == 720


PAGES = ("operations", "tables", "events", "producers", "python", "storage", "queries", "alerts", "incidents")


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{name}.md" for name in PAGES)])
def test_links_lead_somewhere_and_named_settings_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert ((ROOT / page).parent / target).exists(), target
    for name in re.findall(r"ANALYTICS_[A-Z_]+", text):
        assert name in {variable(field) for field in Settings.model_fields}, name


def test_the_page_of_tables_is_current(empty_database: str) -> None:
    migrate(empty_database, wanted="plain")
    page = docs_tables.page(empty_database, docs.table, docs.NOTE)
    assert page == (ROOT / "docs/tables.md").read_text(encoding="utf-8"), "'make docs' writes docs/tables.md"


def test_a_departure_without_a_reason_and_a_reason_without_a_departure_are_named(empty_database: str) -> None:
    migrate(empty_database, wanted="plain")
    with psycopg.connect(empty_database) as connection:
        connection.execute("ALTER TABLE ml_models DROP COLUMN model_purpose, ALTER algorithm_name TYPE varchar(100)")
        connection.execute("DROP INDEX idx_task_executions_start_time; DROP TABLE series CASCADE")
        found = docs_catalogue.relations(connection, "public")
        differences = docs_departures.differences(docs_tables.specification(connection), found)
    assert not [line for line in differences if line.startswith("type ml_models.algorithm_name")]
    with pytest.raises(docs_departures.UnexplainedError) as caught:
        docs_departures.explain(differences)
    assert set(str(caught.value).split("; ")) == {
        "no reason for 'column ml_models.model_purpose: dropped'",
        "no reason for 'index idx_task_executions_start_time: dropped'",
        "no difference for 'table series: added'",
    }


def test_the_specification_has_its_tables_and_indexes(empty_database: str) -> None:
    with psycopg.connect(empty_database) as connection:
        wanted = docs_tables.specification(connection)
    assert len(wanted) == 31
    assert sum(len(table.indexes) for table in wanted.values()) == 15
