"""YAML with lines: every complaint can say where."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from voxpy.engine.userfile import Given, load
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
        ("a:\n" + "[" * 200, "r.yaml:2: nested too deeply"),
        ("[" * 200_000, "r.yaml:1: nested too deeply"),
    ],
)
def test_what_is_not_yaml_says_where_and_what(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text, file="r.yaml")
    assert str(caught.value).startswith(message)


def test_anchors_and_merge_keys_work() -> None:
    text = "a: &a {x: 1}\nb:\n  <<: *a\n  y: 2\nc: *a\n"
    document = load(text, file="r.yaml")
    assert document.value == {"a": {"x": 1}, "b": {"x": 1, "y": 2}, "c": {"x": 1}}
    assert document.line(("b", "x")) == 2
    assert document.line(("c", "x")) == 5


@pytest.mark.parametrize("merges", [False, True], ids=["aliases", "merges"])
def test_aliases_of_aliases_do_not_explode(merges: bool) -> None:
    """They would be looked at for ever, by whoever reads the values or puts one into a message."""
    laughs = "a0: &a0 {x: y}\n" if merges else "a0: &a0 [x]\n"
    for n in range(1, 40):
        many = ", ".join([f"*a{n - 1}"] * 9)
        laughs += f"a{n}: &a{n} {{<<: [{many}]}}\n" if merges else f"a{n}: &a{n} [{many}]\n"
    with pytest.raises(ConfigError, match="aliases make over 250000 values"):
        load(laughs, file="r.yaml")


def test_a_long_value_is_told_short() -> None:
    given = load(f"a: [{'x, ' * 5000}]", file="r.yaml").root
    with pytest.raises(ConfigError) as caught:
        given.fields(("a",)).need("a").flag()
    assert len(str(caught.value)) < 300


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "rules:\n  - name: 'support\n    pattern: '123'\n    scenarios: [a.py]\n",
            "r.yaml:2: not YAML: the quote that is opened here is not closed in its line",
        ),
        (
            'rules:\n  - name: "support\n    pattern: x\n    scenarios: [a.py]\n',
            "r.yaml:2: not YAML: the quote that is opened here is not closed in its line",
        ),
        (
            "rules:\n  - pattern: '(1|2\n",
            "r.yaml:2: not YAML: the quote that is opened here is not closed in its line",
        ),
        (
            "steps:\n  - say: Hello: how are you?\n",
            "r.yaml:2: not YAML: mapping values are not allowed here; a text with a colon in it "
            "must stand in quotes: 'Hello: how are you?'",
        ),
    ],
)
def test_quotes_that_are_missing_are_named_where_they_are_missing(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text, file="r.yaml")
    assert str(caught.value) == message


def test_a_quote_over_several_lines_is_fine() -> None:
    assert load("a: 'one\n  two'\nb: 1", file="r.yaml").value == {"a": "one two", "b": 1}


# -- reading values --------------------------------------------------------------------------------

CALLER = """\
from: '+15550100'
line:
  loss: 0.1
  seed: 7
mute: no
note:
steps:
  - say: Hello
  - wait: 2
"""


def test_values_are_read_and_absent_ones_have_a_default() -> None:
    top = load(CALLER, file="c.yaml").root.fields(("from", "line", "mute", "note", "steps"))
    line = top.section("line").fields(("loss", "seed", "noise"))
    assert top.get("from", Given.text, "") == "+15550100"
    assert top.get("to", Given.text, "nobody") == "nobody"
    assert line.get("loss", Given.number, 0.0) == 0.1
    assert line.get("seed", Given.whole, 0) == 7
    assert top.get("mute", Given.flag, True) is False
    assert [item.line for item in top.need("steps").items()] == [8, 9]


def test_null_is_absent_for_get_and_kept_by_given() -> None:
    top = load(CALLER, file="c.yaml").root.fields(("from", "line", "mute", "note", "steps"))
    note = top.given("note")
    assert note is not None
    assert note.value is None
    assert top.get("note", Given.text, "none") == "none"
    assert top.given("absent") is None
    assert (top.section("note").items(), top.section("absent").mapping()) == ([], {})


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (
            lambda top: top.fields(("from", "lime")),
            "c.yaml:2: the file has no 'line'; did you mean",
        ),
        (lambda top: top.mapping()["line"].text(), "c.yaml:2: line must be text, but YAML reads"),
        (lambda top: top.mapping()["note"].words(), "c.yaml:6: note is missing"),
        (
            lambda top: top.mapping()["line"].mapping()["loss"].whole(at_most=5),
            "c.yaml:3: line: loss must be a whole number from 0 to 5, not 0.1",
        ),
        (
            lambda top: top.mapping()["steps"].items()[1].named("step 2").mapping()["wait"].flag(),
            "c.yaml:9: step 2: wait must be true or false, not 2",
        ),
        (
            lambda top: top.mapping()["from"].one_of(("+1555100", "x")),
            "c.yaml:1: from must be +1555100 or x, not '+15550100'; did you mean '+1555100'?",
        ),
        (
            lambda top: top.mapping()["from"].pattern(),
            "c.yaml:1: '+15550100' is not a regular expression: nothing to repeat",
        ),
        (lambda top: top.fields(()), "c.yaml:1: the file has no 'from'"),
        (lambda top: top.items(), "c.yaml:1: the file must be a list, not {"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    read: Callable[[Given], object], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(load(CALLER, file="c.yaml").root)
    assert str(caught.value).startswith(message)


def test_with_a_report_everything_wrong_is_found_at_once() -> None:
    found: list[ConfigError] = []
    top = attrs.evolve(load(CALLER, file="c.yaml").root, report=found.append)
    fields = top.fields(("line", "mute", "steps"))
    assert fields.get("mute", Given.text, "default") == "default"
    assert fields.section("steps").mapping() == {}
    assert [(error.line, error.problem.split(";")[0]) for error in found] == [
        (1, "the file has no 'from'"),
        (6, "the file has no 'note'"),
        (5, "mute must be text, but YAML reads False here"),
        (7, "steps must be a mapping (key: value), not [{'say': 'Hello'}, {'wait': 2}]"),
    ]
