"""Everything that can be wrong from outside: one clear error each, and nothing is lost.

What a person sees is the terminal; so most of these go through the command line.
"""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

import json
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel
from click.testing import CliRunner, Result

from voxpy.cli import main
from voxpy.engine.ports import Endpoint
from voxpy.errors import ConfigError, ConnectFailed, ScenarioError, UnknownName
from voxpy.testing import CallKit, WorldCall
from voxpy.testing.service import Refusing, Service, Talk

ANSWER = Path(__file__).parents[1] / "scenarios" / "answer.py"
STAY = "- wait: answered\n- wait: 3\n- hang_up\n"
PLAIN = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    event.call.answer()
"""


def check_everything_is_there(folder: Path) -> None:
    """Assert that a session left a whole trace, log, record and recording."""
    lines = [json.loads(line) for line in (folder / "trace.jsonl").read_text().splitlines()]
    assert lines[0]["name"] == "started"
    assert [e for e in lines if e["kind"] == "session" and e["name"] == "ended"]
    assert all(e["v"] == 1 for e in lines)
    assert (folder / "session.log").read_text().endswith("\n")
    record = json.loads((folder / "record.json").read_text())
    assert record["end_reason"]
    assert record["finish_reason"]
    assert len(record["calls"]) == 1
    with wave.open(str(folder / "call.wav")) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 8000)
        assert file.getnframes() * 4 == (folder / "call.wav").stat().st_size - 44


class Shell:
    """A folder and the command line in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def run(self, scenario: str | Path, *more: str, caller: str | None = STAY) -> Result:
        """Run a scenario (source, or a path) on virtual time, with no need of speech."""
        path = scenario if isinstance(scenario, Path) else self.write("mine.py", scenario)
        steps = [] if caller is None else ["--caller", str(self.write("me.yaml", _whole(caller)))]
        secrets = self.folder / "secrets.env"
        secrets.touch()
        out = ["--out", str(self.folder / "out"), "--secrets", str(secrets)]
        agent = [] if "--agent" in more else ["--agent", "ws://127.0.0.1:9/none"]
        arguments = ["run", str(path), "--fast", *steps, *out, *agent, *more]
        return CliRunner().invoke(main, arguments, catch_exceptions=False)

    @property
    def session(self) -> Path:
        (folder,) = (self.folder / "out" / "sessions").iterdir()
        return folder


