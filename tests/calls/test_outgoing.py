"""Calls that a scenario makes: their events in order, their limits, how they end."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

from typing import Any

import pytest

from voxpy.engine.settings import Limits, Settings
from voxpy.errors import ScenarioError
from voxpy.testing import CallKit, WorldCall

HEAD = """
from voxpy import AppEvents, CallEvents, Logger, VoxEngine
import trio

def told(call):
    for kind in ("Ringing", "AudioStarted", "FirstAudioPacketReceived", "Connected", "Failed", "Disconnected"):
        def note(event, kind=kind):
            code = getattr(event, "code", None)
            Logger.write(f"{kind} {code if code is not None else ''} {getattr(event, 'reason', '')}".strip())
        call.add_event_listener(getattr(CallEvents, kind), note)
    return call
"""
REFUSED = "may_be_refused: true\nsteps:\n- wait: answered\n"


def scenario(body: str) -> str:
    lines = "\n".join("    " + line for line in body.strip().splitlines())
    return f"""{HEAD}
@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
{lines}
"""


def callees(text: str, steps: str = "- wait: answered\n") -> str:
    lines = "".join(f"  {line}\n" for line in text.strip().splitlines())
    return f"may_be_refused: true\ncallees:\n{lines}steps:\n{steps}"


def one_call(voxpy: CallKit, callee: str, then: str = "", **given: Any) -> WorldCall:
    """The scenario refuses its caller and calls 100; ``then`` is what it does next."""
    body = f"""
event.call.reject(603)
call = told(VoxEngine.call_sip("100", "me"))
Logger.write(call.state())
{then or "await trio.sleep(200)"}
VoxEngine.terminate()
"""
    return voxpy.call(scenario(body), callees(f"'100': {callee}"), **given)


def times(call: WorldCall, name: str, unit: str = "outgoing-1") -> list[float]:
    return [e.t for e in call.find(name) if e.unit == unit]


def test_an_answered_call(voxpy: CallKit) -> None:
    call = one_call(voxpy, "{rings_s: 3, steps: [{wait: 2}, hang_up]}", "await trio.sleep(10)")
    assert call.log == [
        "PROGRESSING",
        "Ringing",
        "AudioStarted 200",
        "FirstAudioPacketReceived",
        "Connected",
        "Disconnected  Hung up by the callee",
    ]
    assert times(call, "Call.Connected") == [pytest.approx(3.0, abs=0.05)]
    (over,) = [e for e in call.find("Call.Disconnected") if e.unit == "outgoing-1"]
    assert over.data["duration"] == pytest.approx(2.0, abs=0.05)
    assert over.data["internal_code"] == 16
    moves = [
        (e.data["old_state"], e.data["new_state"])
        for e in call.find("Call.StateChanged")
        if e.unit == "outgoing-1"
    ]
    assert moves == [("PROGRESSING", "CONNECTED"), ("CONNECTED", "TERMINATED")]
    assert call.result.failure == ""


def test_early_media_is_told_before_the_answer_and_heard(voxpy: CallKit) -> None:
    body = """
call = told(VoxEngine.call_sip("100", "me"))
call.record(stereo=True)
event.call.start_early_media()
call.send_media_to(event.call)
await call.wait_event(CallEvents.Disconnected)
VoxEngine.terminate()
"""
    call = voxpy.call(
        scenario(body),
        """
        may_be_refused: true
        callees:
          "100":
            before_answer:
            - say: please hold the line
            steps: [{wait: 1}, hang_up]
        steps:
        - expect: please hold the line
        - wait: hung_up
        """,
    )
    assert call.result.failure == ""
    assert call.log[:4] == ["Ringing", "AudioStarted 183", "FirstAudioPacketReceived", "Connected"]
    (spoken,) = times(call, "callee speaks")
    assert times(call, "Call.AudioStarted")[0] <= spoken + 0.03 < times(call, "Call.Connected")[0]


@pytest.mark.parametrize(
    ("callee", "failed"),
    [
        ("busy", "Failed 486 Busy Here"),
        ("{reject: 603, rings_s: 0}", "Failed 603 Decline"),
        ("{reject: 404}", "Failed 404 Not Found"),
        ("{reject: 429}", "Failed 429 Refused"),
        ("no_answer", "Failed 408 No answer within 60 s"),
    ],
)
def test_a_call_that_fails(voxpy: CallKit, callee: str, failed: str) -> None:
    call = one_call(voxpy, callee, "await trio.sleep(70)")
    assert call.log == ["PROGRESSING", "Ringing", failed]
    (record,) = [c for c in call.result.record.calls if c["call_id"] == "outgoing-1"]
    assert not record["successful"]
    assert str(record["end_reason"]["code"]) in failed


def test_an_unanswered_call_is_given_up_at_the_far_end_too(voxpy: CallKit) -> None:
    body = """
