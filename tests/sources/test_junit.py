"""JUnit reports, in the dialects of pytest and of Maven's surefire (written by hand in their formats)."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import quoteattr
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from operators.encode import encode
from operators.events import decode
from sources import junit
from sources.junit import JunitError, Report, Run, event, read

PYTEST = b"""<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" errors="1"
failures="1" skipped="2" tests="6" time="4.250" timestamp="2026-01-05T10:15:30.250000+01:00" hostname="runner-1">
<properties><property name="ci" value="yes" /></properties>
<testcase classname="tests.test_cart.TestCart" name="test_adds" time="0.500" />
<testcase classname="tests.test_cart.TestCart" name="test_price[3-&lt;x&gt;]" time="0.250"><failure
message="AssertionError: assert 1 == 2&#10;second line">def test_price():
&gt;   assert 1 == 2</failure><system-out>noise</system-out></testcase>
<testcase classname="tests.test_cart" name="test_later" time="0.001"><skipped type="pytest.skip" message="later">x.py:5:
later</skipped></testcase>
<testcase classname="tests.test_cart" name="test_x" time="0.000"><skipped type="pytest.xfail" message="" /></testcase>
<testcase classname="tests.test_disk" name="test_disk" time="1.000"><error
message="failed on setup with &quot;OSError: no disk&quot;">E OSError</error></testcase>
<testcase classname="" name="tests.test_top" time="0.000"></testcase></testsuite></testsuites>"""

SUREFIRE = b"""<?xml version="1.0" encoding="UTF-8"?>
<testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:noNamespaceSchemaLocation="https://maven.apache.org/surefire/maven-surefire-plugin/xsd/surefire-test-report.xsd"
 version="3.0.2" name="shop.CartTest" time="1,234.5" tests="3" errors="0" skipped="0" failures="1">
  <properties><property name="java.version" value="21"/></properties>
  <testcase name="adds" classname="shop.CartTest" time="1,200.25"/>
  <testcase name="flaky" classname="shop.CartTest" time="0.01">
    <flakyFailure message="once" type="java.lang.AssertionError"><stackTrace><![CDATA[at]]></stackTrace></flakyFailure>
    <system-out><![CDATA[<failure/>]]></system-out>
  </testcase>
  <testcase name="pays" classname="shop.CartTest" time="0.02">
    <failure type="java.lang.AssertionError"><![CDATA[java.lang.AssertionError: no money
\tat shop.CartTest.pays(CartTest.java:12)]]></failure>
    <rerunFailure message="again" type="java.lang.AssertionError"><stackTrace>x</stackTrace></rerunFailure>
  </testcase>
</testsuite>"""  # fmt: skip

WRITTEN = datetime(2026, 1, 5, 12, tzinfo=UTC)


def report(text: bytes, **more: Any) -> Report:
    return read(io.BytesIO(text), **more)


def checked(made: dict[str, Any]) -> dict[str, Any]:
    """The event's data, once the flow would take the event."""
    encode(decode(json.dumps(made).encode()))
    data: dict[str, Any] = made["data"]
    return data


def test_pytest() -> None:
    made = event([report(PYTEST)], Run("acme/shop:tests", commit="abc"))
    data = checked(made)
    assert (made["time"], data["execution_start"]) == ("2026-01-05T09:15:34.500000Z", "2026-01-05T09:15:30.250000Z")
    assert (data["status"], data["commit_sha"], data["success_rate"]) == ("failure", "abc", 0.5)
    assert data["trigger_data"] == {"tests": 6, "flaky": 0, "success": 2, "failure": 1, "error": 1, "skipped": 2}
    steps = {step["step_name"]: step for step in data["steps"]}
    assert [(name, step["status"]) for name, step in steps.items()] == [
        ("tests.test_cart.TestCart", "failure"), ("tests.test_cart", "skipped"), ("tests.test_disk", "error"),
        ("pytest", "success"),
    ]  # fmt: skip
    cart = steps["tests.test_cart.TestCart"]
    assert cart["execution_end"] == "2026-01-05T09:15:31.000000Z"
    assert cart["error_details"] == {"failed": 1, "tests": [{
        "test": "test_price[3-<x>]", "status": "failure", "type": "",
        "message": "AssertionError: assert 1 == 2 second line",
    }]}  # fmt: skip


def test_surefire() -> None:
    data = checked(event([report(SUREFIRE, written=WRITTEN)], Run("shop:tests")))
    assert (data["execution_end"], data["execution_start"]) == (
        "2026-01-05T12:00:00.000000Z", "2026-01-05T11:39:25.500000Z",
    )  # fmt: skip
    (step,) = data["steps"]
    assert step["performance_data"] == {"tests": 3, "failed": 1, "flaky": 1}
    (failed,) = step["error_details"]["tests"]
    assert failed["message"].startswith("java.lang.AssertionError: no money at shop.CartTest.pays")
    assert (failed["test"], failed["type"]) == ("pays", "java.lang.AssertionError")


def test_several_reports_are_one_run_with_an_id_of_their_contents() -> None:
    reports = [report(PYTEST), report(SUREFIRE, written=WRITTEN)]
    made = event(reports, Run("p"))
    data = checked(made)
    assert (data["execution_start"], data["execution_end"]) == (
        "2026-01-05T09:15:30.250000Z", "2026-01-05T12:00:00.000000Z",
    )  # fmt: skip
    assert [step["step_order"] for step in data["steps"]] == [1, 2, 3, 4, 5]
    other = event(reports[::-1], Run("p"))
    assert (other["id"], other["data"]["execution_id"]) == (made["id"], data["execution_id"])
    assert event(reports, Run("q"))["id"] != made["id"]
    assert event(reports[:1], Run("p"))["id"] != made["id"]
    named = event(reports, Run("p", run="4711"))
    assert named["data"]["execution_id"] == "4711" and named["id"] != event(reports[:1], Run("p", run="4711"))["id"]


