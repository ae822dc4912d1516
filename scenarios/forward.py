"""Forward every caller to a person, who is rung while the caller waits.

Run it:  voxpy run scenarios/forward.py
Nobody there:  voxpy run scenarios/forward.py --callee "+15550177=busy"
Behind a channel:  dial "desk" (see routing.yaml)
"""

from __future__ import annotations

from voxpy import AppEvents, Call, CallEvents, Logger, VoxEngine

PERSON = "+15550177"


@VoxEngine.on(AppEvents.CallAlerting)
def forward(event: AppEvents.CallAlerting) -> None:
    person = VoxEngine.call_pstn(PERSON, event.callerid)
    person.add_event_listener(CallEvents.Failed, missed)
    VoxEngine.easy_process(event.call, person, talking)


def talking(caller: Call, person: Call) -> None:
    Logger.write(f"{caller.callerid()} talks to {person.number()}")
    person.record(stereo=True)


def missed(event: CallEvents.Failed) -> None:
    Logger.write(f"{event.call.number()} did not take the call: {event.code} {event.reason}")
