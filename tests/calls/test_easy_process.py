"""easy_process and the forwarding that is made of it: every way two calls can become one or not."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

import wave
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import numpy.typing as npt
import pytest
import trio

from voxpy.engine.loader import compile_scenarios
from voxpy.engine.trace import Entry
from voxpy.errors import ScenarioError
from voxpy.host.sessions import HostedSession
from voxpy.localagent.engines import Engines
from voxpy.project.secrets import Secrets
from voxpy.simulation.callerfile import parse_script
from voxpy.simulation.localcall import LocalCall, run_local_call
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines
from voxpy.simulation.virtual import run_virtual
from voxpy.testing import CallKit, WorldCall

Samples = npt.NDArray[np.int16]

HEAD = """
from voxpy import AppEvents, CallEvents, Logger, VoxEngine
import trio
"""
FORWARD = f"""{HEAD}
def talking(caller, person):
    Logger.write(f"established {{caller.state()}} {{person.state()}}")

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    person = VoxEngine.call_pstn("+15550177", event.callerid)
    VoxEngine.easy_process(event.call, person, talking)
"""


def forward(voxpy: CallKit, callee: str, steps: str, source: str = FORWARD) -> WorldCall:
    """One forwarded call: a callee as YAML in one line, and the caller's steps."""
    script = f"may_be_refused: true\ncallees:\n  '+15550177': {callee}\nsteps:\n{steps}"
    return voxpy.call(source, script)


def events(call: WorldCall, unit: str) -> list[str]:
    quiet = ("StateChanged", "AudioQualityDetected", "FirstAudioPacketReceived")
    names = [
        e.name.removeprefix("Call.") for e in call.entries if e.kind == "event" and e.unit == unit
    ]
    return [n for n in names if n not in quiet]


def ends(call: WorldCall) -> dict[str, tuple[int, str]]:
    return {
        c["call_id"]: (c["end_reason"]["code"], c["end_reason"]["description"])
        for c in call.result.record.calls
    }


def test_both_talk_and_the_caller_hangs_up(voxpy: CallKit) -> None:
    call = forward(
        voxpy,
        "{rings_s: 2, steps: [{say: this is mary}, {expect: the printer is broken}, {say: we will come}, {wait: hung_up}]}",
        "- wait: answered\n- expect: this is mary\n- say: the printer is broken\n- expect: we will come\n- hang_up",
    )
    assert call.result.failure == ""
    assert events(call, "outgoing-1") == ["Ringing", "AudioStarted", "Connected"]
    assert events(call, "call-1")[1:] == ["Connected", "Disconnected"]  # after CallAlerting
    assert call.log == ["established CONNECTED CONNECTED"]
    order = [
        e.name
        for e in call.entries
        if e.name in ("caller hears ringing", "Call.answer", "Call.ring")
    ]
    assert order == ["Call.ring", "caller hears ringing", "Call.answer"]
    answered = {e.unit: e.t for e in call.find("Call.Connected")}
    assert answered["outgoing-1"] == pytest.approx(2.0, abs=0.03)
    assert answered["call-1"] == pytest.approx(2.02, abs=0.03)
    assert ends(call) == {
        "call-1": (16, "Hung up by the caller"),
        "outgoing-1": (16, "Session ended"),
    }
    assert call.result.end.detail == "easy_process: the caller's call is over"


def test_the_callee_hangs_up_first(voxpy: CallKit) -> None:
    call = forward(voxpy, "{steps: [{wait: 1}, hang_up]}", "- wait: answered\n- wait: hung_up")
    assert call.result.failure == ""
    assert ends(call) == {
        "outgoing-1": (16, "Hung up by the callee"),
        "call-1": (16, "Session ended"),
    }
    assert call.result.end.detail == "easy_process: the callee's call is over"


@pytest.mark.parametrize(
    ("callee", "code", "after_s"),
    [("busy", 486, 1.0), ("{reject: 603, rings_s: 3}", 603, 3.0), ("no_answer", 408, 60.0)],
)
def test_the_caller_is_refused_as_the_callee_refused(
    voxpy: CallKit, callee: str, code: int, after_s: float
) -> None:
    call = forward(voxpy, callee, "- wait: {for: answered, within_s: 90}")
    assert {unit: end[0] for unit, end in ends(call).items()} == {
        "call-1": code,
        "outgoing-1": code,
    }
    assert call.result.record.duration_s == pytest.approx(after_s, abs=0.05)
    assert "Connected" not in events(call, "call-1")
    assert call.log == []


