"""YAML with lines: every complaint can say where."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from voxpy.engine.yaml_lines import load
from voxpy.errors import ConfigError

TEXT = """\
# a comment
rules:
  - name: a

    pattern: 'x'
  - {name: b,
     pattern: y}
users: {}
"""


def test_every_key_and_item_has_its_line() -> None:
    document = load(TEXT, file="r.yaml")
    assert document.value == {
        "rules": [{"name": "a", "pattern": "x"}, {"name": "b", "pattern": "y"}],
        "users": {},
    }
    assert document.lines == {
        (): 2,
        ("rules",): 2,
        ("rules", 0): 3,
        ("rules", 0, "name"): 3,
        ("rules", 0, "pattern"): 5,
        ("rules", 1): 6,
        ("rules", 1, "name"): 6,
        ("rules", 1, "pattern"): 7,
        ("users",): 8,
    }


def test_what_is_not_there_has_the_line_of_what_is_around_it() -> None:
    document = load(TEXT, file="r.yaml")
    assert document.line(("rules", 0, "exclude")) == 3
    assert document.line(("trunks", "x")) == 2
    assert str(document.error(("rules", 1, "pattern"), "no")) == "r.yaml:7: no"


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "null"])
def test_an_empty_file_is_none(text: str) -> None:
    assert load(text, file="r.yaml").value is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "r.yaml:3: 'a' is written twice, first in line 1"),
        ("a: 1\nb: [1, 2\n", "r.yaml:3: not YAML: expected ',' or ']', but got '<stream end>'"),
        (
            'rules:\n  - pattern: "\\+?1"\n',
            "r.yaml:2: not YAML: found unknown escape character '+'; backslashes stay as they are "
            "inside single quotes: '...'",
        ),
        ("a:\n\t- b", "r.yaml:2: not YAML: found character '\\t' that cannot start any token"),
        ("a: 1\nb: \x07", "r.yaml:2: not YAML: a control character stands here"),
        ("a: 1\n---\nb: 2", "r.yaml:2: not YAML: but found another document"),
        ("a: 1\nb: !!python/name:os.system x\n", "r.yaml:2: not YAML: could not determine"),
        ("a: *nobody", "r.yaml:1: not YAML: found undefined alias 'nobody'"),
        ("? [a, b]\n: 1", "r.yaml:1: a key must be a plain word"),
        ("x: 1\na: &a [1, *a]", "r.yaml:2: a value contains itself"),
        ("a: 2020-13-45", "r.yaml: a value cannot be read: month must be in 1..12"),
        ("[" * 2000, "r.yaml: nested too deeply"),
    ],
)
def test_what_is_not_yaml_says_where_and_what(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text, file="r.yaml")
    assert str(caught.value).startswith(message)


def test_anchors_and_merge_keys_work_and_do_not_explode() -> None:
    text = "a: &a {x: 1}\nb:\n  <<: *a\n  y: 2\nc: *a\n"
    document = load(text, file="r.yaml")
    assert document.value == {"a": {"x": 1}, "b": {"x": 1, "y": 2}, "c": {"x": 1}}
    assert document.line(("b", "x")) == 2
    assert document.line(("c", "x")) == 5

    laughs = "a0: &a0 [x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40)
    )
    assert len(load(laughs, file="r.yaml").lines) < 500


values = st.recursive(
    st.integers() | st.booleans() | st.text("abc é:#-'\"\\{}[]&*!|>%@`\n", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc_", min_size=1), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text("abc_", min_size=1), values, min_size=1), st.booleans())
def test_what_a_yaml_writer_writes_is_read_with_a_line_for_every_path(
    value: dict[str, object], flow: bool
) -> None:
    text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True)
    document = load(text, file="r.yaml")
    assert document.value == value
    n_lines = text.count("\n")

    def walk(part: object, path: tuple[object, ...]) -> None:
        assert 1 <= document.lines[path] <= n_lines
        children = part.items() if isinstance(part, dict) else enumerate(part)  # type: ignore[arg-type]
        for key, child in children:
            assert document.lines[(*path, key)] >= document.lines[path]
            if isinstance(child, (dict, list)):
                walk(child, (*path, key))

    walk(value, ())


@given(st.text(alphabet="ab:- \n'\"[]{}#&*!|>?%@0123\\<\t") | st.text())
def test_any_text_is_either_read_or_refused(text: str) -> None:
    try:
        document = load(text, file="r.yaml")
    except ConfigError as exc:
        where = str(exc)
    else:
        where = f"r.yaml:{document.line(())}"
    assert where.startswith("r.yaml:")