def _whole(steps: str) -> str:
    return steps if "steps:" in steps else "steps:\n" + steps


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.delenv("INWORLD_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path)


def said(result: Result) -> str:
    """Return what was printed, as one line, since the screen wraps."""
    return " ".join(result.output.split())


# -- scenario files ---------------------------------------------------------------------------------


def test_a_missing_scenario_names_its_neighbours(shell: Shell) -> None:
    shell.write("answer.py", PLAIN)
    result = shell.run(shell.folder / "anser.py")
    assert result.exit_code == 2
    assert f"error: {shell.folder / 'anser.py'}: there is no such scenario file" in said(result)
    assert "answer.py" in said(result)
    assert not (shell.folder / "out").exists()


def test_a_syntax_error_shows_its_line(shell: Shell) -> None:
    result = shell.run("from voxpy import VoxEngine\n\ndef broken(:\n    pass\n")
    assert result.exit_code == 2
    assert f"{shell.folder / 'mine.py'}:3: invalid syntax" in said(result)
    assert "def broken(:" in said(result)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import nothing_like_this\n", "No module named 'nothing_like_this' at {file}:1"),
        ("from voxpy import VoxEngin\n", "VoxEngin"),
        ("x = 1\nraise RuntimeError('at load')\n", "RuntimeError: at load at {file}:2"),
        ("x = 1\n", "{file}: registers no listener"),
        ("from .prices import TABLE\n", "prices"),
        (
            "from voxpy import AppEvents, VoxEngine\nVoxEngine.add_event_listener(AppEvents.CallAlerting, 'f')\n",
            "must be a function, not str ('f'); pass the function itself, without calling it at {file}:2",
        ),
        (
            "from voxpy import AppEvents, VoxEngine\nVoxEngine.add_event_listener(AppEvents.CallAlering, print)\n",
            "AppEvents has no 'CallAlering'; did you mean 'CallAlerting'? at {file}:2",
        ),
        (
            "from voxpy import VoxEngine\nVoxEngine.add_event_listener('CallAlerting', print)\n",
            "'CallAlerting' is not an event: pass a member of AppEvents",
        ),
        (
            "from voxpy import VoxEngine\nVoxEngine.sendMediaBetween(1, 2)\n",
            "VoxEngine has no 'sendMediaBetween'; did you mean 'send_media_between'? at {file}:2",
        ),
        (
            "from voxpy import VoxEngine\nVoxEngine.enqueue_task(1)\n",
            "VoxEngine.enqueue_task() is part of VoxEngine, but not of voxpy: queues of Voximplant's contact centre are no part of voxpy; dial operators with call_user or call_sip, and bridge who answers at {file}:2",
        ),
        (
            "from voxpy import Modules, require\nrequire(Modules.Inwrld)\n",
            "Modules has no 'Inwrld'; did you mean 'Inworld'? at {file}:2",
        ),
    ],
)  # fmt: skip
def test_what_goes_wrong_at_load(shell: Shell, source: str, words: str) -> None:
    result = shell.run(source)
    assert result.exit_code == 2, said(result)
    assert words.format(file=shell.folder / "mine.py") in said(result)
    assert "the caller's script was not met" not in said(result)  # one error, not its consequences
    check_everything_is_there(shell.session)
    record = json.loads((shell.session / "record.json").read_text())
    assert record["end_reason"] == "load error"


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("event.call.callId()", "'id'"),
        ("event.call.sendMediaTo(event.call)", "did you mean 'send_media_to'?"),
        ("event.call.add_event_listener(CallEvents.PCM, print)", "CallEvents has no 'PCM'"),
        ("event.call.add_event_listener(CallEvents.Connected, None)", "must be a function, not NoneType"),
        ("event.call.reject(200)", "reject needs a SIP status from 300 to 699, not 200"),
        ("VoxEngine.send_media_between(event.call, 7)", "int is not a media unit"),
        ("event.call.answer({'From': 'x'})", "header 'From' cannot be set"),
        ("event.call.answer({'X-A': 'a\\r\\nX-B: b'})", "line break"),
    ],
)  # fmt: skip
def test_wrong_use_in_a_handler(shell: Shell, line: str, hint: str) -> None:
    result = shell.run(PLAIN + f"    {line}\n")
    assert result.exit_code == 1
    assert hint in said(result)
    check_everything_is_there(shell.session)


def test_a_handler_error_shows_the_authors_frames_and_no_others(shell: Shell) -> None:
    body = "\ndef deeper(event):\n    return event.call.number()[99]\n"
    result = shell.run(PLAIN + "    deeper(event)\n" + body)
    assert result.exit_code == 1
    told = said(result)
    assert "IndexError" in told
    assert f'File "{shell.folder / "mine.py"}", line 8, in alerting' in told
    assert f'File "{shell.folder / "mine.py"}", line 11, in deeper' in told
    assert "voxpy/engine" not in told
    assert "site-packages" not in told
    record = json.loads((shell.session / "record.json").read_text())
    assert record["finish_reason"] == "Session error"
    check_everything_is_there(shell.session)


# -- caller files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caller", "words"),
    [
        ("steps:\n- wait: [answered\n", "me.yaml:"),
        ("steps:\n- sya: hello\n", "me.yaml:2: unknown step 'sya'; did you mean 'say'?"),
        ("step:\n- hang_up\nsteps: []", "me.yaml:1: the file has no 'step'; did you mean 'steps'?"),
        ("steps:\n- wait: answered\n- expect: '+1('\n", "me.yaml:3: '+1(' is not a regular expression"),
        ("steps:\n- wait: answred\n", "me.yaml:2: wait is for a number of seconds or one of answered"),
        ("steps:\n- play: nowhere.wav\n", "me.yaml:2: there is no file"),
    ],
)  # fmt: skip
def test_a_wrong_caller_file(shell: Shell, caller: str, words: str) -> None:
    result = shell.run(PLAIN, caller=caller)
    assert result.exit_code == 2
    assert words in said(result)
    assert not (shell.folder / "out").exists()