def test_the_caller_gives_up_while_it_rings(voxpy: CallKit) -> None:
    call = forward(voxpy, "no_answer", "- wait: 4\n- hang_up")
    assert ends(call) == {
        "call-1": (487, "Request Terminated"),
        "outgoing-1": (487, "Session ended"),
    }
    assert call.result.record.duration_s == pytest.approx(4.0, abs=0.05)
    assert call.result.failure == ""


def test_the_caller_hears_what_is_played_before_the_answer(voxpy: CallKit) -> None:
    call = forward(
        voxpy,
        "{before_answer: [{say: this number has changed}], reject: 404}",
        "- expect: this number has changed\n- wait: answered",
    )
    assert call.result.failure == ""
    assert events(call, "call-1")[1:] == ["AudioStarted", "Disconnected"]
    assert ends(call)["call-1"][0] == 404


def test_messages_and_infos_pass_both_ways(voxpy: CallKit) -> None:
    call = forward(
        voxpy,
        "{steps: [{wait: 1}, {message: from the callee}, {info: {mime_type: a/b, body: one}}, {wait: hung_up}]}",
        "- wait: answered\n- message: from the caller\n- info: {body: two}\n- wait: 2\n- hang_up",
    )
    received = {
        e.name: e.personal["text"]
        for e in call.entries
        if e.kind == "step" and "receives" in e.name
    }
    assert received == {
        "caller receives message": "from the callee",
        "caller receives info": "a/b: one",
        "callee receives message": "from the caller",
        "callee receives info": "text/plain: two",
    }


def test_headers_of_the_platform_stay_where_they_are(voxpy: CallKit) -> None:
    source = (
        FORWARD
        + """
    from voxpy.engine.ports import LegConnected, LegInfo
    person.add_event_listener(CallEvents.Ringing, lambda e: person._state.report(
        LegConnected(headers={"X-Desk": "7", "VI-Client-IP": "10.0.0.1"})))
    person.add_event_listener(CallEvents.Connected, lambda e: event.call._state.report(
        LegInfo(mime_type="a/b", body="c", headers={"x-one": "1", "VI-Two": "2"})))
"""
    )
    call = forward(voxpy, "no_answer", "- wait: answered\n- hang_up", source)
    (answer,) = call.find("Call.answer")
    assert dict(answer.personal["headers"]) == {"X-Desk": "7"}
    assert len(call.find("Call.send_info")) == 1  # VI-Two would have been refused


def test_digits_pass_as_sound(voxpy: CallKit) -> None:
    source = FORWARD.replace(
        "def talking(caller, person):",
        "def talking(caller, person):\n    person.record(stereo=True)",
    )
    call = forward(
        voxpy,
        "{steps: [{wait: hung_up}]}",
        "- wait: answered\n- wait: 1\n- press: '5'\n- wait: 1\n- hang_up",
        source,
    )
    heard = stereo(call)[:, 1].astype(np.float64)
    loud = np.flatnonzero(np.abs(heard) > 1000)
    tone = heard[loud[0] : loud[-1]]
    spectrum = np.abs(np.fft.rfft(tone * np.hanning(len(tone)), 8192))
    strongest = {round(float(k) * 8000 / 8192) for k in np.argsort(spectrum)[-6:]}
    assert any(abs(hz - 770) < 15 for hz in strongest)
    assert any(abs(hz - 1336) < 15 for hz in strongest)


def test_what_one_says_is_what_the_other_hears(voxpy: CallKit) -> None:
    source = FORWARD.replace(
        "def talking(caller, person):",
        "def talking(caller, person):\n    person.record(stereo=True)",
    )
    call = forward(
        voxpy,
        "{steps: [{wait: 3}, {say: three four five}, {wait: hung_up}]}",
        "- wait: answered\n- wait: 1\n- say: one two\n- wait: 5\n- hang_up",
        source,
    )
    caller, person = read(call.hosted.recording), stereo(call)
    assert likeness(caller[:, 0], person[:, 1]) > 0.999
    assert likeness(person[:, 0], caller[:, 1]) > 0.999
    assert likeness(caller[:, 0], person[:, 0]) < 0.2


