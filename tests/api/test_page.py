"""The page in a real browser: each view with rows and without, by mouse and by keys, in both themes and on a phone."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from api.app import create
from api.tokens import new_token
from sql.store.pipelines import PipelineExecution
from sql.store.stream import DeadLetter
from tests.api.browser import chromium, opened
from tests.api.conftest import CONFIG, Api, empty
from tests.api.rows import MINUTE, T0, opportunity, pattern, patterns, series
from tests.api.serving import served

VIEWS = {
    "": "Overview", "patterns": "Patterns", "series": "Series", "work": "Pipelines and tasks",
    "findings": "Nightly findings", "recommendations": "Recommendations", "system": "System",
}  # fmt: skip
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
RULES: dict[str, Any] = {
    "light": {"resultTypes": ["violations"]},
    "dark": {"runOnly": ["color-contrast"]},  # all else is the same there
    "phone": {"runOnly": ["target-size", "meta-viewport", "scrollable-region-focusable"]},
}
"""What axe looks for."""
LETTER = b'{"metric": "<img src=x onerror=alert(1)>"}'


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def site(module_database: str) -> Iterator[Api]:
    """The application on a port, with `url` and tokens."""
    made = create(module_database, CONFIG)
    with served(made) as url:
        api = Api(made, None, url, None)  # type: ignore[arg-type]
        yield api


@pytest.fixture
def filled(site: Api, module_database: str) -> Api:
    """With rows of every kind."""
    empty(module_database)
    store = site.store
    store.patterns.patterns.save_all([pattern(n, severity=s) for n, s in enumerate(["critical", "high", "low"], 1)])
    store.patterns.patterns.save(pattern(40, entity="<b>web</b>", pattern_name="<img src=x onerror=alert(1)>"))
    store.patterns.patterns.save(
        pattern(
            50, detection_algorithm="nightly: rules", explanation="When lint fails, deploy fails.", pattern_type="rule",
            pattern_data={"class": "x", "support": 9, "total": 12, "status": "confirmed", "sql": "SELECT 9"},
        )
    )  # fmt: skip
    store.performance.opportunities.save(opportunity())
    store.stream.dead_letters.save(
        DeadLetter(
            id=uuid.UUID(int=1), topic="a.v1", partition=0, record_offset=7, reason="bad_data",
            detail="Expected `float`", record_value=LETTER, received_at=datetime.now(UTC),
        )
    )  # fmt: skip
    series(module_database, "web-1", "cpu_usage", [(m, 40.0 + m % 7) for m in [*range(-40, 12), *range(25, 45)]])
    with psycopg.connect(module_database) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO stream_counters VALUES ('a.v1', 0, %s, %s, %s, now())",
            [("read", "", 10), ("applied", "", 9), ("dead_letter", "bad_data", 1)],
        )
    store.pipelines.executions.save(
        PipelineExecution(
            pipeline_name="acme/shop", execution_id="r1", execution_start=T0, execution_end=T0 + MINUTE,
            status="failure", total_duration=60.0, trigger_type="webhook", event_finished=True, event_time=T0,
            event_id="e",
        )
    )  # fmt: skip
    return site


def goes_to(page: Any, view: str) -> None:
    page.click(f'nav a[data-path="{view}"]')
    page.wait_for_selector(f'main h1:text-is("{VIEWS[view]}")')


def test_every_view_without_rows_says_what_to_do(site: Api, browser: Any) -> None:
    with opened(browser, site.url) as page:
        for view, title in VIEWS.items():
            goes_to(page, view)
            assert page.title() == f"{title} – Hindsight"
            assert page.locator("nav a[aria-current=page]").inner_text() == title
        goes_to(page, "findings")
        assert "hindsight nightly" in page.inner_text("main")
        goes_to(page, "")
        assert "hindsight up" in page.inner_text("main")


def has_rows(page: Any, count: int) -> None:
    # The policy forbids what Playwright's own waiting for a condition would evaluate.
    deadline = time.monotonic() + 15
    while page.locator("tbody tr").count() != count:
        assert time.monotonic() < deadline
        page.wait_for_timeout(20)


@pytest.mark.parametrize("kind", ["light", "dark", "phone"])
def test_every_view_with_rows_fits_and_is_accessible(filled: Api, browser: Any, kind: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe for Playwright is not installed").Axe
    context = PHONE if kind == "phone" else {"color_scheme": kind, "viewport": {"width": 1280, "height": 800}}
    found = []
    with opened(browser, filled.url, **context) as page:
        detail = f"patterns/{uuid.UUID(int=1)}"
        for view in [*VIEWS, detail] if kind == "light" else ["", "patterns", detail, "system"]:
            page.goto(f"{filled.url}/#/{view}")
            page.wait_for_selector("main h1")
            page.wait_for_timeout(150)
            wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wider == 0, f"{view} is wider than the screen by {wider}"
            checked = axe().run(page, options=RULES[kind]).response
            assert checked["passes"], view
            for problem in checked["violations"]:
                places = [node["target"] for node in problem["nodes"]][:3]
                found.append(f"{view}: {problem['id']} ({problem['impact']}): {places}")
    assert not found


def test_a_finding_says_in_one_word_where_it_stands(filled: Api, browser: Any, module_database: str) -> None:
    data = {"class": "x", "support": 9, "total": 12, "status": "confirmed", "found_at": "2026-01-04T00:00:00+00:00"}
    common = {"detection_algorithm": "nightly: rules", "pattern_type": "rule"}
    filled.store.patterns.patterns.save_all(
        [
            pattern(
                51,
                pattern_data={**data, "missed": ["a", "b"]},
                confidence_score=0.49,
                explanation="It fades.",
                **common,
            ),
            pattern(52, pattern_data=data, explanation="It holds.", **common),
        ]
    )
    with psycopg.connect(module_database) as connection:
        connection.execute(
            "INSERT INTO nightly_runs (id, range_start, range_end, engine, status, problem, started_at, finished_at)"
            " VALUES (gen_random_uuid(), '2025-01-01Z', '2026-01-05Z', 'embedded', 'failed', 'no room', now(), now())"
        )
    with opened(browser, filled.url) as page:
        goes_to(page, "findings")
        assert "failed" in page.inner_text("main") and "no room" in page.inner_text("main")
        panels = {one.locator("h2").inner_text(): one.inner_text() for one in page.locator("section.panel").all()}
    assert "not found for 2 nights" in panels["It fades."] and "confirmed" not in panels["It fades."]
    assert "49" in panels["It fades."] and "Last found by the night up to" in panels["It fades."]
    assert "confirmed" in panels["It holds."] and "sure" not in panels["It holds."]


def test_what_others_wrote_is_text(filled: Api, browser: Any) -> None:
    with opened(browser, filled.url) as page:
        goes_to(page, "patterns")
        assert page.locator("main img").count() == 0
        assert "<img src=x onerror=alert(1)>" in page.inner_text("main")
        goes_to(page, "system")
        page.click("details.letter summary")
        assert page.inner_text("details.letter pre") == LETTER.decode()
        assert "bad data" in page.inner_text("details.letter summary")


def test_filters_are_in_the_address_and_sorting_works(filled: Api, browser: Any) -> None:
    with opened(browser, f"{filled.url}/") as page:
        goes_to(page, "patterns")
        assert page.locator("tbody tr").count() == 4
        page.select_option("#cSeverity", "critical")
        has_rows(page, 1)
        assert "severities=critical" in page.url
        page.reload()
        has_rows(page, 1)
        page.select_option("#cSeverity", "")
        has_rows(page, 4)
        page.fill("#eEntitycontains", "WEB-1")
        has_rows(page, 3)
        first = page.inner_text("tbody tr th")
        page.click("th button:has-text('Found')")
        page.wait_for_selector("th[aria-sort=ascending]")
        assert page.inner_text("tbody tr th") != first


def test_a_pattern_is_drawn_and_judged_with_one_click(filled: Api, browser: Any) -> None:
    identifier = uuid.UUID(int=3)
    # As `hindsight up` prints it: the token goes out of sight.
    with opened(browser, f"{filled.url}/#token={filled.tokens['write']}") as page:
        page.wait_for_selector("#token:has-text('✓')")
        assert "token" not in page.url
        page.goto(f"{filled.url}/#/patterns/{identifier}")
        page.wait_for_selector("svg .mark")
        for part in ("svg .line", "svg .gap", "svg .level"):
            assert page.locator(part).count() >= 1, part
        assert "The pattern from" in page.locator("figure svg").get_attribute("aria-label")
        page.click("button:text-is('False alarm')")
        page.wait_for_selector("button[aria-pressed=true]:text-is('False alarm')")
        assert "signed test write" in page.inner_text("main")
    (said,) = filled.store.patterns.detail(identifier).classifications
    assert (said.classification_value, said.actor) == ("false_positive", "test write")


def test_judging_asks_for_a_token_where_there_is_none(filled: Api, browser: Any) -> None:
    token, row = new_token("ada", "write")
    filled.store.tokens.tokens.create(row)
    with opened(browser, f"{filled.url}/") as page:
        page.goto(f"{filled.url}/#/patterns/{uuid.UUID(int=1)}")
        page.click("button:text-is('Right, but expected')")
        page.fill("#token-value", token)
        page.press("#token-value", "Enter")
        page.wait_for_selector("button[aria-pressed=true]:text-is('Right, but expected')")
        page.click("#token")
        page.click("#token-forget")
        page.wait_for_selector("#token:text-is('Token')")
        assert page.evaluate("localStorage.getItem('hindsight-token')") is None


def test_by_keys_alone(filled: Api, browser: Any) -> None:
    with opened(browser, f"{filled.url}/") as page:
        page.wait_for_selector("main h1")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        goes_to(page, "series")
        page.wait_for_selector("figure svg")
        page.focus("figure svg")
        page.keyboard.press("Home")
        first = page.inner_text("figcaption")
        page.keyboard.press("ArrowRight")
        assert page.inner_text("figcaption") != first != ""
        assert page.get_attribute("figcaption", "aria-live") == "polite"


def test_the_explorer_zooms(filled: Api, browser: Any) -> None:
    with opened(browser, f"{filled.url}/") as page:
        goes_to(page, "series")
        page.wait_for_selector("figure svg .line")
        box = page.locator("svg .plot").bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.95, box["y"] + 50)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.99, box["y"] + 50, steps=4)
        page.mouse.up()
        page.wait_for_url("**start=**")
        page.click("button:text-is('Zoom out')")
        page.wait_for_selector("figure svg")


def test_what_is_found_shows_by_itself(filled: Api, browser: Any) -> None:
    with opened(browser, f"{filled.url}/") as page:
        page.wait_for_selector(".live.on")
        patterns(filled.store, 1, first=77)
        page.wait_for_selector(f'li.new[data-id="{uuid.UUID(int=77)}"]')
        page.click("#theme")
        theme = page.evaluate("document.documentElement.dataset.theme")
        page.reload()
        assert page.evaluate("document.documentElement.dataset.theme") == theme == "dark"
