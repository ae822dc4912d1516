"""The command line: what it prints and the codes it exits with."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import voxpy.cli
from voxpy.cli import COMMANDS, LazyGroup, main
from voxpy.cli.new import PROJECT
from voxpy.errors import (
    CallFailed,
    ConfigError,
    ConnectFailed,
    EngineMissing,
    ScenarioError,
    UnknownName,
)
from voxpy.project.routing import Match, read_routing
from voxpy.project.scenario import read_scenario

ROUTING = """\
rules:
  - {name: echo, pattern: 'echo', scenarios: [echo.py]}
  - {name: phone, pattern: '\\+?1\\d+', exclude: '.*9', scenarios: [echo.py, gone.py]}
"""
ECHO = (
    "from voxpy import AppEvents, VoxEngine\n@VoxEngine.on(AppEvents.CallAlerting)\ndef f(e): ...\n"
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("routing.yaml").write_text(ROUTING)
    Path("echo.py").write_text(ECHO)
    Path("gone.py").write_text(ECHO)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="voxpy")


# -- the group


def test_help_lists_every_command_and_the_exit_codes() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for name, help_line in COMMANDS.items():
        assert f"{name} " in result.output
        assert help_line in result.output
    assert "130  interrupted" in result.output


def test_version() -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.output.startswith("voxpy 0.")


def test_an_unknown_command_names_the_nearest() -> None:
    result = run("chekc")
    assert result.exit_code == 2
    assert "no command 'chekc'; did you mean 'check'?" in result.stderr
    assert f"there are {', '.join(COMMANDS)}" in run("qqqq").stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_can_be_used(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert (command.help or "").strip()
    result = run(name, "--help")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: voxpy {name} ")


@pytest.mark.slow
def test_help_is_quick_because_lazy() -> None:
    program = """
import sys
from voxpy.cli import main
try:
    main(["--help"], prog_name="voxpy")
except SystemExit as exc:
    assert exc.code == 0
heavy = {"numpy", "httpx", "rich", "onnxruntime", "trio", "yaml", "orjson", "voxpy.host"}
print("imported:", sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "Commands:" in done.stdout
    assert done.stdout.endswith("imported: []\n")


@pytest.mark.slow
def test_the_package_can_be_run_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "voxpy", "nosuch"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Usage: voxpy " in done.stderr


def raising(error: BaseException, *arguments: str) -> Result:
    """Run a command that raises ``error``, through the group that shows it."""

    @click.command("fail")
    def fail() -> None:
        raise error

    class Failing(LazyGroup):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
            return fail

    group = Failing("voxpy", params=list(main.params), callback=lambda **_: None)
    return CliRunner().invoke(group, [*arguments, "run"])


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ConfigError("bad", file="r.yaml", line=3), 2, "error: r.yaml:3: bad\n"),
        (ScenarioError("bad"), 2, "error: bad\n"),
        (UnknownName("bad"), 2, "error: bad\n"),
        (EngineMissing("no engine"), 2, "error: no engine\n"),
        (CallFailed(486, "Busy Here"), 1, "error: 486 Busy Here\n"),
        (ConnectFailed("refused"), 1, "error: refused\n"),
        (ExceptionGroup("nursery", [ConnectFailed("refused")]), 1, "error: refused\n"),
        (KeyboardInterrupt(), 130, ""),
        (BaseExceptionGroup("nursery", [KeyboardInterrupt(), CallFailed(1, "x")]), 130, ""),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    error: BaseException, code: int, message: str
) -> None:
    result = raising(error)
    assert (result.exit_code, result.stderr, result.stdout) == (code, message, "")


def test_debug_shows_the_traceback_too() -> None:
    result = raising(ConfigError("bad"), "--debug")
    assert result.exit_code == 2
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.endswith("error: bad\n")


@pytest.mark.parametrize(
    "bug", [ZeroDivisionError("bug"), ExceptionGroup("n", [ConfigError("x"), ValueError("bug")])]
)
def test_a_bug_is_not_hidden(bug: Exception) -> None:
    assert raising(bug).exception is bug


# -- check


def test_check_finds_nothing(project: Path) -> None:
    result = run("check")
    assert (result.exit_code, result.output) == (0, "no problems found\n")