def stereo(call: WorldCall) -> Samples:
    (started,) = call.find("Call.RecordStarted")
    return read(Path(unquote(urlsplit(started.data["url"]).path)))


def read(path: Path) -> Samples:
    with wave.open(str(path)) as file:
        samples: Samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
        return samples


def likeness(one: Samples, other: Samples) -> float:
    """Return the highest normalised correlation of two recordings at any shift."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    n = len(a) + len(b)
    cross = np.fft.irfft(np.fft.rfft(a, n) * np.conj(np.fft.rfft(b, n)), n)
    return float(cross.max() / (np.linalg.norm(a) * np.linalg.norm(b)))


def test_an_answered_caller_is_established_when_its_own_leg_is_up(voxpy: CallKit) -> None:
    answered = FORWARD.replace("    VoxEngine.easy", "    event.call.answer()\n    VoxEngine.easy")
    steps = "- wait: answered\n- expect: this is mary\n- hang_up"
    call = forward(
        voxpy, "{rings_s: 2, steps: [{say: this is mary}, {wait: hung_up}]}", steps, answered
    )
    assert call.log == ["established CONNECTED PROGRESSING"]  # as published


def test_an_async_on_established_may_take_its_time(voxpy: CallKit) -> None:
    source = FORWARD.replace("def talking", "async def talking").replace(
        'Logger.write(f"established', 'await trio.sleep(1)\n    Logger.write(f"established'
    )
    call = forward(voxpy, "answer", "- wait: answered\n- wait: 3\n- hang_up", source)
    assert call.log == ["established CONNECTED CONNECTED"]


def test_an_error_in_on_established_names_the_scenario(voxpy: CallKit) -> None:
    source = FORWARD + "\ndef talking(caller, person):\n    1 / 0\n"
    with pytest.raises(ExceptionGroup) as wrong:
        forward(voxpy, "answer", "- wait: answered\n- wait: 3\n- hang_up", source)
    assert wrong.group_contains(ZeroDivisionError)


def test_a_call_that_was_answered_before_is_joined_all_the_same(voxpy: CallKit) -> None:
    source = f"""{HEAD}
@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    event.call.answer()
    await event.call.wait_event(CallEvents.Connected)
    person = VoxEngine.call_pstn("+15550177", event.callerid)
    VoxEngine.easy_process(event.call, person, lambda a, b: Logger.write(f"{{a.state()}} {{b.state()}}"))
"""
    call = forward(
        voxpy,
        "{steps: [{say: this is mary}, {wait: hung_up}]}",
        "- wait: answered\n- expect: this is mary\n- hang_up",
        source,
    )
    assert call.result.failure == ""
    assert call.log == ["CONNECTED CONNECTED"]
    assert len(call.find("Call.answer")) == 1
    assert call.find("Call.ring") == []


def test_a_caller_who_left_before_is_not_forwarded(voxpy: CallKit) -> None:
    source = f"""{HEAD}
@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    await trio.sleep(5)
    VoxEngine.easy_process(event.call, VoxEngine.call_pstn("+15550177", "+1"))
"""
    call = forward(voxpy, "no_answer", "- wait: 1\n- hang_up", source)
    assert call.result.record.duration_s == pytest.approx(5.0, abs=0.1)
    assert call.result.end.detail == "easy_process: one of the calls was over"


def test_direct_media_passes_through_us_and_that_is_said(voxpy: CallKit) -> None:
    source = FORWARD.replace("talking)", "talking, True)")
    call = forward(
        voxpy,
        "{steps: [{say: this is mary}, {wait: hung_up}]}",
        "- wait: answered\n- expect: this is mary\n- hang_up",
        source,
    )
    assert call.result.failure == ""
    assert [w for w in call.result.record.warnings if "direct" in w]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("person, event.call", "the calls are swapped; the incoming call is the first"),
        ("person, person", "both are the same call"),
        ("event.call, None", "call2 must be a call, not NoneType"),
        ("event.call, person, 'f'", "on_established must be a function of the two calls, not str"),
    ],
)
def test_calls_in_the_wrong_place(voxpy: CallKit, arguments: str, words: str) -> None:
    source = FORWARD.replace("event.call, person, talking", arguments)
    with pytest.raises(ExceptionGroup) as wrong:
        forward(voxpy, "answer", "- wait: answered", source)
    assert wrong.group_contains(ScenarioError, match=words)


FORWARDING = {
    'forward_call_to_pstn(lambda n: "+15550177", LOG, callerid="+1999")': (
        "pstn",
        "+15550177",
        "+1999",
    ),
    "forward_call_to_pstn(on_established=LOG)": ("pstn", "+15550177", "+15550100"),
    "forward_call_to_user(LOG)": ("user", "+15550177", "+15550100"),
    "forward_call_to_user(LOG, True)": ("user", "+15550177", "+15550100"),
    "forward_call_to_user_direct(LOG)": ("user", "+15550177", "+15550100"),
    "forward_call_to_sip(LOG)": ("sip", "sip:+15550177@voxpy.invalid", "+15550100"),
}


@pytest.mark.parametrize("line", FORWARDING)
def test_a_scenario_of_one_line(voxpy: CallKit, line: str) -> None:
    source = f"""{HEAD}
