"""The states of a call and the order of its events, on a simulated leg in virtual time."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

from typing import Any

import pytest

from voxpy.errors import NotSupported
from voxpy.testing import CallKit, WorldCall

HEAD = """
from voxpy import AppEvents, CallEvents, Logger, VoxEngine
import trio

def over(event=None):
    VoxEngine.terminate()

"""


def scenario(body: str, *, before: str = "") -> str:
    """Return a scenario whose async handler of CallAlerting is ``body``, with ``call`` bound."""
    lines = "\n".join("    " + line for line in body.strip().splitlines())
    return f"""{HEAD}{before}
@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, over)
{lines}
"""


def events(call: WorldCall) -> list[str]:
    return call.names("event")


def states(call: WorldCall) -> list[tuple[str, str]]:
    return [(e.data["old_state"], e.data["new_state"]) for e in call.find("Call.StateChanged")]


def disconnected(call: WorldCall) -> dict[str, Any]:
    (entry,) = call.find("Call.Disconnected")
    return dict(entry.data)


def test_answer_then_the_caller_hangs_up(voxpy: CallKit) -> None:
    call = voxpy.call(scenario("call.answer()"), "- wait: answered\n- wait: 1.5\n- hang_up")
    assert events(call) == [
        "Application.Started",
        "Application.CallAlerting",
        "Call.FirstAudioPacketReceived",
        "Call.StateChanged",
        "Call.Connected",
        "Call.AudioQualityDetected",
        "Call.StateChanged",
        "Call.Disconnected",
        "Application.Terminating",
        "Application.Terminated",
    ]
    assert states(call) == [("ALERTING", "CONNECTED"), ("CONNECTED", "TERMINATED")]
    end = disconnected(call)
    assert end["internal_code"] == 16  # Q.850: normal call clearing
    assert end["duration"] == pytest.approx(1.5, abs=0.021)
    assert end["reason"] == "Hung up by the caller"
    assert call.result.failure == ""
    assert [c["successful"] for c in call.result.record.calls] == [True]


def test_a_standard_call_is_of_standard_quality(voxpy: CallKit) -> None:
    call = voxpy.call(scenario("call.answer()"), "- wait: answered\n- hang_up")
    assert call.find("Call.AudioQualityDetected")[0].data["quality"] == "Standard"


def test_ring_early_media_answer(voxpy: CallKit) -> None:
    body = "call.ring()\nawait trio.sleep(1)\ncall.start_early_media()\nawait trio.sleep(1)\ncall.answer()"
    call = voxpy.call(scenario(body), "- wait: answered\n- wait: 1\n- hang_up")
    assert [n for n in events(call) if n.startswith("Call.")] == [
        "Call.StateChanged",
        "Call.AudioStarted",
        "Call.FirstAudioPacketReceived",
        "Call.StateChanged",
        "Call.Connected",
        "Call.AudioQualityDetected",
        "Call.StateChanged",
        "Call.Disconnected",
    ]
    assert [new for _, new in states(call)] == ["PROGRESSING", "CONNECTED", "TERMINATED"]
    assert call.find("Call.AudioStarted")[0].data["code"] == 183
    assert len(call.find("caller hears ringing")) == 1
    assert disconnected(call)["duration"] == pytest.approx(1.0, abs=0.021)


def test_reject_disconnects_at_once(voxpy: CallKit) -> None:
    call = voxpy.call(
        scenario("call.reject(486)"), "may_be_refused: true\nsteps:\n- wait: answered"
    )
    (command,) = call.find("Call.reject")
    (end,) = call.find("Call.Disconnected")
    assert end.t == command.t
    assert end.data["internal_code"] == 486
    assert "Call.Connected" not in events(call)
    assert call.result.failure == ""
    assert [c["end_reason"]["code"] for c in call.result.record.calls] == [486]
    assert [c["successful"] for c in call.result.record.calls] == [False]


def test_decline_is_reject(voxpy: CallKit) -> None:
    call = voxpy.call(
        scenario("call.decline(603)"), "may_be_refused: true\nsteps:\n- wait: answered"
    )
    assert disconnected(call)["internal_code"] == 603


def test_a_rejected_caller_who_expected_an_answer_fails(voxpy: CallKit) -> None:
    call = voxpy.call(scenario("call.reject(404)"), "- wait: answered\n- hang_up")
    assert "caller.yaml:2: step 1 (wait: answered): the call was over: 404" in call.result.failure


def test_hangup_by_the_scenario(voxpy: CallKit) -> None:
    body = "call.answer()\nawait call.wait_event(CallEvents.Connected)\nawait trio.sleep(2)\ncall.hangup()"
    call = voxpy.call(scenario(body), "- wait: answered\n- wait: 60")
    (end,) = call.find("Call.Disconnected")
    assert end.t == call.find("Call.hangup")[0].t
    assert disconnected(call)["reason"] == "Hung up by the scenario"
    assert "the call was over: 200" in call.result.failure  # the caller meant to stay


def test_the_caller_gives_up_before_the_answer(voxpy: CallKit) -> None:
    call = voxpy.call(scenario("call.ring()"), "- wait: 3\n- hang_up")
    end = disconnected(call)
    assert end["internal_code"] == 487
    assert end.get("duration", 0) == 0
    assert call.find("Call.Disconnected")[0].t == pytest.approx(3.0, abs=0.001)
    assert call.result.failure == ""


def test_an_unanswered_call_is_dropped_after_a_minute(voxpy: CallKit) -> None:
    call = voxpy.call(
        scenario("call.ring()"),
        "may_be_refused: true\nsteps:\n- wait: {for: answered, within_s: 200}",
    )
    (end,) = call.find("Call.Disconnected")
    assert end.t == pytest.approx(60.0, abs=0.1)
    assert end.data["internal_code"] == 408
    assert call.result.record.warnings == ["nobody answered"]


@pytest.mark.parametrize(
    ("body", "command", "state"),
    [
        ("call.answer()\ncall.answer()", "answer", "ALERTING"),
        ("call.answer()\ncall.reject(486)", "reject", "ALERTING"),
        ("call.answer()\nawait call.wait_event(CallEvents.Connected)\ncall.answer()", *("answer", "CONNECTED")),
        ("call.answer()\nawait call.wait_event(CallEvents.Connected)\ncall.ring()", *("ring", "CONNECTED")),
        (
            "call.answer()\nawait call.wait_event(CallEvents.Connected)\ncall.start_early_media()",
            *("start_early_media", "CONNECTED"),
        ),
        ("call.send_digits('1')\ncall.answer()", "send_digits", "ALERTING"),
        ("call.send_message('hi')\ncall.answer()", "send_message", "ALERTING"),
        ("call.send_info('a/b', 'c')\ncall.answer()", "send_info", "ALERTING"),
    ],
)  # fmt: skip
def test_commands_in_wrong_states_are_traced_and_ignored(
    voxpy: CallKit, body: str, command: str, state: str
) -> None:
    call = voxpy.call(scenario(body), "- wait: answered\n- wait: 1\n- hang_up")
    ignored = [e for e in call.find(f"Call.{command}") if "ignored_in_state" in e.data]
    assert [e.data["ignored_in_state"] for e in ignored] == [state]
    assert len(call.find("Call.Connected")) == 1
    assert len(call.find("Call.Disconnected")) == 1
    assert call.result.failure == ""


def test_commands_on_a_call_that_is_over_are_ignored(voxpy: CallKit) -> None:
    after = """
