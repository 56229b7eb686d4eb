"""Selector semantics, after the cases of Kubernetes' apimachinery (labels and fields packages)."""

from __future__ import annotations

import pytest

from emulator.api.selectors import (
    Operator,
    Requirement,
    SelectorError,
    matches,
    matches_all,
    parse,
    parse_fields,
)

LABELS = {"x": "y", "z": "w", "n": "5", "empty": ""}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        ("x=y", True),
        ("x==y", True),
        ("x=y,z=w", True),
        ("x!=z", True),
        ("missing!=anything", True),
        ("x=z", False),
        ("x=y,z=z", False),
        ("missing=y", False),
        ("x in (y, q)", True),
        ("x in (a,b)", False),
        ("missing in (a)", False),
        ("x notin (a,b)", True),
        ("x notin (y)", False),
        ("missing notin (a)", True),
        ("x", True),
        ("missing", False),
        ("!missing", True),
        ("!x", False),
        ("n>4", True),
        ("n > 5", False),
        ("n<6", True),
        ("x>1", False),
        ("missing>1", False),
        ("empty=", True),
        ("empty in ()", True),
        ("x=", False),
        ("empty", True),
        (" x = y , z in ( w ) ", True),
        ("a.b/c-d_e!=1,x", True),
    ],
)
def test_query_form(text: str, selected: bool) -> None:
    assert matches_all(parse(text), LABELS) is selected


@pytest.mark.parametrize(
    "text",
    ["x=a||y=b", "x==a==b", "!x=a", "x<a", "x in y", "x in (a", "x,,y", "=y", "x in (a b)", "x=y,", "(x)"],
)
def test_refused_text(text: str) -> None:
    with pytest.raises(SelectorError):
        parse(text)


def test_parsed_requirements() -> None:
    assert parse("a in (c,b),!d") == (
        Requirement("a", Operator.IN, ("b", "c")),
        Requirement("d", Operator.DOES_NOT_EXIST),
    )


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"x": "y"}}, True),
        ({"matchLabels": {"x": "q"}}, False),
        ({"matchExpressions": [{"key": "x", "operator": "In", "values": ["y"]}]}, True),
        ({"matchExpressions": [{"key": "m", "operator": "NotIn", "values": ["y"]}]}, True),
        ({"matchExpressions": [{"key": "m", "operator": "DoesNotExist"}]}, True),
        ({"matchExpressions": [{"key": "m", "operator": "Exists"}]}, False),
        ({"matchLabels": {"x": "y"}, "matchExpressions": [{"key": "z", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_label_selector_objects(selector: dict[str, object] | None, selected: bool) -> None:
    assert matches(selector, LABELS) is selected


def test_nothing_has_no_labels() -> None:
    assert matches({}, None)
    assert not matches({"matchLabels": {"x": "y"}}, None)


def test_unknown_operator_is_an_error() -> None:
    with pytest.raises(SelectorError, match="'Near' is not a valid"):
        matches({"matchExpressions": [{"key": "x", "operator": "Near"}]}, LABELS)


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("metadata.name=web", True),
        ("metadata.name!=web", False),
        ("metadata.namespace==shop,status.phase=Running", True),
        ("spec.nodeName=", True),
        ("spec.hostNetwork=true", True),
        ("", True),
    ],
)
def test_field_selectors(text: str, selected: bool) -> None:
    pod = {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"hostNetwork": True},
        "status": {"phase": "Running"},
    }
    assert all(field.matches(pod) for field in parse_fields(text, "Pod")) is selected


def test_fields_that_are_not_indexed() -> None:
    with pytest.raises(SelectorError, match=r"field label not supported: spec\.replicas"):
        parse_fields("spec.replicas=1", "Deployment")
    with pytest.raises(SelectorError, match="can't understand"):
        parse_fields("metadata.name", "Pod")