def test_steps_by_test_or_none() -> None:
    by_test = checked(event([report(PYTEST)], Run("p", by="test")))["steps"]
    assert [step["step_name"] for step in by_test][:2] == [
        "tests.test_cart.TestCart.test_adds", "tests.test_cart.TestCart.test_price[3-<x>]",
    ]  # fmt: skip
    assert "performance_data" not in by_test[0]
    assert "steps" not in checked(event([report(PYTEST)], Run("p", by="none")))


def test_times_without_offset_or_none_at_all() -> None:
    text = b'<testsuite name="s" timestamp="2026-07-05T10:00:00"><testcase name="t" time="2"/></testsuite>'
    assert event([report(text, zone=ZoneInfo("Europe/Berlin"))], Run("p"))["time"] == "2026-07-05T08:00:02.000000Z"
    bare = b'<testsuite name="s"><testcase name="t" time="2"/><testcase name="u" time="NaN"/></testsuite>'
    assert event([report(bare)], Run("p", time=WRITTEN))["time"] == "2026-01-05T12:00:02.000000Z"
    with pytest.raises(JunitError, match="has no timestamp: give --time"):
        event([report(bare)], Run("p"))


def test_a_run_without_tests_is_skipped() -> None:
    data = checked(event([report(b"<testsuites/>", written=WRITTEN)], Run("p")))
    assert (data["status"], data["steps"]) == ("skipped", []) and "success_rate" not in data
    with pytest.raises(JunitError, match="no test"):
        event([report(b"<testsuites/>")], Run("p"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "is empty"),
        (b"no xml", "is no whole XML: syntax error: line 1"),
        (b'<testsuite name="x"><testcase name="a"', "is no whole XML"),
        (b"<testsuite></testsuite><a/>", "is no whole XML: junk after document"),
        (b"<html/>", "is no JUnit report: it begins with <html>"),
        (b'<!DOCTYPE t SYSTEM "file:///etc/passwd"><testsuite/>', "document type"),
        (b'<!DOCTYPE t [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><testsuite name="&c;"/>', "document type"),
        (b'<?xml version="1.0" encoding="klingon"?><testsuite/>', "is no whole XML"),
        (b"<testsuite>" * 40, "more than 32 elements in each other"),
    ],
)
def test_bad_reports_are_one_line(text: bytes, words: str) -> None:
    with pytest.raises(JunitError) as caught:
        report(text)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b'<testsuite name="s">' + b'<testcase name="t"/>' * 20 + b"</testsuite>"
    with monkeypatch.context() as patch:
        patch.setattr(junit, "MOST_CASES", 19)
        with pytest.raises(JunitError, match="more than 19 tests"):
            report(text)
    with monkeypatch.context() as patch:
        patch.setattr(junit, "MOST_BYTES", 100)
        with pytest.raises(JunitError, match="is longer than"):
            report(text)
    monkeypatch.setattr(junit, "MOST_EVENT_BYTES", 3000)
    with pytest.raises(JunitError, match="20 steps are more than an event may hold: try --steps class"):
        event([report(text, written=WRITTEN)], Run("p", by="test"))


def test_messages_are_left_out_before_an_event_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    case = '<testcase classname="c{0}" name="t"><failure message="{1}"/></testcase>'
    text = "<testsuite>" + "".join(case.format(number, "x" * 900) for number in range(10)) + "</testsuite>"
    full = event([report(text.encode(), written=WRITTEN)], Run("p"))
    assert len(full["data"]["steps"][0]["error_details"]["tests"][0]["message"]) == junit.MOST_TEXT
    monkeypatch.setattr(junit, "MOST_EVENT_BYTES", 3000)
    small = event([report(text.encode(), written=WRITTEN)], Run("p"))
    assert all("error_details" not in step and step["status"] == "failure" for step in small["data"]["steps"])


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
CASES = st.lists(st.tuples(TEXT, TEXT, st.sampled_from(["", "failure", "error", "skipped"]), TEXT), max_size=8)


@settings(max_examples=30, deadline=None)
@example([("g" * 300, "n" * 300, "failure", "m" * 600)], "test")
@given(CASES, st.sampled_from(["class", "test", "none"]))
def test_whatever_names_tests_have_the_event_is_valid(cases: list[tuple[str, str, str, str]], by: str) -> None:
    inside = "".join(
        f"<testcase classname={quoteattr(group)} name={quoteattr(name)} time='0.5'>"
        + (f"<{outcome} message={quoteattr(message)}/>" if outcome else "")
        + "</testcase>"
        for group, name, outcome, message in cases
    )
    found = report(f"<testsuite>{inside}</testsuite>".encode(), written=WRITTEN)
    data = checked(event([found], Run("p", by=by)))
    count = sum(outcome != "skipped" for _, _, outcome, _ in cases)
    passed = sum(not outcome for _, _, outcome, _ in cases)
    assert data.get("success_rate") == (pytest.approx(passed / count, abs=1e-6) if count else None)
    assert len(data.get("steps", ())) <= len(cases)