def test_a_missing_caller_file(shell: Shell) -> None:
    result = shell.run(PLAIN, "--caller", "nobody.yaml", caller=None)
    assert result.exit_code == 2
    assert "nobody.yaml: there is no such caller script or WAV file" in said(result)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "me.wav"),
        (b"RIFF\x00\x00\x00\x00WAVE", "me.wav"),
        (b"ID3\x04 this is an MP3", "me.wav"),
    ],
)
def test_a_caller_who_is_no_wav(shell: Shell, content: bytes, words: str) -> None:
    (shell.folder / "me.wav").write_bytes(content)
    result = shell.run(PLAIN, "--caller", "me.wav", caller=None)
    assert result.exit_code == 2
    assert f"error: {words}" in said(result)


@pytest.mark.parametrize(("width", "rate_hz"), [(1, 8000), (2, 11025), (3, 48000), (2, 192000)])
def test_a_wav_of_a_strange_rate_or_width_is_played_or_refused_clearly(
    shell: Shell, width: int, rate_hz: int
) -> None:
    with wave.open("me.wav", "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(rate_hz)
        file.writeframes(bytes(width) * rate_hz)
    result = shell.run(PLAIN, "--caller", "me.wav", caller=None)
    if result.exit_code != 0:
        assert result.exit_code == 2
        assert "error: me.wav" in said(result)
    else:
        check_everything_is_there(shell.session)


def test_a_step_that_is_not_met(shell: Shell) -> None:
    result = shell.run(
        PLAIN, caller="- wait: answered\n- wait: {for: agent_speaking, within_s: 2}\n"
    )
    assert result.exit_code == 1
    assert (
        "the caller's script was not met: "
        f"{shell.folder / 'me.yaml'}:3: step 2 (wait: agent_speaking): the agent said nothing within 2 s"
    ) in said(result)
    record = json.loads((shell.session / "record.json").read_text())
    assert "the agent said nothing" in record["personal"]["caller_failed"]
    check_everything_is_there(shell.session)


def test_a_refused_call_is_a_failure_unless_the_script_allows_it(shell: Shell) -> None:
    refusing = PLAIN.replace("event.call.answer()", "event.call.reject(486)")
    result = shell.run(refusing, caller="- wait: answered\n- hang_up\n")
    assert result.exit_code == 1
    assert "step 1 (wait: answered): the call was over: 486 Rejected" in said(result)


def test_a_refused_call_may_be_allowed(shell: Shell) -> None:
    refusing = PLAIN.replace("event.call.answer()", "event.call.reject(486)")
    result = shell.run(refusing, caller="may_be_refused: true\nsteps:\n- wait: answered\n")
    assert result.exit_code == 0
    check_everything_is_there(shell.session)


def test_what_was_heard_instead_is_told(voxpy: CallKit) -> None:
    call = voxpy.call(
        ANSWER,
        "- wait: answered\n- expect: {heard: goodbye, within_s: 6}\n",
        agent=["Hello this is Voxi speaking"],
    )
    assert call.result.failure == (
        "caller.yaml:3: step 2 (expect: /goodbye/): expected to hear /goodbye/ within 6 s; "
        "heard: Hello this is Voxi speaking"
    )


def test_what_was_said_last_counts_though_the_scenario_hangs_up_right_after(
    voxpy: CallKit,
) -> None:
    """The caller's recogniser gets its time when the call is over before it has understood."""
    caller = "- wait: answered\n- expect: {heard: speaking, within_s: 60}\n- wait: 30\n"
    call = voxpy.call(ANSWER, caller, agent=["Hello this is Voxi speaking"])
    assert call.result.failure == ""
    source = ANSWER.read_text() + (
        "\nimport trio\n@VoxEngine.on(AppEvents.CallAlerting)\nasync def soon(event):\n"
        "    await trio.sleep(1.2)\n    VoxEngine.terminate()\n"
    )
    call = voxpy.call(source, caller, agent=["Hello this is Voxi speaking"])
    assert "expected to hear /speaking/" in call.result.failure
    assert "heard: Hello this" in call.result.failure
    assert "Session ended" in call.result.failure


# -- secrets and the realtime endpoint --------------------------------------------------------------


def test_no_key_for_inworld_says_where_to_put_one(shell: Shell) -> None:
    result = shell.run(ANSWER, "--agent", "inworld")
    told = said(result)
    assert "api_key is None" in told
    assert "INWORLD_API_KEY" in told
    assert "secrets.env" in told
    assert result.exit_code == 1
    check_everything_is_there(shell.session)


def test_an_agent_that_is_no_url(shell: Shell) -> None:
    result = shell.run(PLAIN, "--agent", "http://example.test")
    assert result.exit_code == 2
    assert "'http://example.test' is not local, inworld or a ws:// or wss:// URL" in said(result)


def faults(call: WorldCall) -> list[str]:
    """Return what is wrong with the connection: what the screen shows without being asked."""
    words = "no connection to the realtime service: "
    return [
        e.data["message"].removeprefix(words)
        for e in call.entries
        if e.kind == "error" and e.data.get("message", "").startswith(words)
    ]


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "API key"), (402, "billing"), (403, "permissions"), (429, "too many")],
)
def test_an_endpoint_that_refuses(voxpy: CallKit, status: int, words: str) -> None:
    call = voxpy.call(ANSWER, STAY, serve=Refusing(status, b'{"error":{"message":"because"}}'))
    (fault,) = faults(call)
    assert fault.startswith("ws://service.test/session")
    assert f"HTTP {status}" in fault
    assert words in fault
    assert "because" in fault
    (refused,) = call.find("Inworld.RealtimeAPI.HTTPResponse")
    assert refused.personal["payload"]["status"] == status
    assert any("===NO CONNECTION===" in line for line in call.log)  # answer.py catches it
    check_everything_is_there(call.result.folder)