event.call.reject(603)
call = VoxEngine.call_sip("100", "me", headers={"VI-CallTimeout": "12", "X-Trip": "7"})
failed = await call.wait_event(CallEvents.Failed)
Logger.write(f"{failed.code} {failed.reason}")
VoxEngine.terminate()
"""
    call = voxpy.call(scenario(body), callees("'100': no_answer"))
    assert call.log == ["408 No answer within 12 s"]
    assert times(call, "Call.Failed") == [pytest.approx(12.0)]
    assert call.result.end.reason.name == "TERMINATED"


def test_a_host_may_let_it_ring_for_longer(voxpy: CallKit) -> None:
    settings = Settings(limits=Limits(unanswered_call_s=90.0))
    call = one_call(voxpy, "no_answer", "await trio.sleep(100)", settings=settings)
    assert times(call, "Call.Failed") == [pytest.approx(90.0)]


def test_hanging_up_before_the_answer_fails_with_487(voxpy: CallKit) -> None:
    call = one_call(voxpy, "no_answer", "await trio.sleep(5)\ncall.hangup()\nawait trio.sleep(1)")
    assert call.log == ["PROGRESSING", "Ringing", "Failed 487 Request Terminated"]
    assert times(call, "Call.Failed") == [pytest.approx(5.0)]


def test_the_end_of_the_session_ends_its_calls(voxpy: CallKit) -> None:
    call = one_call(voxpy, "{steps: [{expect: never said}]}", "await trio.sleep(2)")
    assert len(call.hosted.session.graph.attached) == 0
    over = [e for e in call.find("call over") if e.unit == "outgoing-1"]
    assert [e.data["reason"] for e in over] == ["Session ended"]
    assert "callee 100: caller.yaml" in call.result.failure  # it waited for words that never came
    assert "expected to hear /never said/" in call.result.failure


def test_a_session_lives_as_long_as_its_last_call_and_a_minute(voxpy: CallKit) -> None:
    body = """
event.call.reject(603)
VoxEngine.call_sip("100", "me")
"""
    call = voxpy.call(scenario(body), callees("'100': {rings_s: 5, steps: [{wait: 100}, hang_up]}"))
    assert call.result.end.reason.name == "NO_CALLS"
    assert call.result.record.duration_s == pytest.approx(165.0, abs=0.1)


def test_digits_messages_and_infos_reach_the_callee(voxpy: CallKit) -> None:
    body = """
call = VoxEngine.call_sip("100", "me")
call.send_message("too early")
await call.wait_event(CallEvents.Connected)
call.send_message("hello")
call.send_info("text/plain", "there")
call.send_digits("12#")
call.add_event_listener(CallEvents.MessageReceived, lambda e: Logger.write(e.text))
call.add_event_listener(CallEvents.InfoReceived, lambda e: Logger.write(f"{e.mime_type} {e.body}"))
call.add_event_listener(CallEvents.ToneReceived, lambda e: Logger.write(e.tone))
call.handle_tones(True)
await call.wait_event(CallEvents.Disconnected)
VoxEngine.terminate()
"""
    steps = "[{wait: 1}, {message: back}, {info: {mime_type: a/b, body: c}}, {press: '5'}, {wait: 1}, hang_up]"
    call = voxpy.call(scenario(body), callees(f"'100': {{steps: {steps}}}", "- wait: hung_up"))
    assert [e.personal["text"] for e in call.find("callee receives message")] == ["hello"]
    assert [e.personal["text"] for e in call.find("callee receives info")] == ["text/plain: there"]
    assert [e.personal["text"] for e in call.find("callee receives digits")] == ["12#"]
    assert call.log == ["back", "a/b c", "5"]


def test_the_eleventh_unanswered_call_fails_with_403(voxpy: CallKit) -> None:
    body = """
