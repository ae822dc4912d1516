"""The whole project: routing, secrets and scenarios together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voxpy.errors import ConfigError
from voxpy.project.project import load_project
from voxpy.project.scenario import read_scenario
from voxpy.project.secrets import Secrets

GOOD = """\
from voxpy import AppEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def answer(event: AppEvents.CallAlerting) -> None:
    event.call.reject(486)
"""


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / {"routing": "routing.yaml", "secrets": "secrets.env"}.get(
            name, f"{name}.py"
        )
        path.write_text(text)


def found_in(folder: Path) -> list[str]:
    problems = load_project(folder / "routing.yaml", folder / "secrets.env").problems
    return [str(problem).replace(f"{folder}/", "") for problem in problems]


def rule(*scenarios: str, name: str = "a", pattern: str = "a") -> str:
    return f"- {{name: {name}, pattern: '{pattern}', scenarios: [{', '.join(scenarios)}]}}\n"


def test_a_good_project_has_no_problems(tmp_path: Path) -> None:
    write(tmp_path, routing="rules:\n" + rule("good.py"), secrets="A=1\n", good=GOOD)
    assert found_in(tmp_path) == []


def test_nothing_at_all(tmp_path: Path) -> None:
    assert found_in(tmp_path) == [
        "routing.yaml: error: there is no such file; --routing names another"
    ]


def test_every_file_is_checked_even_if_another_is_broken(tmp_path: Path) -> None:
    write(
        tmp_path,
        routing="rules:\n" + rule("good.py", "bad.py", "gone.py") + "ruls: 1\n",
        secrets="nonsense\n",
        good=GOOD,
        bad="x = (\n",
    )
    assert found_in(tmp_path) == [
        "routing.yaml:2: error: rule 'a': there is no scenario file 'gone.py'",
        "routing.yaml:3: error: the file has no 'ruls'; did you mean 'rules'?",
        "secrets.env:1: error: this line is not NAME=value",
        "bad.py:1: error: '(' was never closed",
    ]


def test_a_routing_file_that_is_no_yaml(tmp_path: Path) -> None:
    write(tmp_path, routing="rules: [", secrets="A=1\nA=2\n")
    first, second = found_in(tmp_path)
    assert first.startswith("routing.yaml:1: error: not YAML: ")
    assert second == "secrets.env:2: warning: A is given again (first in line 1); this counts"


def test_a_file_of_two_rules_is_reported_once(tmp_path: Path) -> None:
    routing = "rules:\n" + rule("bad.py") + rule("bad.py", name="b", pattern="b")
    write(tmp_path, routing=routing, bad="x = (\n")
    assert found_in(tmp_path) == ["bad.py:1: error: '(' was never closed"]


def test_a_rule_that_listens_to_nothing(tmp_path: Path) -> None:
    routing = "rules:\n" + rule("quiet.py", "good.py") + rule("quiet.py", name="b", pattern="b")
    write(tmp_path, routing=routing, quiet="PRICES = {}\n", good=GOOD)
    (found,) = found_in(tmp_path)
    assert found.startswith("routing.yaml:3: warning: rule 'b': none of its scenarios listens to")


def test_within_a_file_problems_come_by_line(tmp_path: Path) -> None:
    routing = "rules:\n" + rule("quiet.py") + rule("quiet.py", pattern="b")
    write(tmp_path, routing=routing, quiet="x = 1")
    assert [line.split(" ")[:2] for line in found_in(tmp_path)] == [
        ["routing.yaml:2:", "warning:"],
        ["routing.yaml:3:", "error:"],
        ["routing.yaml:3:", "warning:"],
    ]


def test_a_secret_that_is_missing_names_the_call_and_the_line_to_add(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IN_THE_ENVIRONMENT", "x")
    wants = "".join(
        f"VoxEngine.get_secret_value({name!r})\n" for name in ("HAS", "IN_THE_ENVIRONMENT", "NO")
    )
    routing = "rules:\n" + rule("wants.py")
    write(tmp_path, routing=routing, secrets="HAS=1\n", wants=GOOD + wants)
    assert found_in(tmp_path) == [
        "wants.py:8: warning: NO is in neither secrets.env nor the environment: "
        "add the line `NO=...` to secrets.env (line 2)"
    ]


def test_one_scenario_alone(tmp_path: Path) -> None:
    write(tmp_path, good=GOOD)
    assert read_scenario(tmp_path / "good.py").problems == ()
    secrets = Secrets(tmp_path / "secrets.env", environ={})
    assert read_scenario(tmp_path / "good.py", secrets).listens


@pytest.mark.parametrize("data", [b"# Jos\xe9\n", None])
def test_a_scenario_that_cannot_be_read(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "s.py"
    if data is not None:
        path.write_bytes(data)
    (problem,) = read_scenario(path).problems
    assert problem.message.startswith("cannot be read: ")


def test_the_projects_own_files_are_free_of_problems() -> None:
    root = Path(__file__).parents[2]
    problems = load_project(root / "routing.yaml", root / "secrets.example.env").problems
    missing_key = "INWORLD_API_KEY is "  # a warning, unless whoever runs this has one
    told = {str(p).partition("/scenarios/")[2] for p in problems
            if not p.message.startswith(missing_key)}  # fmt: skip
    assert {line.partition(":")[0] for line in told} == {
        "forward.py",
        "outbound.py",
        "transfer.py",
        "voicemail.py",
    }
    lacking = ("has no trunk to carry it", "has no sip: channel to carry it")
    assert all(any(lack in line for lack in lacking) for line in told)


def test_every_file_is_read_once_and_what_was_read_is_what_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, routing="rules:\n" + rule("good.py"), secrets="A=1\n", good=GOOD)
    read: list[str] = []

    def noting(really: Callable[..., Any]) -> Callable[..., Any]:
        def noted(path: Path, *args: Any, **more: Any) -> Any:
            read.append(path.name)
            return really(path, *args, **more)

        return noted

    monkeypatch.setattr(Path, "read_text", noting(Path.read_text))
    monkeypatch.setattr(Path, "read_bytes", noting(Path.read_bytes))
    loaded = load_project(tmp_path / "routing.yaml", tmp_path / "secrets.env")
    assert sorted(read) == ["good.py", "routing.yaml", "secrets.env"]
    assert loaded.project is not None
    (file,) = loaded.project.programs["a"].files
    assert file.path == tmp_path / "good.py"
    assert loaded.project.secrets.get("A") == "1"


def test_a_certificate_that_is_not_there_is_told_of_and_nothing_listens_without_it(
    tmp_path: Path,
) -> None:
    """Its name starts at the folder of routing.yaml, wherever voxpy is started."""
    sip = "channels: {sip: {port: 0, tls_port: 0, certificate: sip.pem}}\n"
    write(tmp_path, routing="rules:\n" + rule("good.py") + sip, secrets="A=1\n", good=GOOD)
    loaded = load_project(tmp_path / "routing.yaml", tmp_path / "secrets.env")
    (problem,) = loaded.problems
    path = str(tmp_path / "sip.pem")
    assert problem.level == "warning"
    assert problem.message.startswith(f"channels: sip: there is no file {path!r}")
    assert loaded.project is not None
    (channel,) = loaded.project.routing.channels
    with pytest.raises(ConfigError, match="no usable TLS certificate and key: No such file") as e:
        channel.open()
    assert e.value.file == path
    of_the_proxy = sip.replace("tls_port: 0, ", "")
    write(tmp_path, routing="rules:\n" + rule("good.py") + of_the_proxy)
    assert found_in(tmp_path) == []


DIALS = """\
from voxpy import AppEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def answer(event):
    VoxEngine.call_pstn("+1555", "+1666")
    VoxEngine.call_sip("sip:a@b.test")
    event.call.call_pstn("not ours")
"""


def test_calls_that_no_trunk_carries_are_told_of(tmp_path: Path) -> None:
    write(tmp_path, routing="rules:\n" + rule("dials.py"), dials=DIALS)
    assert found_in(tmp_path) == [
        "dials.py:5: warning: call_pstn, call_sip: routing.yaml has no sip: channel to carry it; "
        "on a host such a call fails with 503 (voxpy run and tests play whoever is called)"
    ]
    sip = "channels: {sip: {}}\n"
    write(tmp_path, routing="rules:\n" + rule("dials.py") + sip)
    assert found_in(tmp_path) == [
        "dials.py:5: warning: call_pstn: routing.yaml has no trunk to carry it; on a host such a "
        "call fails with 503 (voxpy run and tests play whoever is called)"
    ]
    trunk = "trunks: {main: {sip: sip.test}}\n"
    write(tmp_path, routing="rules:\n" + rule("dials.py") + sip + trunk)
    assert found_in(tmp_path) == []
