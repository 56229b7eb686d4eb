"""YAML as Kubernetes reads it, and where everything stands."""

from __future__ import annotations

import pytest

from emulator.api.documents import DocumentError, Position, read_all, read_one
from emulator.api.scalars import key_text, plain_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("abc", "abc"),
        ("", None),
        ("~", None),
        ("yes", True),
        ("y", True),
        ("Off", False),
        ("n", False),
        ("tRue", "tRue"),
        ("12", 12),
        ("-12", -12),
        ("+12", 12),
        ("1_000", 1000),
        ("0", 0),
        ("0644", 420),
        ("0o644", 420),
        ("0x1F", 31),
        ("0b101", 5),
        ("08", 8.0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.", 1.0),
        ("1.2.3", "1.2.3"),
        ("22:22", "22:22"),
        ("2020-01-01", "2020-01-01"),
        ("10.244.0.0/16", "10.244.0.0/16"),
        ("80/tcp", "80/tcp"),
        ("-", "-"),
        ("100m", "100m"),
    ],
)
def test_plain_scalars(text: str, value: object) -> None:
    read = plain_value(text)
    assert read == value
    assert type(read) is type(value)


def test_keys_are_text() -> None:
    assert [key_text(text) for text in ("80", "yes", "~", "a", "1.5")] == ["80", "true", "~", "a", "1.5"]


def test_quoted_and_tagged_scalars() -> None:
    assert read_one("{a: '1', b: \"yes\", c: !!str 5, d: !!int '5', e: !!float 5}") == {
        "a": "1",
        "b": "yes",
        "c": "5",
        "d": 5,
        "e": 5.0,
    }


def test_merge_keys_and_aliases() -> None:
    text = (
        "base: &base {a: 1, b: 2}\none: {<<: *base, b: 3}\ntwo: {<<: [{c: 4}, *base]}\nlist: [*base, *base]"
    )
    assert read_one(text) == {
        "base": {"a": 1, "b": 2},
        "one": {"a": 1, "b": 3},
        "two": {"c": 4, "a": 1, "b": 2},
        "list": [{"a": 1, "b": 2}, {"a": 1, "b": 2}],
    }


def test_aliases_are_copies() -> None:
    value = read_one("a: &a {x: {y: 1}}\nb: *a")
    assert value["a"] is not value["b"]
    assert value["a"]["x"] is not value["b"]["x"]


def test_position_of_merged_values() -> None:
    (document,) = read_all("base: &base {port: 80}\none:\n  <<: *base\n")
    assert document.position(("one", "port")) == Position(1, 20, 2)


def test_positions() -> None:
    (document,) = read_all("spec:\n  ports:\n  - port: 80\n    name: http\n")
    assert document.position(("spec", "ports", 0, "port")) == Position(3, 11, 2)
    assert document.position(("spec", "ports", 0, "name"), at_key=True) == Position(4, 5, 4)
    assert document.position(("spec", "ports", 0, "missing")) == Position(3, 5, 1)
    assert document.position(("spec", "missing", "deeper")) == Position(1, 1, 4)
    assert document.position(("missing",)) == Position(1, 1, 1)


def test_columns_count_characters() -> None:
    (document,) = read_all("näme: {öß: [é, x]}")
    assert document.position(("näme", "öß", 1)) == Position(1, 16, 1)


def test_json_is_yaml() -> None:
    assert read_one('{\n\t"a": "\\u00e9 \\ud83d\\ude00 \\/",\n\t"b": [1, true, null]\n}') == {
        "a": "é \N{GRINNING FACE} /",
        "b": [1, True, None],
    }


def test_documents_apart() -> None:
    assert [document.value for document in read_all("---\na: 1\n---\n---\n# nothing\n---\nb: 2\n...\n")] == [
        {"a": 1},
        None,
        None,
        {"b": 2},
    ]
    assert list(read_all("")) == []


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: b\n\x01", (2, 1), r"U\+0001"),
        ("[" * 20_000, (1, 10_001), "nested too deeply"),
        ("- " * 20_000, (1, 20_001), "nested too deeply"),
        ("[" * 3_000 + "]" * 3_000, (1, 1), "nested too deeply"),
        ("a: b\nb: [1,\n", (2, 7), "the text ends where a value is expected"),
        ("a: b\n%YAML 3.0\n", (2, 1), "another version of YAML"),
        ("a: [1, , 2]\n", (1, 8), "expected a value here"),
        ("a: b\n'c\n", (2, 1), "never closed"),
        ("a: |x\n  b\n", (1, 5), "did not find expected comment or line break"),
        ("a: 1\nb\n", (2, 1), "expected ':' behind the key"),
    ],
)
def test_text_that_is_not_yaml(text: str, place: tuple[int, int], message: str) -> None:
    with pytest.raises(DocumentError, match=message) as caught:
        list(read_all(text))
    assert (caught.value.flaw.position.line, caught.value.flaw.position.column) == place


def test_a_bomb_of_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(DocumentError, match="excessive aliasing"):
        list(read_all("\n".join(lines)))


def test_one_document_is_wanted() -> None:
    with pytest.raises(DocumentError, match="expected one document, found 2"):
        read_one("a: 1\n---\nb: 2")
    with pytest.raises(DocumentError, match="duplicate key"):
        read_one("a: 1\na: 2")