def test_check_prints_every_problem_and_fails_for_errors(project: Path) -> None:
    Path("gone.py").unlink()
    Path("secrets.env").write_text("A=1\nA=2\n")
    result = run("check")
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "routing.yaml:3: error: rule 'phone': there is no scenario file 'gone.py'",
        "secrets.env:2: warning: A is given again (first in line 1); this counts",
        "1 error, 1 warning",
    ]


def test_check_passes_with_warnings(project: Path) -> None:
    Path("my.env").write_text("A=1\nA=2\nA=3\n")
    result = run("check", "--secrets", "my.env")
    assert result.exit_code == 0
    assert result.output.endswith("0 errors, 2 warnings\n")


def test_check_for_a_script(project: Path) -> None:
    Path("other.yaml").write_text("rules: 5\n")
    result = run("check", "--routing", "other.yaml", "--json")
    assert result.exit_code == 1
    assert json.loads(result.output) == {
        "ok": False,
        "problems": [
            {
                "file": "other.yaml",
                "line": 1,
                "level": "error",
                "message": "rules must be a list of at least one rule, not 5",
            }
        ],
    }


# -- route


def test_route_says_which_rule_and_why(project: Path) -> None:
    Path("gone.py").unlink()
    result = run("route", "+1555")
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "+1555: rule 'phone' (routing.yaml:3) runs",
        "  echo.py",
        "  gone.py  (there is no such file)",
        "tried, in this order:",
        "  'echo' (echo): no match",
        r"  'phone' (\+?1\d+): match",
    ]


def test_route_without_a_match_says_what_the_caller_gets(project: Path) -> None:
    result = run("route", "1559")
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "1559: no rule matches; the caller would get 404",
        "tried, in this order:",
        "  'echo' (echo): no match",
        r"  'phone' (\+?1\d+): excluded",
    ]


def test_route_for_a_script(project: Path) -> None:
    result = run("route", "echo", "--json")
    assert result.exit_code == 0
    assert json.loads(result.output) == {
        "destination": "echo",
        "rule": "echo",
        "line": 2,
        "scenarios": ["echo.py"],
        "tried": [{"rule": "echo", "pattern": "echo", "matched": True, "excluded": False}],
    }
    nobody = json.loads(run("route", "x", "--json").output)
    assert (nobody["rule"], nobody["scenarios"], len(nobody["tried"])) == (None, [], 2)


def test_route_with_a_wrong_file(project: Path) -> None:
    result = run("route", "x", "--routing", "nosuch.yaml")
    assert result.exit_code == 2
    assert result.stderr == "error: nosuch.yaml: there is no such file; --routing names another\n"


@pytest.mark.parametrize(
    ("destination", "rule"),
    [("+15550199", "answer"), ("15550199", "answer"), ("echo", "echo"), ("nobody", "reject")],
)
def test_the_projects_own_rules(destination: str, rule: str) -> None:
    result = read_routing(Path(__file__).parents[1] / "routing.yaml").match(destination)
    assert isinstance(result, Match)
    assert result.rule.name == rule


# -- new


def test_new_writes_a_scenario_without_problems_and_a_caller(project: Path) -> None:
    result = run("new", "front_desk")
    assert result.exit_code == 0
    scenario, caller = Path("scenarios/front_desk.py"), Path("scenarios/callers/front_desk.yaml")
    assert result.output.splitlines()[-2:] == [
        f"  voxpy run {scenario} --caller {caller}",
        f"  voxpy run {scenario} --caller {caller} --agent inworld",
    ]
    reading = read_scenario(scenario)
    assert reading.problems == ()
    assert reading.listens
    assert [use.name for use in reading.secrets] == ["INWORLD_API_KEY"]
    assert "front_desk" in (ast.get_docstring(ast.parse(scenario.read_text())) or "")
    assert "@" not in caller.read_text()
    assert caller.read_text().endswith("  - hang_up\n")


def test_new_in_another_folder(project: Path) -> None:
    assert run("new", "desk", "--folder", "a/b").exit_code == 0
    assert Path("a/b/desk.py").is_file()
    assert Path("a/b/callers/desk.yaml").is_file()


