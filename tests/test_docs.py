"""The documents say what is so: their commands exist, their code runs, their names are real."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest
import yaml
from click.testing import CliRunner

from voxpy.channels.mediastream.listener import default_listeners
from voxpy.channels.providers.http import TOKEN_SECRET
from voxpy.channels.providers.table import PROVIDERS
from voxpy.cli import COMMANDS, main
from voxpy.cli.serve import command as serve
from voxpy.host.metrics import METRICS
from voxpy.project.routing import parse_routing
from voxpy.simulation.callerfile import CALLEE_KEYS, TOP_KEYS, parse_script
from voxpy.simulation.moments import DEEDS
from voxpy.simulation.steps import STEPS, Wait
from voxpy.testing.calls import CallKit

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_two_commands_are_one_line_each() -> None:
    run, test = blocks("sh")[:2]
    assert run.count("\n") == test.count("\n") == 1
    assert run.strip().endswith("voxpy run scenarios/answer.py")
    assert test.strip().endswith("-m pytest -n auto")


def test_ci_calls_the_readme_command_itself() -> None:
    assert "grep -m1 -- '-m pytest' README.md" in (ROOT / ".ci" / "run").read_text()


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
    people, service = blocks("yaml", text)
    assert len(parse_script(people, file="callers.md", folder=ROOT).callees) == 5
    assert len(parse_script(service, file="callers.md", folder=ROOT).moments) == 2
    for key in (*TOP_KEYS, *CALLEE_KEYS):
        if key == "reject":
            key = "reject: CODE"
        assert f"`{key}`" in text
    for deed in DEEDS:
        assert f"`{deed}" in text
    for step in STEPS:
        assert f"`{step}" in text
    for what in Wait.FOR:
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


# -- commands in the pages -------------------------------------------------------------------------

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
DEPLOY = ROOT / "deploy"
PROVIDERS_MD = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
OPERATING_MD = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")


def command_of(name: str) -> click.Command:
    found = main.get_command(click.Context(main), name)
    assert found is not None, f"voxpy {name}"
    return found


def assert_is_a_command(words: list[str]) -> None:
    """The subcommand exists and takes every option, with the value that stands behind it."""
    assert words[0] in COMMANDS, words
    known = command_of(words[0])
    if isinstance(known, click.Group):
        below = known.get_command(click.Context(known), words[1])
        assert below is not None, words
        known = below
    names = {
        name for parameter in known.params for name in (*parameter.opts, *parameter.secondary_opts)
    }
    for word in words[1:]:
        if word.startswith("--"):
            assert word.partition("=")[0] in names, f"voxpy {words[0]} {word}"


def test_commands_in_the_blocks_of_all_pages_exist() -> None:
    found = 0
    for page in PAGES:
        for block in blocks("sh", page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                at = re.search(r"(?:^|/)voxpy (.*)", line.partition("  #")[0])
                if at is not None:
                    words = shlex.split(at[1].partition(" | ")[0].partition(" > ")[0])
                    assert_is_a_command(words)
                    found += 1
    assert found > 15


def test_options_named_in_operating_md_are_of_some_command() -> None:
    every = {
        name
        for name in COMMANDS
        for command in (command_of(name),)
        for one in (command, *getattr(command, "commands", {}).values())
        for parameter in one.params
        for name in parameter.opts
    }
    foreign = {"--stop-timeout"}  # docker's
    assert {*re.findall(r"`(--[\w-]+)", OPERATING_MD)} <= every | foreign


def test_metrics_of_operating_md_exist() -> None:
    named = set(re.findall(r"`(voxpy_\w+)", OPERATING_MD))
    assert len(named) >= 6
    exposed = {
        name + ("_total" if kind.type == "counter" else "") for name, kind in METRICS.items()
    }
    assert named <= exposed


def test_yaml_of_operating_and_providers_is_a_routing_file() -> None:
    for text in (OPERATING_MD, PROVIDERS_MD):
        for block in blocks("yaml", text):
            assert parse_routing(block).rules


def test_the_unit_and_the_image_start_a_host_that_exists() -> None:
    unit = (DEPLOY / "voxpy.service").read_text(encoding="utf-8")
    (started,) = re.findall(r"^ExecStart=\S+/voxpy (.*)$", unit, re.MULTILINE)
    assert_is_a_command(shlex.split(started))
    drain_s = int(re.findall(r"--drain-s (\d+)", started)[0])
    assert int(re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[0]) > drain_s
    image = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    (command,) = re.findall(r"^CMD (\[.*\])$", image, re.MULTILINE)
    assert_is_a_command(json.loads(command))
    default = next(p.default for p in serve.params if p.name == "drain_s")
    assert f"--stop-timeout {round(drain_s + 40)}" in image
    assert default == drain_s


# -- docs/providers.md -----------------------------------------------------------------------------


def test_providers_md_has_a_section_for_each() -> None:
    sections = re.findall(r"^## (.+)$", PROVIDERS_MD, re.MULTILINE)
    assert sorted(name.lower() for name in sections) == sorted([*PROVIDERS, "credentials"])


def test_providers_md_names_every_secret_and_no_other() -> None:
    needed = {TOKEN_SECRET, "INWORLD_API_KEY"}
    needed |= {p.signature.secret for p in PROVIDERS.values() if p.signature is not None}
    needed |= {name for p in PROVIDERS.values() if p.rest for name in p.rest.secrets}
    section = PROVIDERS_MD.partition("## Credentials")[2].partition("## ")[0]
    assert set(re.findall(r"`([A-Z]+_[A-Z_]+)`", section)) == needed


def test_providers_md_gives_the_addresses_that_are_served() -> None:
    for channel in default_listeners():
        assert f"wss://HOST{channel.path}" in PROVIDERS_MD
        asks = channel.provider.answer_call is not None
        assert (f"https://HOST{channel.webhook}" in PROVIDERS_MD) == asks
    served = {place for c in default_listeners() for place in (c.path, c.webhook)}
    assert set(re.findall(r"HOST(/[\w/]+)", PROVIDERS_MD)) <= served


def test_markup_of_providers_md_is_well_formed() -> None:
    for block in blocks("xml", PROVIDERS_MD):
        assert ElementTree.fromstring(block).tag == "Response"
    assert len([json.loads(block) for block in blocks("json", PROVIDERS_MD)]) == 3
    assert yaml.safe_load(blocks("yaml", PROVIDERS_MD)[0])["channels"]["audiosocket"]["to"]


def test_the_table_of_providers_md_says_what_the_adapters_do() -> None:
    table = PROVIDERS_MD.partition("## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    head, hang_up, barge_in = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (lines[0], lines[2], lines[-1])
    )
    for title, ends, clears in zip(head[1:], hang_up[1:], barge_in[1:], strict=True):
        provider = PROVIDERS[title.strip("[").partition("]")[0].lower()]
        assert ("API" in ends) == (provider.hang_up == "rest"), title
        assert (clears == "nothing is ahead") == (not provider.ahead), title


def commands() -> Iterator[tuple[str, str]]:
    """Yield every voxpy command line of the documentation's shell blocks, with its page."""
    for page in [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]:
        for block in re.findall(r"```(?:sh|console|bash)\n(.*?)```", page.read_text(), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                line = line.strip().removeprefix("$ ").removeprefix(".venv/bin/")
                if line.startswith("voxpy "):
                    yield page.name, line


@pytest.mark.parametrize(("page", "line"), sorted(set(commands())))
def test_every_command_of_the_docs_is_one(page: str, line: str) -> None:
    words = list(takewhile(lambda w: w not in ("|", "&", "&&", ">"), shlex.split(line, True)))
    context = main.make_context("voxpy", words[1:])
    name, command, rest = main.resolve_command(context, [*context._protected_args, *context.args])
    assert command is not None
    with suppress(click.exceptions.Exit):  # --help
        command.make_context(name, rest, parent=context)
