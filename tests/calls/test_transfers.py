"""Transfers in the simulator: who asks whom to call, and what becomes of the calls."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

import pytest

from voxpy.testing import CallKit, WorldCall

HEAD = """
from voxpy import AppEvents, CallEvents, Logger, VoxEngine

def log(event):
    Logger.write(" ".join(str(x) for x in (event.name.removeprefix("Call."), event.call.id(),
        *(getattr(event, f) for f in ("transfer_to", "role", "code") if hasattr(event, f)))))

def listen(call):
    for kind in (CallEvents.BlindTransferRequested, CallEvents.TransferComplete,
                 CallEvents.TransferFailed, CallEvents.Disconnected):
        call.add_event_listener(kind, log)
"""

FORWARD = f"""{HEAD}
@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    VoxEngine.easy_process(event.call, VoxEngine.call_pstn("+15550177", event.callerid))
"""


def received(call: WorldCall, unit: str) -> list[str]:
    return [
        e.personal["text"]
        for e in call.entries
        if e.kind == "step" and e.unit == unit and e.name.endswith("receives transfer")
    ]


def test_a_scenario_sends_its_caller_to_somebody_else(voxpy: CallKit) -> None:
    source = f"""{HEAD}
@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    listen(event.call)
    event.call.answer()
    await event.call.wait_event(CallEvents.Connected)
    event.call.transfer_to("+15550178")
    await event.call.wait_event(CallEvents.TransferFailed)
    event.call.transfer_to("1002")
    await event.call.wait_event(CallEvents.Disconnected)
    VoxEngine.terminate()
"""
    call = voxpy.call(
        source,
        "callees:\n  '+15550178': busy\n  '1002': {rings_s: 3}\nsteps:\n- wait: answered\n- wait: hung_up",
    )
    assert call.log == [
        "TransferFailed call-1 transferee 486",
        "TransferComplete call-1 transferee",
        "Disconnected call-1",
    ]
    (over,) = call.find("call over")
    assert over.data["reason"] == "Transferred"
    assert call.result.record.duration_s == pytest.approx(4.0, abs=0.2)


def test_an_attended_transfer_leaves_both_to_each_other(voxpy: CallKit) -> None:
    source = f"""{HEAD}
@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    listen(event.call)
    event.call.answer()
    mary = VoxEngine.call_pstn("+15550177", "+1")
    listen(mary)
    await mary.wait_event(CallEvents.Connected)
    event.call.transfer_to("", call=mary)
    await mary.wait_event(CallEvents.Disconnected)
    VoxEngine.terminate()
"""
    call = voxpy.call(source, "steps:\n- wait: answered\n- wait: hung_up")
    assert call.log == [
        "TransferComplete call-1 transferee",
        "Disconnected call-1",
        "TransferComplete outgoing-1 target",
        "Disconnected outgoing-1",
    ]


def test_a_call_that_is_not_up_joins_nobody(voxpy: CallKit) -> None:
    source = f"""{HEAD}
@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    listen(event.call)
    event.call.answer()
    await event.call.wait_event(CallEvents.Connected)
    event.call.transfer_to("1", call=VoxEngine.call_pstn("+15550177", "+1"))
    await event.call.wait_event(CallEvents.TransferFailed)
    VoxEngine.terminate()
"""
    call = voxpy.call(source, "steps:\n- wait: answered\n- wait: hung_up")
    assert call.log == ["TransferFailed call-1 transferee 481"]


HANDLES = f"""{HEAD}
@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    call = event.call
    listen(call)
    call.handle_blind_transfer(True)
    call.answer()

    def asked(request):
        person = VoxEngine.call_user(username=request.transfer_to, callerid=call.callerid())
        person.add_event_listener(CallEvents.Connected, lambda: call.notify_blind_transfer_success())
        person.add_event_listener(CallEvents.Failed, lambda e: call.notify_blind_transfer_failed(e.code, e.reason))
        person.add_event_listener(CallEvents.Disconnected, VoxEngine.terminate)

    call.add_event_listener(CallEvents.BlindTransferRequested, asked)
"""


def test_a_caller_asks_to_be_put_through(voxpy: CallKit) -> None:
    call = voxpy.call(
        HANDLES,
        "callees:\n  anna: {rings_s: 2, steps: [{wait: 3}, hang_up]}\nsteps:\n- wait: answered\n- transfer: anna",
    )
    assert call.result.failure == ""
    assert call.log == [
        "BlindTransferRequested call-1 anna",
        "Disconnected call-1",
    ]
    assert received(call, "call-1") == ["200 OK"]
    assert call.result.record.duration_s == pytest.approx(5.1, abs=0.2)


@pytest.mark.parametrize(
    ("source", "callee", "outcome"),
    [
        (HANDLES, "busy", "486 Busy Here"),
        (
            FORWARD.replace(
                'VoxEngine.easy_process(event.call, VoxEngine.call_pstn("+15550177", event.callerid))',
                "event.call.answer()",
            ),
            "answer",
            "603 Decline",
        ),
    ],
    ids=["busy", "not handled"],
)
def test_a_caller_who_is_not_put_through_learns_why(
    voxpy: CallKit, source: str, callee: str, outcome: str
) -> None:
    call = voxpy.call(
        source,
        f"callees:\n  anna: {callee}\nsteps:\n- wait: answered\n- transfer: anna",
    )
    assert f"the transfer to anna failed: {outcome}" in call.result.failure


def test_a_forwarded_call_goes_on_with_the_one_it_was_transferred_to(voxpy: CallKit) -> None:
    call = voxpy.call(
        FORWARD,
        """
callees:
  '+15550177': {steps: [{say: this is mary}, {wait: 1}, {transfer: anna}]}
  anna: {rings_s: 2, steps: [{say: anna here}, {expect: hello anna}, hang_up]}
steps:
- wait: answered
- expect: this is mary
- expect: {heard: anna here, within_s: 20}
- say: hello anna
- wait: hung_up
""",
    )
    assert call.result.failure == ""
    assert received(call, "outgoing-1") == ["200 OK"]
    assert call.result.end.detail == "easy_process: the callee's call is over"
    reasons = {e.unit: e.data["reason"] for e in call.find("call over")}
    assert reasons["outgoing-2"] == "Hung up by the callee"


def test_a_forwarded_call_goes_on_as_before_when_nobody_takes_it(voxpy: CallKit) -> None:
    call = voxpy.call(
        FORWARD,
        """
callees:
  '+15550177': {steps: [{wait: 1}, {expect: are you there}, {say: mary again}, hang_up]}
  anna: busy
steps:
- wait: answered
- wait: 1
- transfer: anna
""",
    )
    assert "486" in call.result.failure  # of the caller's step, who then hangs up


def test_two_calls_of_ours_are_joined(voxpy: CallKit) -> None:
    source = f"""{HEAD}
@VoxEngine.on(AppEvents.Started)
def started(event):
    one, two = (VoxEngine.call_pstn(f"+1555017{{n}}", "+1") for n in (7, 8))
    VoxEngine.easy_process(one, two, lambda a, b: Logger.write(f"{{a.state()}} {{b.state()}}"))
"""
    call = voxpy.call(
        source,
        """
may_be_refused: true
callees:
  '+15550177': {rings_s: 1, steps: [{expect: this is bert}, {say: and this is anna}, {wait: hung_up}]}
  '+15550178': {rings_s: 3, steps: [{say: this is bert}, {expect: and this is anna}, hang_up]}
steps:
- wait: hung_up
""",
    )
    assert call.result.failure == ""
    assert call.log == ["CONNECTED CONNECTED"]