async def _close_in_handshake(stream: trio.abc.Stream) -> None:
    await stream.receive_some()
    await stream.aclose()


async def _never_answer(stream: trio.abc.Stream) -> None:
    while await stream.receive_some():
        pass


@pytest.mark.parametrize(
    ("serve", "words", "after_s"),
    [
        (_close_in_handshake, "closed the connection during the handshake", 0.2),
        (_never_answer, "no answer within 10 s", 10.1),
    ],
)
def test_an_endpoint_that_is_none(
    voxpy: CallKit, serve: Callable[[trio.abc.Stream], Any], words: str, after_s: float
) -> None:
    call = voxpy.call(ANSWER, "- wait: answered\n- wait: 30\n- hang_up", serve=serve)
    (fault,) = faults(call)
    assert words in fault
    (failed,) = [e for e in call.entries if e.kind == "error"]
    assert failed.t <= after_s
    check_everything_is_there(call.result.folder)


def test_connection_refused(voxpy: CallKit) -> None:
    async def refuse(endpoint: Endpoint) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        raise ConnectFailed(f"{endpoint.host}:{endpoint.port}: cannot connect: Connection refused")

    call = voxpy.call(ANSWER, STAY, open_stream=refuse)
    assert faults(call) == ["service.test:80: cannot connect: Connection refused"]
    check_everything_is_there(call.result.folder)


async def _one_frame_then(talk: Talk, last: Callable[[Talk], Any]) -> None:
    await talk.open_session()
    await talk.read_until("input_audio_buffer.append")
    await last(talk)


@pytest.mark.parametrize(
    ("last", "end"),
    [
        (lambda talk: talk.socket.aclose(1011, "internal fault"), "agent failed"),
        (lambda talk: talk.drop(), "agent failed"),
        (lambda talk: talk.send("{malformed"), "terminated"),
        (lambda talk: talk.send({"no": "type"}), "terminated"),
        (lambda talk: talk.send(b"\x00" * 100), "terminated"),
        (lambda talk: talk.send({"type": "x", "pad": "a" * 1_000_000}), "terminated"),
        (lambda talk: talk.stream.send_all(b"\xff\xff\xffgarbage"), "agent failed"),
    ],
    ids="1011 drop malformed typeless binary megabyte garbage".split(),
)
def test_a_service_that_goes_bad_in_mid_call(
    voxpy: CallKit, last: Callable[[Talk], Any], end: str
) -> None:
    async def play(talk: Talk) -> None:
        await _one_frame_then(talk, last)
        await talk.stay()

    call = voxpy.call(ANSWER, STAY, serve=Service(play))
    assert call.result.end.reason.value == end
    told = [e for e in call.entries if e.kind == "warning" or "WebSocketError" in e.name
            or e.name in ("websocket closed", "Inworld.RealtimeAPI.Unknown")]  # fmt: skip
    assert told
    check_everything_is_there(call.result.folder)