def gone(event):
    call = event.call
    call.answer(); call.reject(486); call.hangup(); call.ring(); call.start_early_media()
    call.record(); call.handle_tones(True); call.send_digits("1"); call.send_message("x")
    call.send_info("a/b", "c")
    VoxEngine.terminate()
"""
    source = f"""{HEAD}{after}
@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.add_event_listener(CallEvents.Disconnected, gone)
    event.call.answer()
"""
    call = voxpy.call(source, "- wait: answered\n- wait: 0.5\n- hang_up")
    ignored = [e.name for e in call.entries if e.data.get("ignored_in_state") == "TERMINATED"]
    assert len(ignored) == 10
    assert len(call.find("Call.Disconnected")) == 1


def test_a_session_without_calls_ends_after_a_minute(voxpy: CallKit) -> None:
    source = f"""{HEAD}
@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.reject(486)
"""
    call = voxpy.call(source, "may_be_refused: true\nsteps:\n- wait: answered")
    assert call.result.end.reason.value == "no calls"
    assert call.entries[-1].t == pytest.approx(60.0, abs=0.1)


def test_terminating_the_session_says_goodbye_and_keeps_the_call_in_the_record(
    voxpy: CallKit,
) -> None:
    body = "call.answer()\nawait call.wait_event(CallEvents.Connected)\nawait trio.sleep(2)\nVoxEngine.terminate()"
    call = voxpy.call(scenario(body), "- wait: answered\n- wait: 1\n- hang_up")
    assert call.result.record.calls[0]["duration_s"] == pytest.approx(1.0, abs=0.03)
    call = voxpy.call(scenario(body), "- wait: answered\n- wait: 5\n- hang_up")
    assert "Call.Disconnected" not in events(call)  # VoxEngine: nothing comes after terminate
    (kept,) = call.result.record.calls
    assert kept["end_reason"] == {"code": 16, "description": "Session ended"}
    assert kept["duration_s"] == pytest.approx(2.0, abs=0.03)


# -- tones, messages, infos -------------------------------------------------------------------------


def tones(call: WorldCall) -> list[tuple[str, str]]:
    return [(e.personal["tone"], e.data["type"]) for e in call.find("Call.ToneReceived")]


def test_handled_tones_are_events_and_not_audio(voxpy: CallKit) -> None:
    call = voxpy.call(
        scenario("call.handle_tones(True)\ncall.answer()"),
        "- wait: answered\n- press: '1*#0'\n- wait: 1\n- hang_up",
    )
    assert tones(call) == [("1", "1"), ("*", "1"), ("#", "1"), ("0", "1")]


@pytest.mark.parametrize("body", ["call.answer()", "call.handle_tones(True)\ncall.handle_tones(False)\ncall.answer()"])  # fmt: skip
def test_tones_that_nobody_handles_are_no_events(voxpy: CallKit, body: str) -> None:
    call = voxpy.call(scenario(body), "- wait: answered\n- press: '12'\n- wait: 1\n- hang_up")
    assert tones(call) == []


def test_digits_messages_and_infos_reach_the_caller(voxpy: CallKit) -> None:
    body = """
