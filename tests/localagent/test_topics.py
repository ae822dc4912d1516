from __future__ import annotations

from pathlib import Path

import pytest

from voxpy.errors import ConfigError
from voxpy.localagent.topics import load_topics


def complaint(tmp_path: Path, text: str) -> str:
    path = tmp_path / "topics.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_topics(path)
    assert str(caught.value).startswith(str(path))
    return str(caught.value).removeprefix(str(path))


def test_the_topics_that_come_with_voxpy() -> None:
    topics = load_topics()
    names = [topic.name for topic in topics.topics]
    assert len(names) == len(set(names))
    assert {"goodbye", "hours", "thanks", "repeat", "who are you"} <= set(names)
    assert all(topic.say or topic.tool for topic in topics.topics)
    assert "voximplant" in topics.names


def test_one_text_stands_for_a_list_of_one(tmp_path: Path) -> None:
    path = tmp_path / "topics.yaml"
    path.write_text("topics:\n- {name: x, match: 'a.c', say: hi, tool: [t, u], reply: ok}\n")
    loaded = load_topics(str(path))
    (topic,) = loaded.topics
    assert topic.match[0].search("ABC")
    assert (topic.say, topic.tool, topic.reply) == (("hi",), ("t", "u"), "ok")
    assert loaded.unknown  # what the file leaves out has a default
    assert loaded.names == {}


@pytest.mark.parametrize(
    ("text", "where", "problem"),
    [
        ("topics: [", ":1: ", "not YAML"),
        ("topics:\n- name: a\n  match: x\n- name: b\n  match: 'a('\n", ":5: ", "'a(' is not a reg"),
        ("topics:\n- name: a\n  match: x\n  sya: hi\n", ":2: ", "unknown key sya"),
        ("topics:\n- name: a\n  match: x\n  3: hi\n  ? \n", ":2: ", "unknown key 3, null"),
        ("topics:\n- match: x\n", ":2: ", "'name' is missing"),
        ("topics:\n- name: a\n  match: x\n  say:\n  - ok\n  - 5\n", ":", "not 5"),
        ("topics:\n- name: a\n  match: []\n", ":", "match"),
        ("topics:\n- hello\n", ":2: ", "not 'hello'"),
        ("names: {}\n", ":1: ", "'topics' is missing"),
        ("topics: []\nnames: {x: 'a)'}\n", ":2: ", "'a)' is not a reg"),
        ("- a\n", ":1: ", "expected the key 'topics'"),
        ("", ": ", "expected the key 'topics'"),
    ],
)
def test_mistakes_are_located(tmp_path: Path, text: str, where: str, problem: str) -> None:
    message = complaint(tmp_path, text)
    assert message.startswith(where)
    assert problem in message


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: the topics cannot be read"):
        load_topics(tmp_path / "none.yaml")
