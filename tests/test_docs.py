"""The documents say what is so: their commands exist, their code runs, their names are real."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from voxpy.cli import COMMANDS, main
from voxpy.host.callerfile import CALLEE_KEYS, TOP_KEYS, parse_script
from voxpy.host.stepfile import STEPS, WAITS
from voxpy.testing.calls import CallKit

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_two_commands_are_one_line_each() -> None:
    run, test = blocks("sh")[:2]
    assert run.count("\n") == test.count("\n") == 1
    assert run.strip().endswith("voxpy run scenarios/answer.py")
    assert test.strip().endswith("-m pytest")


def test_ci_calls_the_readme_command_itself() -> None:
    assert "grep -m1 -- '-m pytest$' README.md" in (ROOT / ".ci" / "run").read_text()


def test_every_command_of_the_table_exists() -> None:
    named = set(re.findall(r"^\| `voxpy (\w+)", README, re.MULTILINE))
    assert named == set(COMMANDS)


def test_every_flag_of_the_table_is_in_the_help() -> None:
    shown = CliRunner().invoke(main, ["run", "--help"]).output
    flags = set(re.findall(r"`voxpy run [^`]*?(--[\w-]+)", README))
    assert flags
    assert [f for f in flags if f not in shown] == []


def test_the_scenario_of_the_readme_runs(voxpy: CallKit) -> None:
    call = voxpy.call(
        blocks("python")[0],
        """
        - wait: answered
        - expect: {heard: "this is Vera", within_s: 5}
        - hang_up
        """,
        agent=["Hi, this is Vera."],
        secrets={"INWORLD_API_KEY": "a-key-for-the-test"},
    )
    assert call.result.failure == ""
    assert call.turns[0].response_instructions == "Say only: Hi, this is Vera."


def test_the_test_of_the_readme_passes(voxpy: CallKit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    namespace: dict[str, object] = {}
    exec(blocks("python")[1], namespace)
    namespace["test_greets"](voxpy)  # type: ignore[operator]


def test_the_caller_of_the_readme_is_valid() -> None:
    script = parse_script(blocks("yaml")[0], file="README.md", folder=ROOT)
    assert len(script.steps) == 7


def test_callers_md_names_every_key_and_step() -> None:
    text = (ROOT / "docs" / "callers.md").read_text(encoding="utf-8")
    (example,) = blocks("yaml", text)
    assert len(parse_script(example, file="callers.md", folder=ROOT).callees) == 5
    for key in (*TOP_KEYS, *CALLEE_KEYS):
        if key == "reject":
            key = "reject: CODE"
        assert f"`{key}`" in text
    for step in (*STEPS, "hang_up"):
        assert f"`{step}" in text
    for what in WAITS:
        assert f"wait: {what}" in text


def test_links_point_at_files() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_tools_of_the_readme_have_a_schema() -> None:
    namespace: dict[str, object] = {}
    exec(blocks("python")[2], namespace)
    (schema,) = namespace["tools"].schemas()  # type: ignore[attr-defined]
    assert schema["parameters"]["properties"]["day"]["description"] == "a weekday in English"


def test_every_switch_in_the_docs_is_in_the_help() -> None:
    shown = CliRunner().invoke(main, ["agent", "--help"]).output
    text = (ROOT / "docs" / "local-agent.md").read_text(encoding="utf-8")
    switches = set(re.findall(r"--(?:quirk|fault) ([a-z_]+)=", text))
    assert switches
    assert [s for s in switches if f"    {s}=" not in shown] == []