event.call.reject(603)
calls = [VoxEngine.call_sip("100", "me") for _ in range(10)]
last = told(VoxEngine.call_sip("100", "me"))
await trio.sleep(1)
calls[0].hangup()
await trio.sleep(1)
told(VoxEngine.call_sip("200", "me"))
await trio.sleep(5)
VoxEngine.terminate()
"""
    call = voxpy.call(
        scenario(body), callees("'100': no_answer\n'200': {steps: [{wait: 1}, hang_up]}")
    )
    assert call.log[0] == "Failed 403 Call limit reached: 10 calls wait for an answer"
    assert "Connected" in call.log  # one was given up, so there was room again
    assert len(call.find("Call.Ringing")) == 11


def test_a_session_may_make_fifty_calls(voxpy: CallKit) -> None:
    body = """
event.call.reject(603)
for n in range(52):
    call = VoxEngine.call_sip("100", "me")
    failed = await call.wait_event(CallEvents.Failed)
    Logger.write(f"{failed.code} {failed.reason}")
VoxEngine.terminate()
"""
    call = voxpy.call(scenario(body), callees("'100': {busy, rings_s: 0}"))
    assert call.log[:50] == ["486 Busy Here"] * 50
    assert call.log[50:] == ["403 Call limit reached: 50 calls in one session"] * 2


@pytest.mark.parametrize("number", ["abc", "+1 555 0100", ""])
def test_a_number_that_is_none(voxpy: CallKit, number: str) -> None:
    body = f"""
event.call.reject(603)
told(VoxEngine.call_pstn({number!r}, "+1"))
await trio.sleep(1)
VoxEngine.terminate()
"""
    if number:
        call = voxpy.call(scenario(body), REFUSED)
        assert call.log == ["Failed 404 Not a phone number: digits, with or without +"]
    else:
        with pytest.raises(ExceptionGroup) as wrong:
            voxpy.call(scenario(body), REFUSED)
        assert wrong.group_contains(ScenarioError, match="call_pstn: the destination is empty")


@pytest.mark.parametrize(
    ("expression", "client_type"),
    [
        ("VoxEngine.call_pstn('+1555', '+1')", "pstn"),
        (
            "VoxEngine.call_sip('sip:a@b.test;transport=tls', 'me', display_name='Ada', password='p', out_proxy='x')",
            "sip",
        ),
        (
            "VoxEngine.call_user(username='ada', callerid='me', display_name='Ada', extra_headers={'X-A': 'b'})",
            "user",
        ),
        ("VoxEngine.call_user_direct(event.call, 'ada', callerid='me')", "user"),
        ("VoxEngine.call_whatsapp_user(number='+1555', callerid='+1')", "wab"),
    ],
)
def test_every_kind_reaches_somebody_who_says_hello(
    voxpy: CallKit, expression: str, client_type: str
) -> None:
    body = f"""
call = {expression}
Logger.write(f"{{call.client_type()}} {{call.incoming()}} {{call.number()}} {{call.callerid()}}")
event.call.answer()
await call.wait_event(CallEvents.Connected)
VoxEngine.send_media_between(event.call, call)
"""
    call = voxpy.call(scenario(body), "- wait: answered\n- expect: who is calling\n- hang_up")
    assert call.result.failure == ""
    assert call.log[0].startswith(f"{client_type} False ")
    assert times(call, "Call.Connected") == [pytest.approx(1.0, abs=0.05)]


def test_there_are_no_conference_sessions_here(voxpy: CallKit) -> None:
    body = """
