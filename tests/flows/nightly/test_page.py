"""The report in a browser, on light and dark ground and on a phone; what it says of findings, and where links lead."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from flows.nightly import page
from sinks.nightly import Stored
from tests.api.browser import chromium, opened
from tests.flows.nightly.results import NIGHT, change, changed, finding, planted, result

CONTEXTS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 800}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 800}},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}


@pytest.fixture(scope="module")
def history():
    return planted.history(runs=400)


def first_series(history):
    return str(history.daily["entity"].iloc[0]), str(history.daily["measure"].iloc[0])


@pytest.fixture(scope="module")
def made(history):
    entity, measure = first_series(history)
    point = change(entity, 0.9)
    point = finding("c", 0.9, **{
        name: getattr(point.finding, name) for name in ("kind", "entities", "evidence", "sentence")
    }, measure=measure)  # fmt: skip
    long = finding(
        "l",
        0.4,
        status="pending",
        entities=("calm",),
        sentence="Runs of " + "x" * 200 + " fail.",
        sql="SELECT " + "y" * 300,
        evidence={
            "texts": [f"assert <{at}> & {'z' * 100}" for at in range(8)], "different_texts": 12, "near_to_none": 0.25,
            "family": [["socket", "refused"], ["disk", "quota"]],
        },
    )  # fmt: skip
    return result(
        found=[point, finding("a"), long],
        stored=Stored(new=1, again=2),
        skipped="60 of 100 rows cannot be",
        history=history,
    )


@pytest.fixture(scope="module")
def text(made, history):
    point, known, _ = made.found
    what = changed(first=[point], since=[known], weakened=2, retired=1)
    return page.page(NIGHT, made, history.daily, 0.9, what)


def test_findings_are_new_or_found_again_and_what_faded_is_listed(text, made):
    rows = re.findall(r'<li id="finding-(\d)">.*?</li>', text, re.DOTALL)
    assert rows == ["1", "2", "3"]
    about = [part.partition("</li>")[0] for part in text.split("<li id=")[1:]]
    assert 'class="chip new">new<' in about[0]
    assert "again, since 13 Feb 2026" in about[1] and ">new<" not in about[1]
    assert "a later night found it first" in about[2]
    assert "1 of them new" in text
    faded = text.partition('id="faded"')[2].partition("</section>")[0]
    assert faded.index("Retired") < faded.index("It is gone, number 0.") < faded.index("Weakened")
    assert "(1 night without it; last seen on 2 Mar 2026; 49 % sure)" in faded


def test_a_kind_of_error_shows_its_texts_and_its_family(text):
    shown = re.findall(r"<details><summary>Texts</summary>(.*?)</details>", text)
    assert len(shown) == 1 and shown[0].count("<li>") == 6 and "assert &lt;0&gt; &amp; zzz" in shown[0]
    assert "… and 6 more. 25 % of the texts are near to no others." in shown[0]
    assert "Of one family with: socket and refused; disk and quota." in shown[0]


def test_a_repeat_does_not_claim_its_own_second_as_the_night_s_cost(text, made, history):
    assert "Worked through in 40 s, of which this run did 0.9 s." in text
    assert "Worked through in 38 s.</p>" in page.page(NIGHT, made, history.daily, 38.2, changed(seconds=39.0))


def test_links_lead_somewhere_and_pictures_to_their_finding(text):
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    links = re.findall(r'<a href="#([^"]+)"', text)
    assert set(links) <= set(ids)
    assert "picture-3" in links and "finding-1" in links
    for part in ("findings", "faded", "pictures", "rules", "baselines", "data", "features"):
        assert part in links, part


def test_names_are_escaped_and_days_look_alike(text):
    assert "rose &amp; rose &lt;on 25 Apr 2026&gt;" in text and "<on 25" not in text
    outside = re.sub(r"<svg.*?</svg>|<details>.*?</details>", "", text, flags=re.DOTALL)
    assert not re.search(r"\b\d{4}-\d\d-\d\d\b", outside)
    assert "the night after 3 Jul 2026" in text


def test_what_is_usual_and_a_gap_told_once(text):
    usual = text.partition('id="baselines"')[2].partition("</section>")[0]
    assert "1 baselines of 1 component" in usual and "60 s" in usual and "+150 %" in usual
    assert text.count("nothing for 30 days in a row") == 1
    assert "2 things to look at" in text


def test_rules_of_an_old_night_are_not_said_to_be_written(history):
    made = result("/srv/r.json", withheld="a later night was worked through before")
    said = page.page(NIGHT, made, history.daily, 1.0, changed())
    assert "Not written, those in <code>/srv/r.json</code> stay: a later night was worked through before." in said


def test_nothing_found_is_a_page_too(history):
    said = page.page(NIGHT, result(rules=()), history.daily, 1.0)
    assert "Nothing that holds" in said and '<a href="#rules">' not in said


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.mark.parametrize("kind", list(CONTEXTS))
def test_it_fits_the_screen_and_can_be_read_by_everybody(browser, text, tmp_path, kind):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe for Playwright is not installed").Axe
    path = tmp_path / "report.html"
    path.write_text(text)
    with opened(browser, path.as_uri(), **CONTEXTS[kind]) as shown:
        assert shown.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        shown.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert shown.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        checked = axe().run(shown, options={"resultTypes": ["violations", "incomplete"]}).response
        assert checked["passes"]
        assert [(one["id"], [node["target"] for node in one["nodes"]][:3]) for one in checked["violations"]] == []


CONTRAST = """() => {
  const rgb = text => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = text => { const [r, g, b] = rgb(text).map(v => { v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = light(getComputedStyle(document.body).backgroundColor);
  const ratio = colour => { const l = light(colour);
    return (Math.max(l, ground) + 0.05) / (Math.min(l, ground) + 0.05); };
  const out = {};
  for (const name of ['ink', 'good', 'poor', 'muted', 'notice', 'axis']) {
    const probe = document.createElement('i'); probe.style.color = `var(--p-${name})`; document.body.append(probe);
    out[name] = ratio(getComputedStyle(probe).color); probe.remove(); }
  const words = [...document.querySelectorAll('.figure svg text')];
  out.text = Math.min(...words.map(one => ratio(getComputedStyle(one).fill)));
  return out; }"""


@pytest.mark.parametrize("kind", ["light", "dark"])
def test_pictures_stand_out_from_their_ground(browser, text, tmp_path, kind):
    """WCAG 2.2: 4.5 to 1 for words, 3 to 1 for marks."""
    path = tmp_path / "report.html"
    path.write_text(text)
    with opened(browser, path.as_uri(), **CONTEXTS[kind]) as shown:
        ratios = shown.evaluate(CONTRAST)
    assert ratios.pop("text") >= 4.5
    assert min(ratios.values()) >= 3.0, ratios
    drawn = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(drawn) >= 4
    for picture in drawn:
        assert not re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", picture), "a colour that no dark ground changes"
