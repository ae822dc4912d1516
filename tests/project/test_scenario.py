"""Scenarios are judged by the real vocabulary, without being run."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxpy
from voxpy.events import AppEvents, CallEvents
from voxpy.project.scenario import Use, examine, read_scenario


def complaints(source: str) -> list[str]:
    return [str(problem) for problem in examine(source, file="s.py").problems]


@pytest.mark.parametrize("name", ["AppEvents", "CallEvents"])
def test_every_event_there_is_passes(name: str) -> None:
    members = {"AppEvents": AppEvents, "CallEvents": CallEvents}[name].members()
    assert len(members) >= 7
    source = f"from voxpy import {name}\n" + "".join(f"{name}.{m}.name\n" for m in members)
    assert complaints(source) == []


def test_every_word_of_the_vocabulary_can_be_imported() -> None:
    assert dir(voxpy)
    assert complaints("".join(f"from voxpy import {name}\n" for name in dir(voxpy))) == []


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("CallEvents.Conected", "CallEvents has no 'Conected'; did you mean 'Connected'?"),
        ("x = [AppEvents.Startd.name]", "AppEvents has no 'Startd'; did you mean 'Started'?"),
        ("Modules.Inwrld", "Modules has no 'Inwrld'; did you mean 'Inworld'?"),
        ("VoxEngine.terminat()", "VoxEngine has no 'terminat'; did you mean 'terminate'?"),
        (
            "VoxEngine.addEventListener(1)",
            "VoxEngine has no 'addEventListener'; did you mean 'add_event_listener'?",
        ),
        ("V.sendMediaBetween", "VoxEngine has no 'sendMediaBetween'; did you mean 'send_media_be"),
        ("voxpy.CallEvent", "voxpy has no 'CallEvent'; did you mean 'CallEvents'?"),
        ("voxpy.CallEvents.Conected", "CallEvents has no 'Conected'; did you mean 'Connected'?"),
        ("ev.AppEvent", "ev has no 'AppEvent'; did you mean 'AppEvents'?"),
        ("require(Modules.Inwrld)", "Modules has no 'Inwrld'; did you mean 'Inworld'?"),
        ("require('inwrld')", "there is no module 'inwrld'; did you mean 'inworld'?"),
        ("require(Modules.SmartQueue)", "voxpy has no module 'smartqueue': queues of"),
        ("from voxpy import Loger", "voxpy has no 'Loger'; did you mean 'Logger'?"),
        ("from voxpy.events import CallEvnts", "voxpy.events has no 'CallEvnts'; did you mean"),
        ("from voxpy.evnts import CallEvents", "cannot import voxpy.evnts: No module named"),
        ("import voxpy.evnts", "cannot import voxpy.evnts: No module named"),
        ("def f(e: AppEvents.CallAlertin): ...", "AppEvents has no 'CallAlertin'; did you mean"),
    ],
)
def test_what_does_not_exist_is_named_with_its_line_and_the_nearest(
    line: str, complaint: str
) -> None:
    imports = (
        "import voxpy\nimport voxpy.events as ev\n"
        "from voxpy import AppEvents, CallEvents, Modules, VoxEngine, require\n"
        "from voxpy import VoxEngine as V\n"
    )
    (found,) = complaints(f"{imports}\n{line}\n")
    assert found.startswith(f"s.py:6: error: {complaint}")


@pytest.mark.parametrize(
    "source",
    [
        "from elsewhere import CallEvents\nCallEvents.Conected",
        "CallEvents.Conected",  # an earlier file of the rule may have imported anything
        "from voxpy import CallEvents\nclass CallEvents: Conected = 1\nCallEvents.Conected",
        "from voxpy import CallEvents\ndef f(CallEvents): return CallEvents.Conected",
        "from voxpy import CallEvents\nfor CallEvents in x: CallEvents.Conected",
        "from voxpy import CallEvents\nwith x as CallEvents: CallEvents.Conected",
        "from voxpy import CallEvents\n[CallEvents.Conected for CallEvents in x]",
        "from voxpy import CallEvents\nimport CallEvents\nCallEvents.Conected",
        "from voxpy import CallEvents\ntry: 1\nexcept E as CallEvents: CallEvents.Conected",
        "from voxpy import CallEvents\nmatch x:\n  case [*CallEvents]: CallEvents.Conected",
        "from voxpy import CallEvents\nCallEvents.Connected.call.callid",
        "from voxpy import VoxEngine\nVoxEngine.get_secret_value('X').whatever()",
        "from voxpy import VoxEngine\nVoxEngine.terminate.__name__.upperr",
    ],
)
def test_a_doubt_is_no_finding(source: str) -> None:
    assert complaints(source) == []


def test_what_require_returns_is_known() -> None:
    source = (
        "from voxpy import Modules, require\n"
        "Inworld = require(Modules.Inworld)\n"
        "Inworld.RealtimeAPIEvents.SessionCreated\n"
        "Inworld.RealtimeAPIEvents.SessionCreate\n"
    )
    assert complaints(source) == [
        "s.py:4: error: RealtimeAPIEvents has no 'SessionCreate'; did you mean 'SessionCreated'?"
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = (\n", "s.py:1: error: '(' was never closed"),
        ("\nawait f()\n", "s.py:2: error: 'await' outside function"),
        (
            "def f():\n    x = 1\n    return x\nreturn 1\n",
            "s.py:4: error: 'return' outside function",
        ),
        ("x = '\\+1'\n", "s.py:1: warning: "),
    ],
)
def test_what_the_compiler_finds(source: str, expected: str) -> None:
    (found,) = complaints(source)
    assert found.startswith(expected)


def test_null_bytes_are_an_error() -> None:
    (found,) = complaints("x = 1\0")
    assert "error" in found
    assert "null bytes" in found


def test_nothing_is_run() -> None:
    assert complaints("raise SystemExit\nimport os; os._exit(3)\n1 / 0\n") == []


@pytest.mark.parametrize(
    ("source", "listens"),
    [
        ("VoxEngine.add_event_listener(AppEvents.Started, f)", True),
        ("@VoxEngine.on(AppEvents.Started)\ndef f(e): ...", True),
        ("async def f(): await call.wait_event(CallEvents.Connected)", True),
        ("VoxEngine.forward_call_to_pstn()", True),
        ("from .shared import setup\nsetup()", True),
        ("from voxpy import VoxEngine\nVoxEngine.terminate()", False),
        ("x = 1", False),
    ],
)
def test_whether_anything_listens(source: str, listens: bool) -> None:
    assert examine(source, file="s.py").listens == listens


def test_the_secrets_it_asks_for() -> None:
    source = (
        "VoxEngine.get_secret_value('A')\n"
        "x = f(VoxEngine.get_secret_value(\n  name='B'))\n"
        "VoxEngine.get_secret_value(variable)\n"
    )
    assert examine(source, file="s.py").secrets == (Use("A", 1), Use("B", 3))


@given(st.text(alphabet="abx.=()[]:\n '#@*,") | st.text())
def test_any_text_is_examined_without_falling_over(text: str) -> None:
    assert all(problem.file == "s.py" for problem in examine(text, file="s.py").problems)


def test_what_was_examined_is_what_runs() -> None:
    reading = examine("x = 1", file="s.py")
    assert reading.file is not None
    names: dict[str, object] = {}
    exec(reading.file.code, names)
    assert names["x"] == 1


@pytest.mark.parametrize("source", ["", "\n\n", "# only a comment\n"])
def test_an_empty_file_runs_nothing_and_says_so(source: str) -> None:
    (problem,) = examine(source, file="s.py").problems
    assert str(problem) == "s.py: error: is empty: there is nothing to run"


def test_a_file_that_is_no_scenario_is_not_even_compiled(tmp_path: Path) -> None:
    path = tmp_path / "big.py"
    path.write_text("x = [\n" + "  1,\n" * 1_000_000 + "]\n")
    (problem,) = read_scenario(path).problems
    assert problem.message == "has 5000008 bytes; a scenario has at most 250000"


def test_a_language_that_a_host_alone_has_not_is_warned_of() -> None:
    source = """
from voxpy import ASRProfileList, Language, VoiceList
own = VoiceList.Amazon.en_US_Joanna, Language.US_ENGLISH_FEMALE
services = VoiceList.ElevenLabs.ru_RU_Anna
foreign = VoiceList.Google.he_IL_Wavenet_A, ASRProfileList.TBank.ru_RU
"""
    problems = examine(source, file="x.py").problems
    assert [(p.line, p.level, p.message.split(";")[0]) for p in problems] == [
        (5, "warning", "ASRProfileList.TBank.ru_RU is ru-RU"),
        (5, "warning", "VoiceList.Google.he_IL_Wavenet_A is he-IL"),
    ]