event.call.reject(603)
told(VoxEngine.call_conference("room", "me"))
await trio.sleep(1)
VoxEngine.terminate()
"""
    call = voxpy.call(scenario(body), REFUSED)
    assert call.log == [
        "Failed 503 one call alone has no conference sessions: voxpy serve has; or write one under "
        "callees:, 'room'"
    ]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (
            "VoxEngine.call_pstn(15550100, '+1')",
            "call_pstn: the destination must be a string, not int",
        ),
        ("VoxEngine.call_pstn('+1', 1)", "call_pstn: callerid must be a string, not int"),
        ("VoxEngine.call_sip('sip:a@b\\r\\nX-Evil: 1')", "has a line break"),
        ("VoxEngine.call_sip('a', headers={'From': 'x'})", "custom headers start with 'X-'"),
        (
            "VoxEngine.call_sip('a', headers={'VI-CallTimeout': '9'})",
            "VI-CallTimeout is a number of seconds from 10 to 400, not '9'",
        ),
        ("VoxEngine.call_sip('a', headers={'vi-calltimeout': '401'})", "from 10 to 400, not '401'"),
        ("VoxEngine.call_sip('a', headers={'VI-CallTimeout': 'soon'})", "not 'soon'"),
        ("VoxEngine.call_sip('a', amd=3)", "amd takes a detector made by AMD.create"),
        (
            "VoxEngine.call_user(username='a', callerid='b', push_notification_timeout=5)",
            "10000 to 60000 ms, not 5",
        ),
    ],
)
def test_misused_arguments_say_what_was_expected(
    voxpy: CallKit, expression: str, words: str
) -> None:
    with pytest.raises(ExceptionGroup) as wrong:
        voxpy.call(scenario(expression), REFUSED)
    assert wrong.group_contains(ScenarioError, match=words)


def test_the_detector_gets_the_call_before_it_is_answered(voxpy: CallKit) -> None:
    body = """
class Detector:
    def attach(self, call):
        Logger.write(f"attached to {call.id()} {call.state()}")

event.call.reject(603)
VoxEngine.call_sip("100", "me", amd=Detector())
VoxEngine.terminate()
"""
    call = voxpy.call(scenario(body), REFUSED)
    assert call.log == ["attached to outgoing-1 PROGRESSING"]


def test_a_call_made_after_the_end_is_not_dialled(voxpy: CallKit) -> None:
    body = """
event.call.reject(603)
VoxEngine.terminate()
VoxEngine.call_sip("100", "me")
"""
    call = voxpy.call(scenario(body), callees("'100': no_answer"))
    assert call.result.end.reason.name == "TERMINATED"
    assert call.find("callee hears ringing") == []
    assert call.find("Call.Ringing") == []


def test_ringing_after_early_media_is_told_on_request_only(voxpy: CallKit) -> None:
    source = """
from voxpy import AppEvents, CallEvents, Logger, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    import voxpy.call as control
    from voxpy.engine.ports import EarlyMedia, Ringing
    event.call.reject(603)
    for allowed in (False, True):
        call = VoxEngine.call_sip("100", "me", allow_180_after_183=allowed)
        call.add_event_listener(CallEvents.Ringing, lambda e, allowed=allowed: Logger.write(f"rings {allowed}"))
        call._state.report(EarlyMedia())
        call._state.report(Ringing())
        await call.wait_event(CallEvents.Failed)
    VoxEngine.terminate()
"""
    call = voxpy.call(source, callees("'100': {busy, rings_s: 0}"))
    assert call.log == ["rings True", "rings True"]  # the second is the callee's own


def test_audio_that_overtakes_the_180_and_the_answer_is_told_behind_them(voxpy: CallKit) -> None:
    source = scenario("""
from voxpy.engine.ports import FirstAudio, LegConnected, Ringing
event.call.reject(603)
call = told(VoxEngine.call_sip("100", "me"))
for report in (FirstAudio(), Ringing(), FirstAudio(), LegConnected()):
    call._state.report(report)
await trio.sleep(1)
VoxEngine.terminate()
""")
    call = voxpy.call(source, callees("'100': no_answer"))
    assert call.log[:4] == ["Ringing", "AudioStarted 200", "FirstAudioPacketReceived", "Connected"]


def test_the_password_is_in_no_file(voxpy: CallKit) -> None:
    body = """
event.call.reject(603)
VoxEngine.call_sip("100", "me", auth_user="me", password="hunter2-hunter2")
VoxEngine.terminate()
"""
    call = voxpy.call(scenario(body), REFUSED)
    for path in call.result.folder.iterdir():
        assert b"hunter2" not in path.read_bytes()