call.answer()
await call.wait_event(CallEvents.Connected)
call.send_digits("12p#")
call.send_message("hello \\u2603")
call.send_info("text/plain", "body")
"""
    call = voxpy.call(scenario(body), "- wait: answered\n- wait: 2\n- hang_up")
    got = [(e.name, e.personal["text"]) for e in call.entries if e.name.startswith("caller rec")]
    assert got == [
        ("caller receives digits", "12p#"),
        ("caller receives message", "hello ☃"),
        ("caller receives info", "text/plain: body"),
    ]
    assert call.find("agent audible")  # the digits sound


# -- every method of a Call on this channel ---------------------------------------------------------

REFUSED = {
    "answer_direct(call)": "no channel",
}


@pytest.mark.parametrize("method", REFUSED)
def test_what_the_channel_cannot_do_says_so(voxpy: CallKit, method: str) -> None:
    call = voxpy.call(
        scenario(f"call.answer()\ncall.{method}"), "- wait: answered\n- hang_up", check_errors=False
    )
    (error,) = call.errors
    assert isinstance(error, NotSupported)
    name = method.split("(")[0]
    assert f"call.{name}() is not supported on the simulated channel; it needs" in str(error)
    assert REFUSED[method] in str(error)
    assert call.result.end.reason.value == "handler error"
    assert "scenario" in call.result.end.frames  # the author's own line


WORKING = """
seen = {}
seen["id"] = call.id()
seen["state"] = call.state()
seen["str"] = call.to_string()
seen["incoming"] = call.incoming()
seen["callerid"] = call.callerid()
seen["display_name"] = call.display_name()
seen["number"] = call.number()
seen["client_type"] = call.client_type()
seen["custom_data"] = call.custom_data("mine")
seen["vad"] = call.vad()
call.add_event_listener(CallEvents.Failed, over)
call.remove_event_listener(CallEvents.Failed, over)
call.ring()
call.start_early_media()
call.answer()
await call.wait_event(CallEvents.Connected)
call.handle_tones(True)
call.enable_beep_detection(frequencies=[1000], timeout=500)
call.disable_beep_detection()
call.handle_mic_status(True)
await call.wait_silence(0.1)
call.send_media_to(call)
call.stop_media_to(call)
call.record(stereo=True)
call.play_progress_tone("US")
call.say("hello")
call.start_playback("/nowhere.wav")
call.stop_playback()
call.monitor_media_statistics(monitor=True, interval=5)
call.send_digits("1")
call.send_message("m")
call.send_info("a/b", "c")
for name, value in seen.items():
    Logger.write(f"{name}={value}")
