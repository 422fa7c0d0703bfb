"""Ids that do not depend on when, where or how often something was seen."""

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators import identity as i

QUICK = settings(max_examples=100, deadline=None)


def test_the_namespace_never_changes() -> None:
    """Each stored row has an id made from it."""
    assert uuid.uuid5(uuid.NAMESPACE_DNS, "hindsight.dev") == i.NAMESPACE
    assert i.event_uuid("s", "1") == uuid.uuid5(i.NAMESPACE, "event:s\0" + "1")


@QUICK
@given(st.text(min_size=1), st.text(min_size=1))
def test_an_event_has_one_id_and_its_key(source: str, identifier: str) -> None:
    try:
        wanted = uuid.uuid5(i.NAMESPACE, f"event:{source}\0{identifier}")
    except UnicodeEncodeError:
        return
    assert i.event_uuid(source, identifier) == wanted
    assert i.event_key(source, identifier) == int.from_bytes(wanted.bytes[:8], "big", signed=True)
    assert i.key_of_digest(i.event_digest(source, identifier)) == i.event_key(source, identifier)


SPELLINGS = [str.upper, str.lower, lambda text: text.replace("-", ""), "{{{}}}".format, "urn:uuid:{}".format]


@QUICK
@given(st.uuids(), st.sampled_from(SPELLINGS))
def test_a_uuid_in_any_spelling_is_itself(one: uuid.UUID, spell: object) -> None:
    assert callable(spell)
    assert i.identity("task", spell(str(one))) == one


@pytest.mark.parametrize("value", ["P1-T404", "", "x" * 36, "7d444840-9dc0-11d1-b245-5ffdce74fad", "ü" * 40])
def test_any_other_string_is_derived(value: str) -> None:
    assert i.identity("task", value) == uuid.uuid5(i.NAMESPACE, f"task:{value}") != i.identity("user", value)


@QUICK
@given(st.lists(st.tuples(st.text("ab{}=,\u00fc", max_size=5), st.text("ab", max_size=3)), unique=True, max_size=8))
def test_series_and_inputs_differ(names: list[tuple[str, str]]) -> None:
    ids = {i.series_id(entity, measure) for entity, measure in names}
    assert len(ids) == len(names)
    assert all(-(2**63) <= one < 2**63 for one in ids)
    assert all(-(2**31) <= i.input_id(entity) < 2**31 for entity, _ in names)