# -- callers who leave ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caller", "serve"),
    [
        ("- wait: 0.01\n- hang_up", None),  # before the answer, that is at once
        ("- wait: answered\n- hang_up", _never_answer),  # while the client is being made
        ("- wait: answered\n- wait: agent_speaking\n- wait: 0.5\n- hang_up", None),  # mid-sentence
        ("- wait: answered\n- wait: 0.05\n- hang_up", None),
    ],
    ids="before-answer in-creation mid-sentence early".split(),
)
def test_a_caller_who_leaves(
    voxpy: CallKit, caller: str, serve: Callable[[trio.abc.Stream], Any] | None
) -> None:
    call = voxpy.call(ANSWER, caller, agent=["Hello this is Voxi speaking to you"], serve=serve)
    assert call.result.end.reason.value == "terminated"
    assert call.result.failure == ""
    assert call.find("call over")[0].data["reason"] in (
        "Hung up by the caller",
        "Request Terminated",
    )
    assert call.find("ended")[0].t - call.find("call over")[0].t < 0.3  # nobody waits for anything
    check_everything_is_there(call.result.folder)


# -- what must not be kept --------------------------------------------------------------------------


def test_secrets_are_masked_and_numbers_marked(voxpy: CallKit) -> None:
    secret, number = "c2VjcmV0LXZhbHVl", "+15550166"
    source = """
from voxpy import AppEvents, CallEvents, Inworld, Logger, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    key = VoxEngine.get_secret_value("INWORLD_API_KEY")
    Logger.write(f"the key is {key}")
    call.answer({"X-Key": key})
    client = await Inworld.create_realtime_api_client(api_key=key, session_key="k", url="ws://x.test/?token=" + key)
    client.session_update({"session": {"instructions": "never say " + key, "password": "hidden99"}})
    raise ValueError(f"{key} leaked")
"""
    service = Service(lambda talk: talk.stay())
    call = voxpy.call(
        source,
        f"from: '{number}'\nsteps:\n{STAY}",
        secrets={"INWORLD_API_KEY": secret},
        serve=service,
        check_errors=False,
    )
    assert service.talks[0].headers["authorization"] == f"Basic {secret}"  # it was really used
    for name in ("trace.jsonl", "session.log", "record.json"):
        text = (call.result.folder / name).read_text()
        assert secret not in text, name
        assert "hidden99" not in text, name
        assert "***" in text, name
    for line in (call.result.folder / "trace.jsonl").read_text().splitlines():
        entry = json.loads(line)
        entry.pop("personal", None)
        assert number not in json.dumps(entry)
        assert number.lstrip("+") not in json.dumps(entry)
    record = json.loads((call.result.folder / "record.json").read_text())
    assert record.pop("personal")["callerid"] == number
    assert number not in json.dumps(record)


def test_the_kinds_of_errors(voxpy: CallKit, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError):
        voxpy.call(tmp_path / "absent.py", STAY)
    with pytest.raises(ConfigError):
        voxpy.call(PLAIN, "- jump")
    call = voxpy.call(PLAIN + "    VoxEngine.nothing()\n", STAY, check_errors=False)
    assert isinstance(call.errors[0], UnknownName)
    with pytest.raises(ExceptionGroup) as raised:
        voxpy.call(PLAIN + "    VoxEngine.nothing()\n", STAY)
    assert isinstance(raised.value.exceptions[0], UnknownName)


# -- callees ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("+15550177", "Invalid value for --callee: '+15550177' is not DEST=WHAT"),
        ("=busy", "'=busy' is not DEST=WHAT"),
        ("1=", "'1=' is not DEST=WHAT"),
        ("1=asleep", "error: asleep: there is no such callee script or WAV file"),
        ("1(=busy", "error: --callee: '1(' is not a regular expression"),
        ("1=bad.yaml", "error: bad.yaml:1: a callee is answer, busy, no_answer, or a mapping of"),
    ],
)
def test_a_callee_that_is_none(shell: Shell, given: str, words: str) -> None:
    shell.write("bad.yaml", "- say: hello\n")
    result = shell.run(PLAIN, "--callee", given)
    assert result.exit_code == 2
    assert words in said(result)
    assert not (shell.folder / "out").exists()


def test_callees_of_the_command_line_come_first(shell: Shell) -> None:
    caller = "may_be_refused: true\ncallees: {'+15550177': answer}\nsteps: [{wait: answered}]"
    forward = "from voxpy import VoxEngine\nVoxEngine.forward_call_to_pstn(lambda n: '+15550177')\n"
    options = ("--callee", "15550177=busy", "--callee", "+1.*=answer")
    result = shell.run(forward, *options, caller=caller)
    assert result.exit_code == 0
    assert "+15550177 failed: Busy Here" in said(result)