"""


def test_every_other_method_works(voxpy: CallKit) -> None:
    script = "from: '+15550111'\nto: '+15550122'\ndisplay_name: Ada\nsteps:\n- wait: answered\n- wait: 1\n- hang_up"
    call = voxpy.call(scenario(WORKING), script)
    assert call.log == [
        "id=call-1",
        "state=ALERTING",
        "str=Call call-1 (incoming sip, ALERTING): +15550111 -> +15550122",
        "incoming=True",
        "callerid=+15550111",
        "display_name=Ada",
        "number=+15550122",
        "client_type=sip",
        "custom_data=mine",
        "vad=False",
    ]
    assert not [e for e in call.entries if "ignored_in_state" in e.data]


def test_the_two_lists_are_all_the_methods_there_are() -> None:
    from voxpy.call import Call

    listed = {m.split("(")[0] for m in REFUSED}
    used = {
        word.split("(")[0] for word in WORKING.replace("call.", "call. ").split() if "(" in word
    }
    known = {n for n in dir(Call) if not n.startswith("_") and callable(getattr(Call, n))}
    transfers = {"handle_blind_transfer", "transfer_to", "notify_blind_transfer_success"}
    tested_elsewhere = {"reject", "decline", "hangup", "notify_blind_transfer_failed"} | transfers
    assert known - listed - used - tested_elsewhere == set()
    assert len(known) == 40  # VoxEngine's 38, wait_event and wait_silence


@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [
        ("call.hangup()", 603, "Hung up by the scenario"),
        ("VoxEngine.terminate()", 480, "Session ended"),
    ],
)
def test_a_call_that_nobody_answered_was_refused(
    voxpy: CallKit, body: str, code: int, reason: str
) -> None:
    call = voxpy.call(scenario(body), "may_be_refused: true\nsteps:\n- wait: answered")
    (kept,) = call.result.record.calls
    assert kept["end_reason"] == {"code": code, "description": reason}
    assert kept["successful"] is False
    assert call.result.failure == ""


def test_an_event_that_never_comes_says_why(voxpy: CallKit) -> None:
    source = scenario(
        "call.add_event_listener(CallEvents.PushSent, over)\n"
        "call.answer()\nawait call.wait_event(CallEvents.ToneDetected)"
    )
    call = voxpy.call(source, "- wait: answered\n- hang_up", check_errors=False)
    assert any("PushSent never comes: no push service" in w for w in call.result.record.warnings)
    (error,) = call.errors
    assert isinstance(error, NotSupported)
    assert "CallEvents.ToneDetected never comes: " in str(error)