@pytest.mark.parametrize("taken", ["scenarios/desk.py", "scenarios/callers/desk.yaml"])
def test_new_overwrites_nothing_and_writes_nothing_then(project: Path, taken: str) -> None:
    Path(taken).parent.mkdir(parents=True)
    Path(taken).write_text("mine")
    result = run("new", "desk")
    assert result.exit_code == 2
    assert result.stderr == f"error: {taken}: exists already, and nothing is overwritten\n"
    assert [p for p in Path("scenarios").rglob("*") if p.is_file()] == [Path(taken)]
    assert Path(taken).read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("front-desk", "; did you mean 'front_desk'?"),
        ("Desk.py", "; did you mean 'desk'?"),
        ("../desk", "; did you mean 'desk'?"),
        ("class", ""),
        ("1st", ""),
    ],
)
def test_new_wants_a_python_name(project: Path, name: str, hint: str) -> None:
    result = run("new", name)
    assert result.exit_code == 2
    assert f"{name!r} is not a Python name{hint}\n" in result.stderr
    assert not Path("scenarios").exists()


def test_new_where_no_folder_can_be(project: Path) -> None:
    Path("scenarios").write_text("a file")
    result = run("new", "desk")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: scenarios/desk.py: cannot be written: ")


def test_the_templates_travel_with_the_package() -> None:
    folder = Path(voxpy.cli.__file__).parent / "templates"
    written = {"scenario.py.tmpl", "caller.yaml.tmpl", "test.py.tmpl", *PROJECT.values()}
    assert {path.name for path in folder.glob("*.tmpl")} == written


def test_a_project_is_one_command_and_everything_in_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".gitignore").write_text("mine\n")
    result = run("new", "--project", "shop")
    assert result.exit_code == 0
    assert "kept .gitignore, which was there" in result.output
    assert Path(".gitignore").read_text() == "mine\n"
    assert run("check").exit_code == 0
    assert "rule 'shop'" in run("route", "+15550199").output
    assert run("test").exit_code == 0
    assert run("fuzz", "scenarios/shop.py", "--calls", "20").exit_code == 0
    assert run("run", "scenarios/shop.py", "--fast", "--agent", "ws://127.0.0.1:9").exit_code == 1
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"], check=False, text=True,
        capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_a_project_in_an_empty_folder_needs_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("new", "--project").exit_code == 0
    assert Path("scenarios/front_desk.py").is_file()
    assert "secrets.env" in Path(".gitignore").read_text()
    again = run("new", "--project", "other")
    assert again.exit_code == 2
    assert "routing.yaml: exists already, and nothing is overwritten" in again.stderr
    assert not Path("scenarios/other.py").exists()
    assert run("new").exit_code == 2


# -- what the system refuses is one line, not a traceback


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("serve --port 99999", "cannot listen on 127.0.0.1:99999 (--port): "),
        ("serve --host no.such.host.invalid", "cannot listen on no.such.host.invalid:8080"),
        (f"serve --host {'x' * 70}", "cannot listen on xxx"),
        ("run echo.py --fast --out taken/x", "taken/x"),
        ("run echo.py --fast --caller .", "no such caller script"),
        ("fuzz echo.py --calls 1 --out taken/x", "taken: File exists"),
        ("show last --out taken", "taken/history.db: there is no call history yet"),
        ("calls --prune --keep-days 1 --out taken/x", "taken/x"),
        ("new x --folder taken/x", "taken/x"),
        ("check --routing taken/x", "taken/x"),
        ("test .", "."),
        ("run echo.py --secrets nope.env", "there is no file 'nope.env'"),
        ("serve --secrets nope.env", "there is no file 'nope.env'"),
        ("check --secrets nope.env", "there is no file 'nope.env'"),
    ],
)
def test_no_traceback(project: Path, arguments: str, told: str) -> None:
    (project / "taken").write_text("a file, where a folder is wanted")
    result = run(*arguments.split())
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (1, 2)
    assert told in result.stderr + result.stdout
    assert "Traceback" not in result.output


def test_what_is_kept_is_out_of_version_controls_sight(project: Path) -> None:
    run("run", "echo.py", "--fast", "--json")
    assert (project / ".voxpy" / ".gitignore").read_text() == "*\n"
    run("run", "echo.py", "--fast", "--json", "--out", "kept")
    assert (project / "kept" / ".gitignore").is_file()
