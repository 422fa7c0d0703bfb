import pytest

from operators.contributors import MOST, shares
from operators.encode import Named


def step(name: str, value: float, measure: str = "duration_s", pipeline: str = "shop") -> tuple[Named, float]:
    return Named(f"{pipeline}/{name}", measure, "step"), value


RUN = (Named("shop", "duration_s", "pipeline"), 360.0)


def usual(named: Named) -> float | None:
    return {"shop/build": 20.0, "shop/test": 270.0}.get(named.entity)


def test_what_took_longer_than_usual_contributes() -> None:
    points = [RUN, step("build", 15.0), step("test", 330.0), step("deploy", 20.0), step("x", 9e9, pipeline="shop2")]
    assert shares("shop", "duration_s", points, usual) == [("shop/test", 0.75), ("shop/deploy", 0.25)]


def test_failed_steps_share_a_failure() -> None:
    points = [RUN, *(step(name, value, "failed") for name, value in (("a", 1.0), ("b", 0.0), ("c", 1.0)))]
    assert shares("shop", "failed", points, usual) == [("shop/a", 0.5), ("shop/c", 0.5)]


def test_nobody_contributes_where_nothing_is_below() -> None:
    assert shares("shop", "duration_s", [RUN], usual) == []
    assert shares("shop", "duration_s", [RUN, step("build", 20.0)], usual) == []
    assert shares("shop", "duration_s", [step("a", 1e308), step("b", 1e308)], usual) == [], "no share of infinity"


def test_few_are_named() -> None:
    found = shares("shop", "duration_s", [step(f"s{n:02}", 1.0 + n) for n in range(30)], usual)
    assert [name for name, _ in found] == [f"shop/s{29 - n:02}" for n in range(MOST)]
    assert sum(share for _, share in found) == pytest.approx(sum(range(23, 31)) / sum(range(1, 31)))