LOG = lambda a, b: Logger.write(f"{{b.client_type()}} {{b.number()}} {{b.callerid()}}")
VoxEngine.{line}
"""
    script = """
to: "+15550177"
callees:
  ".*15550177.*": {steps: [{say: this is mary}, {wait: hung_up}]}
steps:
- wait: answered
- expect: this is mary
- hang_up
"""
    call = voxpy.call(source, script)
    assert call.result.failure == ""
    assert call.log == [" ".join(FORWARDING[line])]


@pytest.mark.parametrize("line", ["forward_call_to_pstn('+1')", "forward_call_to_user('f')"])
def test_what_forwarding_takes_are_functions(voxpy: CallKit, line: str) -> None:
    call = voxpy.call(
        f"{HEAD}\nVoxEngine.{line}\n",
        "may_be_refused: true\nsteps:\n- wait: answered",
        check_errors=False,
    )
    assert "must be a function, not str" in call.result.end.detail


def test_two_sessions_at_once_do_not_mix(tmp_path: Path) -> None:
    """Each caller hears its own callee although both dial the same number; one ends much earlier."""
    engines = scripted_engines(ScriptedResponder([]))  # one airwave: every text has its own tone
    watches = {"mary": Watch(), "paul": Watch()}

    async def both() -> None:
        async with trio.open_nursery() as nursery:
            for name, watch in watches.items():
                nursery.start_soon(run_local_call, local_call(tmp_path, name, engines), watch)

    run_virtual(both)
    for name, watch in watches.items():
        other = "paul" if name == "mary" else "mary"
        assert watch.session is not None
        record = watch.session.record
        assert record.personal["caller_failed"] == ""
        heard = [e.personal["text"] for e in watch.entries if e.name.endswith(" heard")]
        assert heard == [f"this is {name} speaking", f"{name} it is me"]
        assert other not in str(heard)
        assert record.duration_s == pytest.approx({"mary": 4.5, "paul": 14.5}[name], abs=1.5)


def local_call(folder: Path, name: str, engines: Engines) -> LocalCall:
    path = folder / f"{name}.py"
    path.write_text(FORWARD)
    stay_s = 10 if name == "paul" else 0
    script = f"""
callees:
  "+15550177": {{steps: [{{say: this is {name} speaking}}, {{expect: it is me}}, {{wait: hung_up}}]}}
steps:
- wait: answered
- expect: this is {name} speaking
- say: {name} it is me
- wait: {stay_s}
- wait: 1
- hang_up
"""
    return LocalCall(
        program=compile_scenarios([path]),
        script=parse_script(script, file=f"{name}.yaml", folder=folder),
        agent="ws://nobody.test/",
        session_id=name,
        secrets=Secrets(folder / "secrets.env", environ={}),
        base=folder / ".voxpy",
        make_engines=lambda: engines,
    )


class Watch:
    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.session: HostedSession | None = None

    def progress(self, text: str) -> None:
        pass

    def entry(self, entry: Entry) -> None:
        self.entries.append(entry)

    def session_began(self, session: HostedSession) -> None:
        self.session = session


@pytest.mark.parametrize("callee", ["{steps: [{wait: hung_up}]}", "busy", "no_answer"])
def test_nothing_is_left_of_a_forwarded_call(voxpy: CallKit, callee: str) -> None:
    call = forward(voxpy, callee, "- wait: 3\n- hang_up")
    session = call.hosted.session
    assert session.graph.attached == ()
    assert session._handlers is None
    assert not session._dispatcher.live_handlers
    assert len(call.result.record.calls) == 2
